"""A member takes everything along: each domain's share, from what really happened in a street."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, House, street
from tests.unit.pictures import jpeg

from commons_node.api.client import Client
from commons_node.domains import DOMAINS
from commons_node.domains.resources.photos import strip

pytestmark = pytest.mark.long
ABOUT, NOTE, WHY = "I repair bicycles", "the drill came back clean", "a key was lent on"
Do = Callable[..., dict[str, Any]]


def lodger(alice: House, name: str, role: str) -> tuple[str, Do]:
    """Somebody moves in whose keys are kept on Alice's machine; the member, and how they act."""
    client = Client(alice._socket)
    joined = client.command(
        "join", {"code": alice.invite(), "member": name, "passphrase": PASSPHRASE}, 60
    )
    client.session = joined["session"]
    alice.do("member.role", who=name, role=role)

    def do(verb: str, /, **arguments: Any) -> dict[str, Any]:
        return dict(client.command(verb, arguments, 60))

    return joined["member"], do


def lent(giver: Do, taker: Do, number: str, picture: bytes) -> str:
    """A thing goes out and comes back by two signatures each way; the loan."""
    giver("resource.add", name=f"Tool {number}", number=number)
    photo = {"name": "tool.jpg", "data": base64.b64encode(picture).decode()}
    giver("resource.photo.add", resource=number, file=photo)
    loan: str = taker("loan.request", resource=number, days=3)["loan"]
    for who, step in (
        (giver, "approve"), (giver, "handover"), (taker, "accept"), (taker, "return"),
        (giver, "receive"),
    ):  # fmt: skip
        who(f"loan.{step}", loan=loan)
    return loan


def taken(do: Do, path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What an export holds: its documents, and its files."""
    do("member.export", file=str(path))
    with zipfile.ZipFile(path) as packed:
        assert packed.testzip() is None
        held = {name: packed.read(name) for name in packed.namelist()}
    files = {name: data for name, data in held.items() if name.startswith("files/")}
    return {n: json.loads(data) for n, data in held.items() if n.endswith(".json")}, files


def test_what_a_member_did_and_what_was_said_of_them_goes_along(tmp_path: Path) -> None:
    face, tool = jpeg(40_000, seed=1), jpeg(50_000, seed=2)
    with street() as elm_street:
        (alice,) = elm_street.build("alice")
        alice.found()
        bob_id, bob = lodger(alice, "bob", "steward")
        cia_id, cia = lodger(alice, "cia", "steward")
        photo = {"name": "me.jpg", "data": base64.b64encode(face).decode()}
        bob("member.profile.edit", about=ABOUT, photo=photo)
        borrowed, given = lent(cia, bob, "1", tool), lent(bob, cia, "2", tool)
        words = {"on_time": "yes", "condition": "3", "communication": "2"}
        bob("reputation.attest", loan=borrowed, note=NOTE, **words)
        cia("reputation.attest", loan=given, **words)
        space = alice.do("space.create", name="Café", hours="24/7")["space"]
        code = alice.do("space.code", space=space)["code"]
        came = bob("checkin.create", space=space, code=code)
        bob("checkin.publish", to=["cia"])
        bob("member.guardian.set", members=["alice", "cia"], threshold=2)
        alice.do("community.propose", what="constitution", set=["vouches=3"])
        alice.do("member.suspend", who="cia", **{"for": 172800}, note=WHY)

        bobs, files = taken(bob, tmp_path / "bob.zip")
        alices, _none = taken(alice.do, tmp_path / "alice.zip")

    for domain in DOMAINS:
        for one in domain.files:
            mine = alices if domain.name in {"council", "sanctions"} else bobs
            mine = mine if one.file != "vouches.json" else {one.file: True}
            assert mine[one.file], f"{domain.name} has its share in {one.file}"
    assert sorted(files.values()) == sorted(strip("x", data).data for data in (face, tool))
    named = [name for one in bobs["operations.json"] for name in one["files"]]
    assert sorted(named) == sorted(files), "each file is that of an operation"

    loans = {one["loan"]: one["borrower"] for one in bobs["loans.json"]}
    assert loans == {borrowed: bob_id, given: cia_id}, "what was borrowed, and what was lent"
    assert {one["text"] for one in bobs["profile.json"]} >= {ABOUT}
    (checkin,) = bobs["checkins.json"]
    assert (checkin["checkin"], checkin["space_name"]) == (came["checkin"], "Café")
    assert [one["to"] for one in checkin["shown"]] == [["cia"]]
    assert {one["entry"] for one in bobs["own.json"]} == {"checkin", "shown"}
    of_bob = {one["about"]: one for one in bobs["words.json"]}
    assert (of_bob[cia_id]["state"], of_bob[cia_id]["note"]) == ("sealed", NOTE)
    assert of_bob[cia_id]["communication"] == 2, "what bob sealed, bob reads"
    assert of_bob[bob_id]["communication"] is None, "what is sealed of him is not opened"
    guards = {one["name"] for one in bobs["identity.json"] if one["what"] == "guardian"}
    assert guards == {"alice", "cia"}
    assert {one["member"] for one in bobs["operations.json"]} == {bob_id}
    kinds = {one["kind"] for one in bobs["said.json"]}
    assert {"membership.role.1", "reputation.attest.1", "membership.admit.1"} <= kinds, kinds
    assert bob_id not in {one["member"] for one in bobs["said.json"]}
    (vote,) = alices["council.json"]
    assert vote["says"].startswith("alice proposed to the council"), vote
    (taken_away,) = alices["sanctions.json"]
    assert (taken_away["member"], taken_away["reasons"]) == (cia_id, [WHY])
