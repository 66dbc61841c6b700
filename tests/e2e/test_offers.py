"""Hand-overs between nodes that do not reach each other: by a file, by a short code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import House, agree, alive, cut, heal, misread, street

CSV = "number,name\n1,Drill\n2,Saw\n3,Ladder\n4,Rake\n"


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[House]]:
    things = tmp_path_factory.mktemp("csv") / "things.csv"
    things.write_text(CSV)
    with street() as elm_street:
        houses = elm_street.community("alice", "bob", "cleo", roles={"cleo": "steward"})
        houses[0].acts("resource", "import", str(things))
        agree(*houses)
        yield houses


def pairs(houses: list[House]) -> list[tuple[House, House]]:
    alice, bob, cleo = houses
    return [(alice, bob), (alice, cleo), (bob, cleo)]


def all_cut(houses: list[House]) -> None:
    """Nobody reaches anybody."""
    for one, other in pairs(houses):
        cut(one, other)


def all_healed(houses: list[House]) -> None:
    """Everybody reaches everybody again, and all agree."""
    for one, other in pairs(houses):
        heal(one, other)
    agree(*houses)


@pytest.fixture(autouse=True)
def together(neighbours: list[House]) -> Iterator[None]:
    """However a test leaves the lines: the next one begins and all end with the same truth."""
    yield
    assert all(alive(house.process.pid) for house in neighbours), "all nodes are healthy"
    all_healed(neighbours)
    for house in neighbours:
        assert house.operations()["contested"] == 0


def carried(house: House, words: tuple[str, ...], file: Path) -> tuple[str, Path]:
    """The offer that a command answers with, as a code and as a file."""
    answer = house.acts(*words, "--out", str(file))
    assert file.stat().st_size > 0, "the file is written"
    assert "file" not in answer, "and not printed"
    return str(answer["offer"]), file


def borrowed(alice: House, bob: House, number: str) -> str:
    """A loan that is with Bob, made while the two could talk; they agree on it."""
    loan: str = bob.do("loan.request", resource=number, days=3)["loan"]
    alice.do("sync.wait", peer=[bob.node])
    alice.do("loan.approve", loan=loan)
    offer = alice.do("loan.handover", loan=loan)["offer"]
    bob.do("sync.wait", peer=[alice.node])
    bob.do("loan.accept", loan=loan, offer=offer)
    return loan


def test_taking_and_returning_by_file(neighbours: list[House], tmp_path: Path) -> None:
    alice, bob, cleo = neighbours
    cut(alice, cleo)
    cut(bob, cleo)
    loan: str = bob.do("loan.request", resource="1", days=3)["loan"]
    alice.do("sync.wait", peer=[bob.node])
    cut(alice, bob)
    alice.do("loan.approve", loan=loan)
    _, file = carried(alice, ("loan", "handover", loan), tmp_path / "offer.bin")
    assert bob.see("loan.show", loan=loan)["state"] == "requested", "Bob's node knows nothing yet"

    spoilt = tmp_path / "spoilt.bin"
    data = bytearray(file.read_bytes())
    data[-40] ^= 1  # in the hand-over itself: what is known already is not read again
    spoilt.write_bytes(data)
    who = ("--as", "bob", "--passphrase-file", str(bob.passphrase_file))
    said = bob.cli("loan", "accept", loan, "--offer", str(spoilt), *who)
    assert (said.code, said.error["code"]) == (2, "offer"), "one wrong bit, and it is not believed"
    assert bob.see("loan.show", loan=loan)["state"] != "on_loan"

    taken = bob.acts("loan", "accept", loan, "--offer", str(file))
    assert (taken["state"], taken["custodian"]) == ("on_loan", bob.member)
    assert taken["provisional"] is False, "the file brought all that it builds on"
    assert alice.see("loan.show", loan=loan)["state"] == "offered", "Alice can't know it yet"

    _, back = carried(bob, ("loan", "return", loan), tmp_path / "return.bin")
    assert cleo.cli("loan", "show", loan).code == 1, "Cleo's node never heard of the loan"
    received = cleo.acts("loan", "receive", loan, "--offer", str(back))
    assert (received["state"], received["custodian"]) == ("returned", cleo.member)
    assert received["provisional"] is True, "Cleo's node has not seen who handed it over"
    shown = cleo.see("loan.show", loan=loan)
    assert shown["missing"], "and says what it waits for"
    all_healed(neighbours)
    for house in neighbours:
        shown = house.see("loan.show", loan=loan)
        assert (shown["state"], shown["provisional"]) == ("returned", False), "final after healing"
        assert len(shown["steps"]) == 6
        assert house.see("resource.show", resource="1")["custodian"] == cleo.member


def test_taking_and_returning_by_short_code(neighbours: list[House]) -> None:
    alice, bob, cleo = neighbours
    cut(alice, cleo)
    cut(bob, cleo)
    loan: str = bob.do("loan.request", resource="2", days=3)["loan"]
    alice.do("sync.wait", peer=[bob.node])
    cut(alice, bob)
    alice.do("loan.approve", loan=loan)
    code = alice.acts("loan", "handover", loan)["offer"]
    assert len(code) <= 154, "a code that can be read aloud"
    who = ("--as", "bob", "--passphrase-file", str(bob.passphrase_file))
    assert bob.cli("loan", "accept", loan, "--offer", misread(code, 50), *who).code == 2
    said = code.lower()
    taken = bob.acts("loan", "accept", loan, "--offer", f"{said[:40]}-{said[40:]}")
    assert taken["state"] == "on_loan"
    assert taken["provisional"] is True, "Bob's node has only heard of the offer"

    back = bob.acts("loan", "return", loan)["offer"]
    elsewhere = cleo.acts("loan", "receive", loan, "--offer", back)
    assert (elsewhere["state"], elsewhere["provisional"]) == ("returned", True)
    all_healed(neighbours)
    for house in neighbours:
        shown = house.see("loan.show", loan=loan)
        assert (shown["state"], shown["provisional"]) == ("returned", False), house.name
        assert house.see("resource.show", resource="2")["custodian"] == cleo.member


def test_a_return_is_received_where_nobody_had_heard_of_the_loan(
    neighbours: list[House],
) -> None:
    """Bob's node reaches only Cleo's, which gets his closed chain, and not what it answers to."""
    alice, bob, cleo = neighbours
    cut(alice, cleo)
    cut(bob, cleo)
    loan = borrowed(alice, bob, "3")
    cut(alice, bob)
    assert cleo.cli("loan", "show", loan).code == 1
    heal(bob, cleo)
    bob.do("loan.return", loan=loan)
    cleo.do("sync.wait", peer=[bob.node])
    received = cleo.do("loan.receive", loan=loan)
    assert received["state"] == "returned"
    assert isinstance(received["provisional"], bool)
    all_healed(neighbours)
    for house in neighbours:
        shown = house.see("loan.show", loan=loan)
        assert (shown["state"], shown["provisional"]) == ("returned", False)


def test_an_offer_for_another_community_or_another_taker_is_refused(
    neighbours: list[House], tmp_path: Path
) -> None:
    alice, bob, cleo = neighbours
    all_cut(neighbours)
    loan: str = cleo.do("loan.request", resource="4", days=1)["loan"]
    heal(alice, cleo)
    alice.do("sync.wait", peer=[cleo.node])
    alice.do("loan.approve", loan=loan)
    code, file = carried(alice, ("loan", "handover", loan), tmp_path / "for-cleo.bin")
    for offer in (code, str(file)):
        who = ("--as", "bob", "--passphrase-file", str(bob.passphrase_file))
        said = bob.cli("loan", "accept", loan, "--offer", offer, *who)
        assert said.code == 1, "it is offered to Cleo"
    garbage = tmp_path / "garbage.bin"
    garbage.write_bytes(bytes(range(256)) * 20)
    who = ("--as", "cleo", "--passphrase-file", str(cleo.passphrase_file))
    assert cleo.cli("loan", "accept", loan, "--offer", str(garbage), *who).code != 0
    assert cleo.cli("loan", "accept", loan, "--offer", "NOT-A-CODE", *who).code == 2
    assert cleo.acts("loan", "accept", loan, "--offer", str(file))["state"] == "on_loan"
