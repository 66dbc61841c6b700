"""The example street: lived through the real commands, loaded beside what is there, taken away."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.clocks import Shifted, to_noon
from tests.e2e.neighbourhood import House, street

from commons_node.example.people import PASSPHRASE, STREET


def story(house: House) -> list[Any]:
    """What happened, without anything that is new in every load."""
    loans = house.cli("--community", STREET, "loan", "list").json["loans"]
    return sorted(
        (one["number"], one["borrower_name"], one["state"], one["due_day"], len(one["steps"]))
        for one in loans
    )


def test_a_month_is_lived_and_taken_away() -> None:
    with street() as made:
        (anna,) = made.build("anna")
        summary = anna._client().command("example.load", {"seed": 3, "days": 30}, 120)
        assert (summary["members"], summary["things"]) == (7, 46)
        assert summary["checkins"] >= 10
        assert {state for _, _, state, *_ in story(anna)} >= {"returned", "requested"}
        kinds = {kind for (kind,) in anna.query("SELECT DISTINCT kind FROM operations")}
        assert kinds >= {"space.attendance.1", "reputation.attest.1", "profile.field.1"}
        assert len(list((anna.home / "own").glob("*.db"))) >= 5, "check-ins are their members' own"
        anna.do("example.remove")
        assert not list((anna.home / "own").iterdir())
        assert not list((anna.home / "realms").iterdir())


@pytest.mark.long
def test_a_street_comes_with_some_weeks_behind_it_and_goes_without_a_trace() -> None:
    """Twice, from noon on by its clock: a midnight between the two would move due days."""
    with street() as made:
        anna = Shifted("anna", made.folder)
        made.houses.append(anna)
        anna.clock(to_noon())
        anna.ready()
        anna.found()
        own = anna.hashes()
        keys = sorted((anna.home / "keys").iterdir())
        said = anna.cli("example", "load", "--seed", "7", "--days", "40")
        assert said.code == 0, said
        summary = said.json
        assert (summary["members"], summary["things"]) == (9, 46), "Johan came on day 33"
        assert summary["loans"] >= 15
        assert summary["checkins"] >= 15, "evenings at the café, from the second week on"
        first = story(anna)
        states = {state for _, _, state, *_ in first}
        assert states >= {"returned", "on_loan", "requested"}, "it stops in the middle of life"
        assert anna.refused("example.load").code == "exists"
        other = anna.cli("--community", "Elm Street", "community", "hash").json
        assert (other["set_hash"], other["state_hash"]) == own, "what was here is as it was"
        overdue = anna.cli("--community", STREET, "loan", "list", "--overdue").json["loans"]
        assert len(overdue) >= 1, "somebody forgot something"
        who = ["--as", "Bo", "--passphrase-file", str(passphrase(anna))]
        asked = anna.cli("--community", STREET, *who, "loan", "request", "1622", "--days", "2")
        assert asked.code == 0, "one can go on there as anybody"
        assert anna.cli("example", "remove", "--yes").code == 0
        assert sorted((anna.home / "keys").iterdir()) == keys
        assert not list((anna.home / "own").iterdir()), "nor are its people's own realms there"
        assert len(list((anna.home / "realms").iterdir())) <= 3, "one file with its WAL"
        assert anna.hashes() == own
        anna.stop()
        anna.again()
        assert anna.hashes() == own, "nor does a restart find anything"
        again = anna._client().command("example.load", {"seed": 7, "days": 40}, 120)
        assert again["operations"] == summary["operations"]
        assert story(anna) == first, "what happens follows from the seed"


def _company(house: House, summary: dict[str, Any]) -> None:
    """What people said of each other, and evenings of which nobody knows who came."""
    assert summary["checkins"] >= 250, "an evening a week, five or more there"
    tokens = house.query("SELECT count(*) FROM operations WHERE kind = 'space.attendance.1'")
    assert tokens == [(summary["checkins"],)], "every check-in is counted once"
    assert {one["name"] for one in house.see("space.list")["spaces"]} == {
        "Repair café", "Tool shed",
    }  # fmt: skip
    told = house.see("reputation.show", who="Kalle")
    assert told["counts"]["replies"] >= 1, "who was late has answered"
    assert {one["state"] for one in told["words"]} <= {"open", "sealed"}
    assert [one for one in told["words"] if one["state"] == "open" and one["on_time"] is False]
    lina = [one for one in house.see("member.vouches")["vouches"] if one["name"] == "Lina"]
    assert {(one["voucher_name"], one["standing"]) for one in lina} == {
        ("Cia", "stands"), ("Gun", "stands"),
    }  # fmt: skip
    farid = house.see("member.profile.show", who="Farid")["fields"]
    assert {one["field"] for one in farid} >= {"about", "languages"}


def passphrase(house: House) -> Any:
    file = house.home / "example-passphrase"
    file.touch(0o600)
    file.write_text(PASSPHRASE + "\n")
    return file


@pytest.mark.long
def test_a_whole_year_holds_what_a_year_holds() -> None:
    with street() as made:
        (anna,) = made.build("anna")
        summary = anna._client().command("example.load", {}, 300)
        assert (summary["members"], summary["things"]) == (12, 60)
        assert 250 <= summary["loans"] <= 400
        assert summary["operations"] > 1500
        assert summary["seconds"] >= summary["cpu_seconds"] * 0.5
        loans = anna.see("loan.list")["loans"]
        states = {one["state"] for one in loans}
        assert states >= {"returned", "declined", "on_loan", "requested"}
        late = [
            one
            for one in loans
            if one["state"] == "returned" and one["steps"][-1]["time"] > one["due"]
        ]
        assert len(late) > 5, "some came back late"
        kinds = {kind for (kind,) in anna.query("SELECT DISTINCT kind FROM operations")}
        assert {"membership.removal.1", "council.act.1", "lending.request.2"} <= kinds
        assert kinds >= {"space.attendance.1", "profile.field.1"}, kinds
        assert {"reputation.attest.1", "reputation.opening.1", "reputation.reply.1"} <= kinds
        assert "reputation.vouch.1" in kinds
        _company(anna, summary)
        refused = anna.query("SELECT count(*) FROM operations WHERE verdict <> 1")
        assert refused == [(0,)], "after the lift everything that anybody wrote stands"
