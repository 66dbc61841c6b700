"""Journey 3: East and West each promise the projector for one Saturday while they are cut off."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.e2e.journeys.telling import assert_cut, at, in_both_languages, says, speak
from tests.e2e.neighbourhood import House, agree, cut, heal, street

THINGS = """number,name,categories
1,Projector,Cinema
2,Projector,Cinema
3,Projector,Cinema
4,Screen,Cinema; Garden
5,Barbecue,Garden
"""


def books(borrower: House, steward: House, number: str) -> str:
    """A loan that a steward of the same island approves; for the same days, whoever asks."""
    days = {"from": at(2), "to": at(48)}
    loan: str = borrower.do("loan.request", resource=number, **days)["loan"]
    agree(borrower, steward)
    assert steward.do("loan.approve", loan=loan)["verdict"] == "accepted"
    agree(borrower, steward)
    return loan


def queue(house: House, number: str) -> list[dict[str, Any]]:
    """The waiting list as a house shows it."""
    rows: list[dict[str, Any]] = house.see("loan.waiting", resource=number)["waiting"]
    return rows


@pytest.mark.long
@in_both_languages
def test_one_booking_stands_by_the_rule_and_the_other_is_first_in_line(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, language)
    with street() as elm:
        hasse, dan, cia, bo = elm.community(
            "Hasse", "Dan", "Cia", "Bo", roles={"Cia": "steward", "Bo": "member", "Dan": "member"}
        )
        west, east = (hasse, dan), (cia, bo)
        data = base64.b64encode(THINGS.encode()).decode()
        hasse.do("resource.import", file={"name": "things.csv", "data": data})
        agree(*west, *east)
        for one in west:
            for other in east:
                cut(one, other)
        assert_cut(dan, cia)
        assert_cut(bo, hasse)
        wests, easts = books(dan, hasse, "1"), books(bo, cia, "1")
        wests_2, easts_2 = books(dan, hasse, "2"), books(bo, cia, "2")
        offer = cia.do("loan.handover", loan=easts_2)["offer"]
        assert bo.do("loan.accept", loan=easts_2, offer=offer)["state"] == "on_loan"
        for house in (*west, *east):
            assert queue(house, "1") == [], "neither island knows of the other's word"
            assert house.see("loan.list")["conflicts"] == []
        assert hasse.hashes() != cia.hashes(), "they are cut"

        for one in west:
            for other in east:
                heal(one, other)
        agree(*west, *east)
        shown = [queue(house, "1") for house in (*west, *east)]
        assert shown.count(shown[0]) == 4, "all four show the same list"
        (waits,) = shown[0]
        assert (waits["loan"], waits["place"], waits["stands"]) == (easts, 1, [wests])
        assert waits["because"] == "role", "West's word is a coordinator's, East's a steward's"
        (news,) = [row for row in bo.acts("loan", "news")["news"] if row["loan"] == easts]
        assert (news["kind"], news["place"]) == ("waiting", 1)
        for word in ("Dan", "Hasse", "Cia"):
            assert word in news["why"], f"its owner sees why: {news['why']}"
        offered = [(one["number"], one["name"]) for one in news["alternatives"]]
        assert offered == [("3", "Projector"), ("4", "Screen"), ("1", "Projector")], (
            "another one of its kind, something of its sort, and itself later"
        )
        later = news["alternatives"][2]["from"]
        assert later == dan.see("loan.show", loan=wests)["due"], "from the moment it is free"
        assert dan.acts("loan", "news")["news"][0]["loan"] in {wests_2, wests}

        (row,) = queue(dan, "2")
        assert (row["loan"], row["place"], row["stands"]) == (wests_2, 1, [easts_2])
        assert row["because"] == "out", "what East had picked up stands, whoever promised it"
        assert "Bo" in row["why"]

        for house in (*west, *east):
            for loan, state in ((wests, "approved"), (easts, "approved"),
                                (wests_2, "approved"), (easts_2, "on_loan")):  # fmt: skip
                told = house.reads("loan", "show", loan)
                assert told["state"] == state, "no silent change: every word is still there"
                assert told == {**house.see("loan.show", loan=loan), "v": 1, "ok": True}
            says(house, "loan", "waiting", "1")
            says(house, "loan", "show", easts)
        assert "Hasse" in says(bo, "loan", "news", as_member=True)
        assert len({house.hashes() for house in (*west, *east)}) == 1, "one result hash"
        assert bo.see("community.hash")["operations"]["rejected"] == 0
