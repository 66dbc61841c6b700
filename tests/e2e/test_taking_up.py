"""What a lost machine left for one member alone, taken up on a machine that fails meanwhile."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.disks import disk
from tests.e2e.dying import STEPS
from tests.e2e.neighbourhood import PASSPHRASE, House, Street, street, until
from tests.e2e.safes import Safe, lose
from tests.e2e.test_damaged_pages import repaired, sound
from tests.e2e.test_own_restored import authors, listed, lost, realms

from commons_crdt.ids import RealmId
from commons_node.api.client import ApiError
from commons_node.domains.own.entries import Left as GoneHome
from commons_node.keystore.store import Keystore
from commons_node.own.lost import LostRealms
from commons_node.own.realms import GONE

pytestmark = pytest.mark.long


class Restored(House):
    """A house that has taken up nothing yet, whose node waits for nobody; see `dying`."""

    module = "tests.e2e.dying"


class Left:
    """Alice's backup: she was at her own café, and left it again. Her machine is gone."""

    def __init__(self, elm_street: Street) -> None:
        self.street, self.safe = elm_street, Safe(elm_street.folder)
        (alice,) = elm_street.build("alice")
        alice.found()
        space = alice.do("space.create", name="Café", hours="24/7")["space"]
        code = alice.do("space.code", space=space)["code"]
        alice.do("checkin.create", space="Café", code=code)
        alice.do("checkin.end")
        (self.realm,), self.devices = realms(alice), set(authors(alice))
        self.member = alice.member
        self.safe.of(alice)
        lose(alice)
        self.restored = elm_street.folder / "restored"
        said = self.safe.does("restore", self.restored, "--alone", "--yes")
        assert said.code == 0, said

    def home(self, name: str) -> Path:
        """A home that was made of it, and never run."""
        return Path(shutil.copytree(self.restored, self.street.folder / name))

    def house(self, home: Path, **surroundings: str) -> Restored:
        made = Restored(home.name, home, surroundings=surroundings)
        made.member = self.member
        self.street.houses.append(made)
        made.ready()
        return made

    def taken_up(self, house: House) -> None:
        """All of it is in a new realm, once, and no old key has written there."""
        until(lambda: not lost(house), "it is taken up")
        until(lambda: listed(house) == [("Café", "left")], "she sees what she did")
        (new,) = realms(house)
        assert new != self.realm
        until(lambda: sum(authors(house).values()) >= 4, "a note, what she did, a blank of today")
        (written,) = authors(house).values()
        assert written == 4, "each once"
        assert not self.devices & set(authors(house)), "by a new key"


@pytest.fixture(scope="module")
def left() -> Iterator[Left]:
    with street() as made:
        yield Left(made)


def test_killed_at_each_step(left: Left) -> None:
    """The next start goes on where it was; nothing is lost, and nothing is there twice."""
    step, *others = STEPS
    alice = left.house(left.home("killed"), DIES_AT=step)
    for then in [*others, ""]:
        with suppress(ApiError, OSError):
            alice.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
        assert alice.process.wait(30) == -signal.SIGKILL, f"it died where {step}"
        assert (step == "the lost file is gone") != (lost(alice) == {left.realm}), step
        alice.surroundings, step = {"DIES_AT": then}, then
        alice.again()
    assert len(realms(alice)) == 1, "what was begun and never founded is swept"
    alice.unlock()
    left.taken_up(alice)
    alice.stop()
    alice.assert_whole()


def test_the_disk_is_full(left: Left) -> None:
    """Nothing of it is half gone; with room again it goes on by itself."""
    home = left.home("full")
    kept = home / "own-as-restored"
    (home / "own").rename(kept)
    size = sum(one.stat().st_size for one in kept.rglob("*")) + 64 * 1024
    with disk(home / "own", f"{size}") as small:
        shutil.copytree(kept, home / "own", dirs_exist_ok=True)
        small.fill()
        alice = left.house(home)
        try:
            alice.unlock()
            until(lambda: "disk is full" in alice.whole_log(), "it met the end of the disk")
            assert lost(alice) == {left.realm}
            assert small.filled == 1
            small.remount("size=32m")
            left.taken_up(alice)
        finally:
            alice.end()


def test_the_disk_has_damaged_it(left: Left) -> None:
    """Beyond repair it stands aside, with what opens it; what reads is taken up, the rest named."""
    home = left.home("damaged")
    file = home / "own" / "lost" / f"{left.realm}.db"
    whole = file.read_bytes()
    file.write_bytes(b"\xa5" * len(whole))
    with closing(sqlite3.connect(home / "node.db")) as own:
        assert own.execute("DELETE FROM settings WHERE name LIKE 'standing/%'").rowcount
        own.commit()
    alice = left.house(home)
    warning = str(alice.see("status")["warning"])
    assert "too little reads" in warning
    assert "backup restore" in warning
    alice.unlock()
    until(lambda: len(realms(alice)) == 1, "she goes on in a new realm")
    assert listed(alice) == []
    alice.stop()
    assert lost(alice) == {left.realm}

    file.write_bytes(whole)  # somebody had a copy of it
    change(file, left.member)
    assert sound(file), "it is as good as any to SQLite"
    alice.again()
    assert repaired(alice) == [file.name]
    assert "only the backup" in str(alice.see("status")["warning"])
    alice.unlock()
    until(lambda: listed(alice) == [("Café", "here")], "what reads is shown: that she came")
    until(lambda: not lost(alice), "and taken up: what opens it was kept")
    assert len(realms(alice)) == 1


def change(file: Path, member: str) -> None:
    """Another byte in the sealed entry that says that she left; by what her key file has kept."""
    keys = Keystore(file.parents[2] / "keys")
    kept = asyncio.run(keys.unlock(member, PASSPHRASE)).get(GONE)
    entries = LostRealms(file.parent).entries(RealmId(kept[:32]), kept[32:])
    (ident,) = (ident for ident, entry in entries if isinstance(entry, GoneHome))
    with closing(sqlite3.connect(file)) as opened:
        query = "SELECT body FROM operations WHERE id = ?"
        ((body,),) = opened.execute(query, (ident,)).fetchall()
        other = body[:600] + bytes([body[600] ^ 1]) + body[601:]
        opened.execute("UPDATE operations SET body = ? WHERE id = ?", (other, ident))
        opened.commit()
