"""Journey 2: Bo takes the drill underground, and brings it to a house that never heard of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.journeys.telling import assert_cut, at, in_both_languages, says, speak
from tests.e2e.neighbourhood import House, agree, cut, heal, street
from tests.unit.pictures import png


def kinds(house: House) -> dict[str, str]:
    """What a member is told of, by the thing's number."""
    rows = house.see("loan.news")["news"]
    return {row["number"]: row["kind"] for row in rows}


def apart(house: House, *others: House) -> None:
    for other in others:
        cut(house, other)


@pytest.mark.long
@in_both_languages
def test_a_drill_is_borrowed_underground_and_returned_at_another_house(
    language: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speak(monkeypatch, language)
    with street() as elm:
        cia, bo, dan, mia = elm.community(
            "Cia", "Bo", "Dan", "Mia", roles={"Mia": "steward", "Bo": "member", "Dan": "member"}
        )
        cia.do("resource.add", name="Cordless Drill", number="1622", loan_days=3)
        agree(cia, bo, dan, mia)
        asked = dan.do("loan.request", resource="1622", **{"from": at(48), "to": at(96)})
        agree(cia, dan)
        cia.do("loan.approve", loan=asked["loan"])
        agree(cia, bo, dan, mia)
        assert kinds(dan) == {}, "it is Cia's to hand out, in two days"

        apart(mia, cia, bo, dan)
        loan = bo.do("loan.request", resource="1622", **{"from": at(0), "to": at(20)})["loan"]
        agree(cia, bo, dan)
        cia.do("loan.approve", loan=loan)
        agree(cia, bo, dan)
        photo = tmp_path / "drill.png"
        photo.write_bytes(png())
        cia.acts("resource", "photo", "add", "1622", str(photo))
        apart(bo, cia, dan)
        apart(cia, dan)
        assert_cut(bo, cia)
        assert_cut(bo, mia)
        given = cia.acts("loan", "handover", loan)
        taken = bo.acts("loan", "accept", loan, "--offer", given["offer"])
        assert (taken["state"], taken["provisional"]) == ("on_loan", True), (
            "two phones underground: Bo signs what he was shown"
        )
        assert kinds(bo) == {"1622": "due"}

        assert mia.cli("loan", "show", loan).code == 1, "the centre has never heard of it"
        back = bo.acts("loan", "return", loan)
        said = mia.acts("loan", "receive", "--offer", back["offer"])
        assert (said["state"], said["provisional"]) == ("returned", True)
        assert said["completes"], "the chain of custody will be completed, and it says so"
        assert said["custodian"] == mia.member
        before = cia.see("loan.show", loan=loan)
        assert before["state"] == "offered", "Cia's house knows only of its own half"

        for one, other in ((cia, bo), (cia, dan), (cia, mia), (bo, mia), (bo, dan), (dan, mia)):
            heal(one, other)
        agree(cia, bo, dan, mia)
        for house in (cia, bo, dan, mia):
            shown = house.reads("loan", "show", loan)
            assert shown == {**house.see("loan.show", loan=loan), "v": 1, "ok": True}
            assert (shown["state"], shown["provisional"]) == ("returned", False)
            assert [step["step"] for step in shown["steps"]] == [
                "request", "approve", "handover", "accept", "return", "receive",
            ]  # fmt: skip
            signed = [(step["step"], step["member"]) for step in shown["steps"][2:]]
            assert signed == [
                ("handover", cia.member), ("accept", bo.member),
                ("return", bo.member), ("receive", mia.member),
            ], "custody moved by four signatures, two by two"  # fmt: skip
            (drill,) = house.reads("resource", "list", "--query", "1622")["resources"]
            assert (drill["state"], drill["custodian"]) == ("available", mia.member)
            says(house, "loan", "show", loan)
        assert kinds(bo) == {}, "what came back is due nowhere: no reminder has a reason any more"
        (news,) = dan.acts("loan", "news")["news"]
        assert (news["kind"], news["loan"]) == ("moved", asked["loan"])
        assert "Mia" in news["sentence"], "the next one is told where it is now"
        assert "Mia" in says(dan, "loan", "news", as_member=True)
        says(bo, "loan", "news", as_member=True)
        assert len({house.hashes() for house in (cia, bo, dan, mia)}) == 1
