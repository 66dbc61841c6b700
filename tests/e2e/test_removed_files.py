"""A removed member's real home directory, all of it, tried on what was written after the removal.

Bob's node is stopped, and what it knew is what lies on its disk. Then alice removes him; her node
makes new epoch keys and goes on. Every secret that can be got out of bob's files (he knows his
passphrase), and every 32 bytes that stand in any of them, is tried on everything new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, House, Street, agree, street

from commons_crdt import canonical
from commons_crdt.authority.facts import Epoch
from commons_crdt.device import unseal
from commons_crdt.errors import Refused
from commons_crdt.ids import digest
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.store import Keystore
from commons_protocol.gossip import Channel

KEY = 32
SEALED = 80


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


class Held(NamedTuple):
    """What a home amounts to: secrets by name, and the bytes of every file."""

    secrets: dict[str, bytes]
    files: dict[str, bytes]


def held(home: Path, member: str) -> Held:
    """All that the home's owner gets out of it."""
    secrets = {f"node.key {name}": s for name, s in NodeKey(home / "node.key").load().items()}
    keystore = Keystore(home / "keys")
    for one in keystore.members():
        unlocked = asyncio.run(keystore.unlock(one, PASSPHRASE))
        secrets |= {f"keys {name}": unlocked.get(name) for name in unlocked.names()}
    assert member in keystore.members()
    files = {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}
    return Held(secrets, files)


def epochs(house: House) -> list[Epoch]:
    rows = house.query("SELECT body FROM operations WHERE kind = 'membership.epoch.1' ORDER BY n")
    return [decode_fact(Epoch, content(body)) for (body,) in rows]


def boxes(house: House) -> set[bytes]:
    """Every sealed key that any operation carries: of epochs, admissions, grants."""
    found: set[bytes] = set()

    def look(value: object) -> None:
        if isinstance(value, bytes) and len(value) == SEALED:
            found.add(value)
        for one in value if isinstance(value, list) else ():
            look(one)

    for (body,) in house.query("SELECT body FROM operations WHERE body IS NOT NULL"):
        with suppress(Refused):  # what holds Automerge carries no keys
            look(canonical.decode(content(body), len(body)))
    return found


def opened(held_: Held, sealed: set[bytes], epoch: Epoch) -> bytes | None:
    """The key of an epoch, by any secret on any sealed key."""
    for secret in held_.secrets.values():
        for box in sealed if len(secret) == KEY else ():
            key = unseal(box, secret)
            if key is not None and digest("epoch", key) == epoch.commitment:
                return key
    return None


def in_plain(held_: Held, epoch: Epoch) -> str | None:
    """The file in which the key of an epoch stands as it is, at any offset."""
    for name, data in held_.files.items():
        for at in range(len(data) - KEY + 1):
            if digest("epoch", data[at : at + KEY]) == epoch.commitment:
                return name
    return None


def reads(key: bytes, sealed: bytes) -> bool:
    try:
        Channel.of(key).open(sealed)
    except Refused:
        return False
    return True


@pytest.mark.long
def test_a_removed_members_files_open_nothing_that_was_written_afterwards(
    elm_street: Street,
) -> None:
    alice, bob = elm_street.community("alice", "bob", roles={"bob": "member"})
    agree(alice, bob)
    before = epochs(bob)
    bob.stop()
    his = held(bob.home, bob.member)
    assert len(his.secrets) >= 5, f"the home gives its secrets: {sorted(his.secrets)}"
    assert any(name.endswith(".db") for name in his.files)

    assert alice.do("member.remove", who="bob", reason="security")["verdict"] == "accepted"
    made = alice.do("invite.create")["invite"]
    after = epochs(alice)[len(before) :]
    assert len(after) == 1, "new keys were made at once"

    sealed = boxes(alice)
    hers = held(alice.home, alice.member)
    old, new = [opened(hers, sealed, epoch) for epoch in (before[-1], after[0])]
    assert old is not None
    assert new is not None
    assert opened(his, sealed, before[-1]) == old, "the sweep finds what the files do open"
    message = Channel.of(new).seal(b"\x82\x02" + b"\x58\x20" + bytes(32), bytes(12))
    told = Channel.of(old).seal(b"\x82\x02" + b"\x58\x20" + bytes(32), bytes(12))
    assert reads(new, message)
    assert reads(old, told), "what was written before, he could read, and can"

    assert opened(his, sealed, after[0]) is None, "no secret of his opens a share of the new epoch"
    assert in_plain(his, after[0]) is None, "and its key stands nowhere on his disk"
    known = [key for key in (opened(his, sealed, epoch) for epoch in before) if key is not None]
    assert known
    tried = [*known, *(s for s in his.secrets.values() if len(s) == KEY)]
    assert not any(reads(key, message) for key in tried)

    # started again it asks everybody, and gets nothing of it
    bob.again()
    bob.do("peer.connect", address=alice.address)
    assert bob.refused("sync.wait", peer=[alice.node], timeout=1).code == "not_converged"
    now = held(bob.home, bob.member)
    assert not any(bytes.fromhex(made) in data for data in now.files.values())
    assert opened(now, sealed, after[0]) is None
