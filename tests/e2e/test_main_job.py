"""The main job through the command line: a real inventory, one drill, three nodes, cut lines."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.neighbourhood import (
    House,
    Said,
    agree,
    alive,
    children_of,
    clean_environment,
    cut,
    heal,
    meet,
    street,
    until,
)

INVENTORY = Path(__file__).parents[2] / "examples" / "tool_library_inventory.csv"
HEX = re.compile(r"[0-9a-f]{64}\Z")
UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z\Z")
DRILL = "1622"


@pytest.fixture(scope="module")
def neighbours() -> Iterator[list[House]]:
    """Alice founded the community, Bob is a newcomer, Cleo a steward; each has a node."""
    with street() as elm_street:
        yield elm_street.community("alice", "bob", "cleo", roles={"cleo": "steward"})


def is_write(answer: Mapping[str, Any]) -> str:
    """A write says which operation it was and what became of it."""
    assert HEX.match(answer["operation"]), answer
    assert (answer["verdict"], answer["reason"]) == ("accepted", ""), answer
    return str(answer["operation"])


def is_reading(answer: Mapping[str, Any]) -> None:
    """A view says how far it can be trusted."""
    assert set(answer) >= {"as_of", "missing", "conflicts"}, sorted(answer)
    assert isinstance(answer["missing"], list)
    assert isinstance(answer["conflicts"], list)


def test_a_drill_is_shared_lent_while_cut_off_and_returned_elsewhere(
    neighbours: list[House],
) -> None:
    alice, bob, cleo = neighbours
    with INVENTORY.open(encoding="utf-8", newline="") as file:
        things = list(csv.DictReader(file))

    # the inventory comes in, every row of it
    imported = alice.acts("resource", "import", str(INVENTORY))
    counts = {key: imported[key] for key in ("read", "created", "updated", "failed")}
    assert counts == {"read": 200, "created": 200, "updated": 0, "failed": 0}
    assert imported["operations"] >= 200, "each thing is an operation, and so is its kind"
    assert [row["number"] for row in imported["rows"]] == [thing["number"] for thing in things]
    assert [row["row"] for row in imported["rows"]] == list(range(2, 202)), "as in a spreadsheet"
    for row in imported["rows"]:
        assert set(row) >= {"row", "number", "outcome", "reason", "resource"}
        assert row["outcome"] == "created"
        assert HEX.match(row["resource"])
    again = alice.acts("resource", "import", str(INVENTORY))
    assert (again["created"], again["updated"], again["operations"]) == (0, 0, 0), (
        "the same file once more changes nothing"
    )
    agree(alice, bob, cleo)

    listed = bob.reads("resource", "list")
    is_reading(listed)
    assert len(listed["resources"]) == 200, "Bob sees what Alice brought in"
    for thing in listed["resources"]:
        assert set(thing) >= {"resource", "number", "name", "state", "custodian", "loan"}
    found = bob.reads("resource", "list", "--query", "cordless drill ryobi")["resources"]
    drill = next(one for one in found if one["number"] == DRILL)
    assert (drill["number"], drill["state"], drill["loan"]) == (DRILL, "available", None)
    assert drill["custodian"] == alice.member
    for selector in (DRILL, drill["resource"], drill["resource"][:8]):
        shown = bob.reads("resource", "show", selector)
        is_reading(shown)
        assert shown["resource"] == drill["resource"], f"the drill is found as {selector}"
        assert shown["quantity"] == 1, "an empty quantity is one"
    uncounted = bob.reads("resource", "show", "101")
    assert (uncounted["uncounted"], uncounted["quantity"]) == (True, None), "box cutters: Uncounted"
    once = next(
        t["name"] for t in things if sum(o["name"].lower() == t["name"].lower() for o in things) < 2
    )
    assert bob.reads("resource", "show", once.upper())["name"] == once, "names have no case"
    for words, code, kind in (
        (("resource", "show", "Cordless Drill"), 2, "ambiguous"),
        (("resource", "show", "no such thing"), 1, "unknown"),
        (("resource", "show", "0" * 16), 1, "unknown"),
        (("resource", "list", "--state", "broken"), 2, "usage"),
        (("loan", "show", "f" * 12), 1, "unknown"),
    ):
        said = bob.cli(*words)
        assert (said.code, said.error["code"]) == (code, kind), words
        assert said.error["message"]

    # Cleo's line is cut
    cut(alice, cleo)
    cut(bob, cleo)
    before = refused_dials(alice)
    unreached = cleo.cli("peer", "connect", bob.address)
    assert (unreached.code, unreached.error["code"]) == (1, "blocked"), "Cleo blocks Bob herself"
    cleo.do("peer.unblock", node=alice.node)
    said = cleo.cli("peer", "connect", alice.address, "--timeout", "15")
    assert (said.code, said.error["code"]) == (1, "unreachable"), "nor is she let in by Alice"
    assert refused_dials(alice) > before, "and the refused dial is counted"
    cleo.do("peer.block", node=alice.node)
    states = {p["node"]: p for p in alice.reads("peer", "list")["peers"]}
    assert states[cleo.node]["blocked"] is True
    assert states[cleo.node]["sync"]["state"] == "blocked"

    # request, approve, two signatures
    asked = bob.acts("loan", "request", DRILL, "--days", "3")
    loan = is_write(asked)
    assert (asked["loan"], asked["resource"]) == (loan, drill["resource"])
    assert (asked["borrower"], asked["state"]) == (bob.member, "requested")
    refused(bob, ("loan", "approve", loan), 4, "not_permitted")
    alice.do("sync.wait", peer=[bob.node])
    refused(alice, ("loan", "handover", loan), 1, "state")
    approved = alice.acts("loan", "approve", loan[:10])
    is_write(approved)
    assert (approved["loan"], approved["state"]) == (loan, "approved")
    refused(alice, ("loan", "approve", loan), 1, "state")
    offered = alice.acts("loan", "handover", DRILL)
    is_write(offered)
    assert (offered["loan"], offered["state"]) == (loan, "offered")
    assert isinstance(offered["offer"], str)
    bob.do("sync.wait", peer=[alice.node])
    refused(alice, ("loan", "accept", loan), 1, "state")
    taken = bob.acts("loan", "accept", loan)
    is_write(taken)
    assert (taken["loan"], taken["state"]) == (loan, "on_loan")
    assert taken["custodian"] == bob.member
    assert UTC.match(taken["due"])
    refused(bob, ("loan", "accept", loan), 1, "state")
    alice.do("sync.wait", peer=[bob.node])
    seen = alice.reads("resource", "show", DRILL)
    assert (seen["state"], seen["custodian"], seen["loan"]) == ("on_loan", bob.member, loan)
    assert cleo.cli("loan", "show", loan).code == 1, "Cleo has not heard of it"
    assert cleo.reads("resource", "show", DRILL)["state"] == "available"

    # Bob reaches only Cleo, and returns it there
    cut(alice, bob)
    heal(bob, cleo)
    given_back = bob.acts("loan", "return", loan)
    is_write(given_back)
    assert given_back["state"] == "returning"
    meet(bob, cleo)
    received = cleo.acts("loan", "receive", loan, "--condition", "ok")
    is_write(received)
    assert (received["loan"], received["state"]) == (loan, "returned")
    assert received["custodian"] == cleo.member
    assert isinstance(received["provisional"], bool)
    assert alice.reads("loan", "show", loan)["state"] == "on_loan", "Alice can't know it yet"

    # the lines heal
    heal(alice, bob)
    heal(alice, cleo)
    agree(alice, bob, cleo)
    for house in neighbours:
        shown = house.reads("loan", "show", loan)
        is_reading(shown)
        assert (shown["loan"], shown["resource"]) == (loan, drill["resource"])
        assert (shown["state"], shown["overdue"]) == ("returned", False)
        assert UTC.match(shown["due"])
        steps = [(step["step"], step["member"]) for step in shown["steps"]]
        assert steps == [
            ("request", bob.member), ("approve", alice.member), ("handover", alice.member),
            ("accept", bob.member), ("return", bob.member), ("receive", cleo.member),
        ], f"{house.name} tells the whole story"  # fmt: skip
        for step in shown["steps"]:
            assert set(step) >= {"step", "member", "device", "node", "time", "operation"}
            assert HEX.match(step["device"])
            assert HEX.match(step["operation"])
            assert UTC.match(step["time"])
            assert step["node"] is None or HEX.match(step["node"])
        assert len({step["device"] for step in shown["steps"]}) == 3, "three people's devices"
        thing = house.reads("resource", "show", DRILL)
        assert (thing["state"], thing["custodian"]) == ("available", cleo.member)
        assert house.operations()["contested"] == house.operations()["rejected"] == 0

    why = cleo.reads("explain", received["operation"])
    assert set(why) >= {"operation", "verdict", "reason", "sentence", "because"}
    assert (why["verdict"], why["author"]) == ("accepted", "cleo")
    hashes = [house.reads("community", "hash") for house in neighbours]
    assert all(set(h) >= {"community", "operations", "set_hash", "state_hash"} for h in hashes), (
        "the hash says of what"
    )
    assert len({(h["set_hash"], h["state_hash"]) for h in hashes}) == 1, "the same truth"
    status = alice.reads("status")
    assert set(status) >= {
        "version", "node", "uptime_s", "ready", "communities", "refusals", "peers",
    }  # fmt: skip
    (community,) = status["communities"]
    assert set(community) >= {
        "community", "name", "operations", "set_hash", "state_hash", "sync",
    }  # fmt: skip
    assert set(community["operations"]) == {
        "accepted", "pending", "rejected", "contested", "unknown",
    }  # fmt: skip
    assert community["sync"] == "synced"


def test_a_loan_that_is_declined_and_one_between_two_times(neighbours: list[House]) -> None:
    alice, bob, _ = neighbours
    if not alice.see("resource.list")["resources"]:
        alice.acts("resource", "import", str(INVENTORY))
    agree(alice, bob)
    asked = bob.acts(
        "loan", "request", "101", "--from", "2031-05-01T09:00:00Z", "--to", "2031-05-04T18:00:00Z"
    )
    loan = is_write(asked)
    alice.do("sync.wait", peer=[bob.node])
    declined = alice.acts("loan", "decline", loan, "--reason", "they are all out, sorry")
    is_write(declined)
    assert declined["state"] == "declined"
    bob.do("sync.wait", peer=[alice.node])
    shown = bob.reads("loan", "show", loan)
    assert shown["state"] == "declined"
    assert shown["reason_given"] == "they are all out, sorry", "Bob is told why"
    refused(bob, ("loan", "return", loan), 1, "state")
    refused(bob, ("loan", "request", "101", "--days", "0"), 2, "usage")
    backwards = ("--from", "2031-05-04T09:00:00Z", "--to", "2031-05-01T09:00:00Z")
    refused(bob, ("loan", "request", "101", *backwards), 2, None)
    assert loan in {one["loan"] for one in bob.acts("loan", "list", "--mine")["loans"]}


def refused_dials(house: House) -> int:
    return sum(n for code, n in house.refusals().items() if code.startswith("refused_dials"))


def refused(house: House, words: tuple[str, ...], code: int, kind: str | None) -> Said:
    """The house's member says this on the command line, and is told why not."""
    who = ("--as", house.name, "--passphrase-file", str(house.passphrase_file))
    said = house.cli(*words, *who)
    assert said.code == code, (words, said)
    assert kind in {None, said.error["code"]}, (words, said)
    return said


def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**clean_environment(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    assert Path(tempfile.gettempdir()) != tmp_path
    demo = subprocess.Popen(
        [sys.executable, "-m", "commons_cli.main", "demo", "--json"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    daemons: set[int] = set()
    try:

        def look() -> bool:
            daemons.update(children_of(demo.pid))
            return len(daemons) >= 3

        until(look, "three daemons of its own", 60)
        out, err = demo.communicate(timeout=150)
    finally:
        demo.kill()
    assert demo.returncode == 0, err
    (line,) = out.splitlines()
    told = json.loads(line)
    assert (told["v"], told["ok"], told["converged"]) == (1, True, True)
    assert (told["nodes"], told["items"]) == (3, 200)
    assert told["operations"] > 200
    assert told["refused_dials"] > 0, "the cut was real"
    assert len(told["state_hashes"]) == 3
    assert len(set(told["state_hashes"])) == 1, "all three hold the same truth"
    assert all(set(step) == {"step", "seconds"} for step in told["steps"])
    assert told["seconds"] < 120
    until(lambda: not any(map(alive, daemons)), "no process is left behind", 10)
    assert list(tmp_path.iterdir()) == [], "no file is left behind"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_a_demo_that_is_stopped_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    environment = {**clean_environment(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(
        [sys.executable, "-m", "commons_cli.main", "demo"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    daemons: set[int] = set()
    try:

        def look() -> bool:
            daemons.update(children_of(demo.pid))
            return len(daemons) >= 3

        until(look, "three daemons of its own", 60)
        demo.send_signal(number)
        _, err = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 130, f"it was interrupted: {err}"
    assert "Traceback" not in err, "a person is not shown a traceback"
    until(lambda: not any(map(alive, daemons)), "no process is left behind", 10)
    assert list(tmp_path.iterdir()) == [], "no file is left behind"
