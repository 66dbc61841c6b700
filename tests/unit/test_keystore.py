"""Members' secrets at rest: they open with the passphrase, whole, or not at all."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commons_crdt.device import DeviceSecrets
from commons_node.community import SEALING, SIGNING, device_of
from commons_node.keystore import disk, sealing
from commons_node.keystore.node_key import DamagedNodeKey, NodeKey
from commons_node.keystore.sealing import DamagedKey, WeakPassphrase, WrongPassphrase
from commons_node.keystore.store import KeyExists, Keystore, NoKey
from commons_node.keystore.unlocked import Unlocked

pytestmark = pytest.mark.usefixtures("light")

ALICE, BOB = "a1" * 32, "b0" * 32
PASSPHRASE = "correct horse battery"
SECRETS = {"realm/signing": b"s" * 32, "realm/epoch/1": bytes(32)}


async def test_secrets_come_back_with_the_passphrase(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keys")
    await keystore.create(ALICE, SECRETS, PASSPHRASE)
    unlocked = await Keystore(tmp_path / "keys").unlock(ALICE, PASSPHRASE)
    assert {name: unlocked.get(name) for name in unlocked.names()} == SECRETS
    assert keystore.members() == (ALICE,)


async def test_the_file_is_private_and_holds_no_secret(tmp_path: Path) -> None:
    await Keystore(tmp_path / "keys").create(ALICE, {"x": b"very secret thing"}, PASSPHRASE)
    path = tmp_path / "keys" / f"{ALICE}.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert b"very secret thing" not in path.read_bytes()
    assert PASSPHRASE.encode() not in path.read_bytes()


async def test_a_wrong_passphrase_opens_nothing(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path)
    await keystore.create(ALICE, SECRETS, PASSPHRASE)
    for wrong in ("", PASSPHRASE + " ", PASSPHRASE.upper(), "\udcff"):
        with pytest.raises(WrongPassphrase) as refused:
            await keystore.unlock(ALICE, wrong)
        assert refused.value.status == "locked", "a wrong passphrase is exit code 4"


async def test_accents_may_be_typed_either_way(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path)
    await keystore.create(ALICE, SECRETS, "cafe\u0301 au lait")
    assert (await keystore.unlock(ALICE, "caf\u00e9 au lait")).names() == tuple(sorted(SECRETS))


async def test_a_weak_passphrase_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keys")
    for weak in ("", "short", "1234567", "   1234   "):
        with pytest.raises(WeakPassphrase):
            await keystore.create(ALICE, SECRETS, weak)
    assert not (tmp_path / "keys").exists()


async def test_keys_are_never_overwritten_and_names_never_leave_the_folder(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keys")
    await keystore.create(ALICE, SECRETS, PASSPHRASE)
    with pytest.raises(KeyExists):
        await keystore.create(ALICE, {}, PASSPHRASE)
    for outside in ("../" + ALICE, ALICE.upper(), "", "x" * 64, f"{ALICE}/../{ALICE}"):
        with pytest.raises(NoKey):
            await keystore.unlock(outside, PASSPHRASE)
    with pytest.raises(NoKey):
        await keystore.unlock(BOB, PASSPHRASE)


async def test_a_secret_is_added_without_the_passphrase(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path)
    unlocked = await keystore.create(ALICE, SECRETS, PASSPHRASE)
    await keystore.add(ALICE, "realm/epoch/2", b"two", unlocked)
    assert unlocked.get("realm/epoch/2") == b"two", "it can be used at once"
    again = await keystore.unlock(ALICE, PASSPHRASE)
    assert again.get("realm/epoch/2") == b"two", "and after a restart"
    assert again.get("realm/signing") == SECRETS["realm/signing"], "the others still stand"


async def test_who_was_locked_meanwhile_adds_nothing(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path)
    unlocked = await keystore.create(ALICE, SECRETS, PASSPHRASE)
    before = (tmp_path / f"{ALICE}.key").read_bytes()
    unlocked.wipe()
    with pytest.raises(WrongPassphrase):
        await keystore.add(ALICE, "realm/epoch/2", b"two", unlocked)
    assert (tmp_path / f"{ALICE}.key").read_bytes() == before


async def test_keys_of_one_member_do_not_open_the_file_of_another(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path)
    alice = await keystore.create(ALICE, SECRETS, PASSPHRASE)
    await keystore.create(BOB, SECRETS, PASSPHRASE)
    (tmp_path / f"{BOB}.key").write_bytes((tmp_path / f"{ALICE}.key").read_bytes())
    with pytest.raises(DamagedKey):
        await keystore.unlock(BOB, PASSPHRASE)
    with pytest.raises(DamagedKey):
        await keystore.add(BOB, "x", b"x", Unlocked(BOB, alice.data_key(), {}))


async def test_a_changed_passphrase_opens_and_the_old_one_does_not(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path)
    unlocked = await keystore.create(ALICE, SECRETS, PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        await keystore.change_passphrase(ALICE, "not that one", "another long one")
    with pytest.raises(WeakPassphrase):
        await keystore.change_passphrase(ALICE, PASSPHRASE, "short")
    await keystore.change_passphrase(ALICE, PASSPHRASE, "another long one")
    with pytest.raises(WrongPassphrase):
        await keystore.unlock(ALICE, PASSPHRASE)
    assert (await keystore.unlock(ALICE, "another long one")).names() == tuple(sorted(SECRETS))
    await keystore.add(ALICE, "more", b"m", unlocked)
    assert (await keystore.unlock(ALICE, "another long one")).get("more") == b"m", (
        "who was unlocked before stays unlocked"
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sealed() -> bytes:
    return sealing.seal(ALICE, b"d" * 32, SECRETS, PASSPHRASE, os.urandom)


def with_checksum(body: bytes) -> bytes:
    import hashlib

    return body + hashlib.blake2b(body, digest_size=32).digest()


def test_no_single_byte_can_be_changed() -> None:
    file = sealed()
    for at in range(len(file)):
        changed = file[:at] + bytes([file[at] ^ 0x41]) + file[at + 1 :]
        with pytest.raises(DamagedKey):
            sealing.unseal(changed, ALICE, PASSPHRASE)


def test_who_can_compute_the_checksum_changes_no_byte_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealing, "MAX_MEMORY", 1 << 20)
    monkeypatch.setattr(sealing, "MAX_PASSES", 9)
    file = sealed()
    body = file[:-32]
    for at in range(len(body)):
        changed = with_checksum(body[:at] + bytes([body[at] ^ 0x01]) + body[at + 1 :])
        with pytest.raises((DamagedKey, WrongPassphrase)):
            sealing.unseal(changed, ALICE, PASSPHRASE)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_any_bytes_are_a_damaged_file_and_nothing_worse(junk: bytes) -> None:
    for file in (
        junk,
        sealing.MAGIC + junk,
        with_checksum(junk),
        with_checksum(sealing.MAGIC + junk),
    ):
        with pytest.raises(DamagedKey):
            sealing.unseal(file, ALICE, PASSPHRASE)


def test_a_file_cannot_ask_for_all_memory() -> None:
    greedy = sealing.Parameters(ALICE, b"s" * 16, 8 << 30, 4)
    import msgspec

    head = msgspec.json.encode(greedy)
    body = sealing.MAGIC + len(head).to_bytes(4, "big") + head + bytes(200)
    with pytest.raises(DamagedKey):
        sealing.unseal(with_checksum(body), ALICE, PASSPHRASE)


async def test_a_crash_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore = Keystore(tmp_path)
    unlocked = await keystore.create(ALICE, SECRETS, PASSPHRASE)

    def power_cut(self: Path, target: Path) -> Path:
        raise OSError("power cut")

    with monkeypatch.context() as crash:
        crash.setattr(Path, "rename", power_cut)
        with pytest.raises(OSError, match="power cut"):
            await keystore.add(ALICE, "realm/epoch/2", b"two", unlocked)
    again = await keystore.unlock(ALICE, PASSPHRASE)
    assert {name: again.get(name) for name in again.names()} == SECRETS
    assert names(tmp_path) == [f"{ALICE}.key"], "no rest is left"
    assert unlocked.find("realm/epoch/2") is None, "what is not durable is not used"


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    """The process dies for real between the new file and the rename."""
    path = tmp_path / "some.key"
    disk.write_private(path, b"old")
    child = os.fork()
    if child == 0:
        Path.rename = lambda *_: os._exit(9)  # type: ignore[method-assign]
        disk.write_private(path, b"new")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    assert path.read_bytes() == b"old"
    disk.write_private(path, b"newer")
    assert path.read_bytes() == b"newer", "what the dead one left is in nobody's way"


def test_the_public_half_of_a_device_follows_its_secrets() -> None:
    unlocked = Unlocked(ALICE, bytes(32), {SIGNING: b"a" * 32, SEALING: b"b" * 32})
    first, again = device_of(unlocked), device_of(unlocked)
    assert again.keys is first.keys, "computed once"
    assert first.keys == DeviceSecrets(b"a" * 32, b"b" * 32).keys
    unlocked.remember(SIGNING, b"c" * 32)
    assert device_of(unlocked).keys == DeviceSecrets(b"c" * 32, b"b" * 32).keys
    unlocked.wipe()
    assert not unlocked.public


def test_wiped_secrets_are_gone() -> None:
    unlocked = Unlocked(ALICE, b"d" * 32, SECRETS)
    unlocked.wipe()
    assert unlocked.names() == ()
    assert unlocked.data_key() == bytes(32)
    assert "sss" not in repr(Unlocked(ALICE, b"d" * 32, SECRETS)), "no secret in a log"


async def test_stretching_does_not_hold_up_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio

    monkeypatch.undo()
    keystore = Keystore(tmp_path)
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await anyio.sleep(0.005)
            longest = max(longest, time.perf_counter() - before)

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        began = time.perf_counter()
        await keystore.create(ALICE, SECRETS, PASSPHRASE)
        took = time.perf_counter() - began
        group.cancel_scope.cancel()
    assert took > 0.02, "a passphrase is stretched for real"
    assert longest < took, "meanwhile others are served"


def test_the_node_key_is_plain_private_and_grows(tmp_path: Path) -> None:
    path = tmp_path / "home" / "node.key"
    key = NodeKey(path)
    assert key.load() == {}
    key.create({"network": b"n" * 32})
    with pytest.raises(FileExistsError):
        key.create({"network": b"other"})
    key.add({"realm": b"r"})
    assert NodeKey(path).load() == {"network": b"n" * 32, "realm": b"r"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for damage in (b"", b"{}", b"\xff", b'{"v":2,"secrets":{}}', b'{"v":1,"secrets":{"a":1}}'):
        path.write_bytes(damage)
        with pytest.raises(DamagedNodeKey):
            key.load()


async def test_a_key_that_is_out_of_use_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keys")
    for number in (1, 2):
        await keystore.create(ALICE, {"device": bytes([number])}, PASSPHRASE)
        await keystore.set_aside(ALICE)
        assert keystore.members() == ()
        with pytest.raises(NoKey):
            await keystore.set_aside(ALICE)
    await keystore.create(ALICE, SECRETS, "another long one")
    assert keystore.members() == (ALICE,)
    kept = sorted(path.name for path in (tmp_path / "keys").glob("*.old"))
    assert kept == [f"{ALICE}.1.old", f"{ALICE}.2.old"], "nothing of a member is ever deleted"
    first = sealing.unseal((tmp_path / "keys" / kept[0]).read_bytes(), ALICE, PASSPHRASE)
    assert first.get("device") == b"\x01", "and it opens as before"


async def test_a_destroyed_key_is_gone_and_was_overwritten(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path)
    await keystore.create(ALICE, {"signing": bytes(32)}, PASSPHRASE)
    path = tmp_path / f"{ALICE}.key"
    link = tmp_path / "another name"
    link.hardlink_to(path)
    before = link.read_bytes()
    await keystore.destroy(ALICE)
    assert keystore.members() == ()
    assert link.read_bytes() == bytes(len(before)), "what the file held is overwritten"
    with pytest.raises(NoKey):
        await keystore.destroy(ALICE)
