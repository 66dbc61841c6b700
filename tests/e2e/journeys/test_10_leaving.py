"""Journey 10: Mia leaves and is forgotten, while one node is cut off.

Four real daemons. Mia lends things, borrows some, writes about herself; then she takes everything
along, brings back what she can, is forgiven the rest, and has her texts and photos erased. What
she wrote is unreadable on every node that answers, each with its receipt; the one that does not is
named. Custody and hashes still verify. Asserted on the command line and through the API, in each
language: nothing here compares sentences.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.neighbourhood import QUICK, House, Said, agree, cli, cut, heal, street, until
from tests.unit.pictures import jpeg

pytestmark = pytest.mark.long
NAME, ABOUT, PHONE = "Mia Lindqvist", "I sing in the choir on Tuesdays", "070 555 12 34"
RECEIPTS_S = 60.0
"""The stated time: docs/guide/leaving.md."""


@pytest.fixture(params=["en", "sv"])
def language(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Daemons and command lines speak it, as far as it is known to them."""
    monkeypatch.setenv("LANGUAGE", request.param)
    monkeypatch.setenv("LANG", {"en": "C.UTF-8", "sv": "sv_SE.UTF-8"}[request.param])
    return str(request.param)


def read_by_people(house: House, *words: str) -> Said:
    """The same for people: something is said, and no gap of a template is left."""
    said = cli(house.home, *words)
    assert said.code == 0, said
    assert said.out.strip()
    assert "{" not in said.out, f"a raw template: {said.out}"
    return said


def left_of(house: House, *secrets: bytes) -> list[tuple[str, bytes]]:
    """The files below a node's home that still hold one of these, whatever their kind."""
    return [
        (str(one.relative_to(house.home)), secret)
        for one in house.home.rglob("*")
        if one.is_file()
        for secret in secrets
        if secret in one.read_bytes()
    ]


def nodes_of(house: House, member: str) -> dict[str, dict[str, Any]]:
    """The receipts as the API and the command line show them, by the node's owner; the same."""
    seen = house.see("member.erasure.show", who=member)
    typed = house.reads("member", "erasure", "show", member)
    assert [(r["node"], r["state"]) for r in typed["nodes"]] == [
        (r["node"], r["state"]) for r in seen["nodes"]
    ]
    assert typed["missing"] == [
        {"node": r["node"], "since": r["since"]} for r in seen["nodes"] if r["state"] == "waiting"
    ]
    return {row["member"]: row for row in seen["nodes"]}


def lend(anna: House, mia: House, number: str) -> str:
    """A thing of the library goes to Mia; the loan."""
    anna.do("resource.add", name=f"Tool {number}", number=number)
    agree(anna, mia)
    loan: str = mia.do("loan.request", resource=number, days=3)["loan"]
    agree(anna, mia)
    anna.do("loan.approve", loan=loan)
    anna.do("loan.handover", loan=loan)
    agree(anna, mia)
    mia.do("loan.accept", loan=loan)
    agree(anna, mia)
    return loan


def test_mia_leaves_and_is_forgotten(language: str, tmp_path: Path) -> None:
    picture = jpeg(60_000, seed=7)
    with street() as elm_street:
        anna, bo, cia, mia = elm_street.community(
            "Anna", "Bo", "Cia", "Mia", roles={"Mia": "member"}, config=QUICK
        )
        everybody = (anna, bo, cia, mia)
        mia.name = mia.member  # what she is called changes, and goes

        # she lived here: texts, a contact for Bo alone, a photo, two loans
        mia.acts("member", "profile", "edit", "--name", NAME)
        mia.acts("member", "profile", "edit", "--about", ABOUT, "--languages", "sv, en")
        mia.do("member.profile.edit", contact=PHONE, readers=["Bo"])
        data = base64.b64encode(picture).decode()
        mia.do("member.profile.edit", photo={"name": "me.jpg", "data": data})
        saw, drill = lend(anna, mia, "7"), lend(anna, mia, "8")
        agree(*everybody)
        assert bo.see("member.profile.show", who=NAME)["several"] is None
        words = {r["field"]: r for r in bo.see("member.profile.show", who=NAME)["fields"]}
        assert (words["about"]["text"], words["contact"]["text"]) == (ABOUT, PHONE)
        words = {r["field"]: r for r in cia.see("member.profile.show", who=NAME)["fields"]}
        assert (words["contact"]["text"], words["contact"]["state"]) == (None, "sealed")
        read_by_people(cia, "member", "profile", "show", NAME)
        secrets = [NAME.encode(), ABOUT.encode()]
        until(lambda: all(left_of(h, ABOUT.encode()) for h in everybody), "all nodes hold it")
        until(lambda: _has_photo(cia), "photos come in the background")
        bundle = tmp_path / "before.bundle"
        bo.acts("bundle", "export", str(bundle))

        # one node is cut off from all
        for other in (anna, bo, mia):
            cut(cia, other)

        # she takes everything along
        out = tmp_path / "mia.zip"
        exported = mia.acts("member", "export", str(out))
        with zipfile.ZipFile(out) as packed:
            documents = {
                name: json.loads(packed.read(name))
                for name in packed.namelist()
                if name.endswith(".json")
            }
            pictures = [packed.read(n) for n in packed.namelist() if n.startswith("files/")]
        assert documents["me.json"]["name"] == NAME
        assert {row["loan"] for row in documents["loans.json"]} == {saw, drill}
        assert len(pictures) == exported["photos"] == 1
        assert {row["text"] for row in documents["profile.json"]} >= {ABOUT, PHONE}

        # she settles: one thing comes back, the other one is forgiven
        said = mia.cli("member", "leave", "--yes", *_who(mia))
        assert (said.code, said.error["code"]) == (1, "unsettled")
        assert mia.do("member.leave", dry_run=True)["open"] == 2
        mia.do("loan.return", loan=saw)
        agree(anna, bo, mia)
        anna.do("loan.receive", loan=saw)
        anna.acts("loan", "forgive", drill, "--reason", "it was worn out", "--yes")
        agree(anna, bo, mia)
        assert mia.do("member.leave", dry_run=True)["open"] == 0
        assert mia.acts("member", "leave", "--dry-run")["open"] == 0

        # she asks to be forgotten, and goes
        began = time.monotonic()
        erased = mia.acts("member", "erase", "--yes")
        assert erased["erased"] == len(erased["erasures"]) == 6
        agree(anna, bo, mia)
        until(
            lambda: _confirmed(anna, mia.member) == {anna.member, bo.member, mia.member},
            "every node that answers has confirmed",
            RECEIPTS_S,
        )
        assert time.monotonic() - began < RECEIPTS_S
        agree(anna, bo, mia)
        gone = mia.acts("member", "leave", "--yes")
        assert gone["left"] is True
        assert gone["verdict"] == "accepted"
        agree(anna, bo, mia)
        assert mia.cli("loan", "request", "7", "--days", "1", *_who(mia)).error["code"] == "no_key"
        assert not list((mia.home / "keys").glob("*.key")), "her keys are destroyed"

        for house in (anna, bo, mia):
            assert not left_of(house, *secrets), "in no file, log, view or notice"
            assert not _has_photo(house)
            nodes = nodes_of(house, mia.member)
            assert {nodes[h.member]["state"] for h in (anna, bo, mia)} == {"confirmed"}
            assert nodes[cia.member]["state"] == "waiting", "who does not answer is named"
            assert nodes[cia.member]["since"]
            rows = {r["member"]: r for r in house.see("member.list")["members"]}
            assert rows[mia.member]["standing"] == "left"
            assert rows[mia.member]["name"] == mia.member[:8]
            read_by_people(house, "member", "erasure", "show", mia.member)
            read_by_people(house, "member", "list")
        assert left_of(cia, ABOUT.encode()), "the node that is cut off still has it"

        # an old bundle brings nothing back, and what must stand stands
        bo.acts("bundle", "import", str(bundle))
        assert not left_of(bo, *secrets)
        steps = {
            row["loan"]: [step["step"] for step in row["steps"]]
            for row in anna.see("loan.list")["loans"]
        }
        assert steps[saw] == ["request", "approve", "handover", "accept", "return", "receive"]
        assert steps[drill] == ["request", "approve", "handover", "accept"]
        archive = tmp_path / "street.archive"
        written = anna.acts("community", "archive", str(archive), "--script")
        alone = [sys.executable, "-I", "-S", written["script"], str(archive)]
        said_alone = subprocess.run(alone, capture_output=True, text=True, check=False, timeout=60)
        assert said_alone.returncode == 0, f"it is true without the program, too: {said_alone}"
        assert written["state_hash"] in said_alone.stdout
        checked = bo.cli("community", "verify", str(archive))
        assert checked.code == 0, checked
        verified = json.loads(checked.out)
        assert verified["verified"] is True
        assert verified["state_hash"] == written["state_hash"] == anna.hashes()[1]
        assert not [s for s in secrets if s in archive.read_bytes()]

        # the node comes back, hears of it, and confirms
        for other in (anna, bo, mia):
            heal(cia, other)
        agree(*everybody)
        until(
            lambda: cia.member in _confirmed(anna, mia.member),
            "who comes back confirms",
            RECEIPTS_S,
        )
        assert not left_of(cia, *secrets)
        agree(*everybody)
        assert anna.see("member.erasure.show", who=mia.member)["waiting"] is None
        assert {house.hashes() for house in everybody} == {anna.hashes()}


def _who(house: House) -> list[str]:
    return ["--as", house.member, "--passphrase-file", str(house.passphrase_file)]


def _has_photo(house: House) -> bool:
    """Whether any byte of a large part is in the node's file."""
    return bool(house.query("SELECT 1 FROM chunks LIMIT 1"))


def _confirmed(house: House, member: str) -> set[str]:
    rows = house.see("member.erasure.show", who=member)["nodes"]
    return {row["member"] for row in rows if row["state"] == "confirmed"}
