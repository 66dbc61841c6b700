"""A real node on homes that earlier programs wrote: what they held is there, and it goes on."""

from __future__ import annotations

import base64
import shutil

import pytest
from tests.e2e.neighbourhood import Street, cli, street
from tests.e2e.safes import Safe
from tests.homes import make
from tests.homes.lived_in import photo

pytestmark = pytest.mark.long
OLD = make.names()


def test_each_schema_number_of_each_file_has_a_home() -> None:
    assert make.lacking() == []
    assert len(OLD) >= 8


@pytest.mark.parametrize("name", OLD)
def test_its_member_unlocks_and_writes(name: str) -> None:
    with street() as elm_street:
        home = elm_street.folder / "alice"
        known = make.unpack(name, home)
        (alice,) = elm_street.build("alice")
        alice.member = known["member"]
        assert alice.verdicts() == known["verdicts"], "each act is judged as it was"
        assert alice.hashes() == (known["set"], known["state"])
        assert alice.see("status")["repaired"] == []
        assert known["peer"] in {one["node"] for one in alice.see("peer.list")["peers"]}
        things = alice.see("resource.list")["resources"]
        assert [one["name"] for one in things] == ["Drill"], "the lamp was erased"
        assert [one["state"] for one in alice.see("loan.list")["loans"]] == ["requested"]
        if known["photo"]:
            seen = alice.see("resource.photo.show", resource="1", out="d.jpg")
            assert base64.b64decode(seen["picture"]) in photo()
        if "jobs.db" in known["schemas"]:
            states = {one["job"]: one["state"] for one in alice.see("job.list")["jobs"]}
            assert states["tidy"] == "paused"
            assert alice.see("job.show", job="figures")["last_state"] == "done"
        alice.unlock()
        written = alice.do("resource.add", name="Saw", number="7")
        assert written["verdict"] == "accepted"
        assert alice.verdicts()[written["operation"]] == 1
        assert alice.stop() == 0
        alice.assert_whole()
        assert not list(home.rglob("*before*"))
        assert written["operation"] in alice.verdicts(), "and it is on the disk"


@pytest.mark.parametrize("version", [1, 2])
def test_its_backup_is_read_and_restored(version: int) -> None:
    """Lists of contents of each earlier version, as the programs of then wrote them."""
    name = next(one for one in OLD if make.known(one)["backup"] == version)
    with street() as elm_street:
        safe = Safe(elm_street.folder)
        known = make.unpack(name, elm_street.folder / "then")
        shutil.move(elm_street.folder / "then" / "safe", safe.path)
        found = safe.does("verify", elm_street.folder)
        assert found.code == 0, found
        assert found.json["state_hash"] == known["state"]
        home = elm_street.folder / "alice"
        said = cli(home, "backup", "restore", str(safe.path), "--passphrase-file",
                   str(safe.phrase), "--alone", "--yes", "--json")  # fmt: skip
        assert said.code == 0, said
        goes_on(elm_street, known)


def goes_on(elm_street: Street, known: dict[str, object]) -> None:
    """The restored home shows what was backed up, and its member writes with a new device."""
    (alice,) = elm_street.build("alice")
    assert alice.hashes() == (known["set"], known["state"])
    alice.member = str(known["member"])
    alice.unlock()
    assert alice.do("resource.add", name="Saw", number="7")["verdict"] == "accepted"
