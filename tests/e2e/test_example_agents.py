"""The five example agents at a real node, on the year of the example street."""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e.neighbourhood import QUICK, House, Street, street
from tests.sandbox.prepared import lend, never_by_itself
from tests.sandbox.street import EXAMPLES, NAMES

INVENTORY: Final = EXAMPLES.parent / "tool_library_inventory.csv"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def elm() -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture(scope="module")
def anna(elm: Street) -> House:
    """A node on which the street has lived its year, and all five agents are installed."""
    tables = elm.folder / "tables"
    tables.mkdir()
    shutil.copy(INVENTORY, tables)
    config = f'{QUICK}[drivers.inbox]\nkind = "inbox"\nfolder = "{tables}"\n'
    (house,) = elm.build("anna", config=config)
    house.name = "Anna"
    summary = house._client().command("example.load", {}, 400)
    house.session = summary["session"]
    asyncio.run(lend(house.home))
    for name in NAMES:
        install(house, elm.folder / "written", name)
    return house


def install(house: House, folder: Path, name: str) -> None:
    """As a person would: pack, sign, read what it asks for, agree."""
    shutil.copytree(EXAMPLES / name, folder / name)
    never_by_itself(folder / name)
    packed = house.do("agent.pack", folder=str(folder / name))
    assert packed["signed"] is False
    signed = house.do("agent.sign", file=packed["file"])
    asked = house.cli("agent", "install", signed["file"])
    assert asked.error["code"] == "not_agreed"
    installed = house.reads("agent", "install", signed["file"], "--yes")
    assert (installed["state"], installed["name"]) == ("active", name)


def ran(house: House, name: str) -> dict[str, Any]:
    """What a run of it answers; it is metered, and nothing was refused."""
    done = house.do("job.run", job=name, wait=120)
    shown = house.see("job.show", job=name)
    run = shown["runs"][0]
    assert done["state"] == "done", f"{name}: {run['error']} {house.see('job.logs', job=name)}"
    assert shown["refused"] == [], f"{name} asks for nothing that it was not granted"
    assert run["credits"] > 0
    result: dict[str, Any] = run["result"]
    return result


def steps(house: House, step: str, since: str) -> list[dict[str, Any]]:
    """Steps of this name in loans, since then."""
    return [
        one
        for loan in house.see("loan.list")["loans"]
        for one in loan["steps"]
        if one["step"] == step and one["time"] >= since
    ]


def test_who_is_late_on_the_street_is_reminded(anna: House) -> None:
    found = ran(anna, "overdue-reminders")
    late = anna.see("loan.list", overdue=True)["loans"]
    assert late, "on the example street somebody always forgets something"
    assert found["overdue"] == len(late)
    told = {(one["to"], one["what"], one["since"]) for one in found["reminders"]}
    today = datetime.now(UTC).date().isoformat()
    for row in late:
        said = (row["borrower_name"], f"{row['name']} ({row['number']})", row["due_day"])
        assert said in told or row["due_day"] >= today
    notices = [one["text"] for one in anna.see("job.show", job="overdue-reminders")["notices"]]
    assert len(notices) == len(told)
    for one in found["reminders"]:
        (text,) = [text for text in notices if one["what"] in text and one["to"] in text]
        assert ("Hej " in text) == (one["to"] in {"Anna", "Bo", "Farid"}), "as their profile says"
    ran(anna, "overdue-reminders")
    again = anna.see("job.show", job="overdue-reminders")["notices"]
    assert len(again) == len(notices), "once is enough"


def test_what_is_free_is_proposed_and_a_signature_lends_it(anna: House) -> None:
    wishes = {one["loan"]: one for one in anna.see("loan.list", state="requested")["loans"]}
    found = ran(anna, "offer-request-matcher")
    assert found["wishes"] == len(wishes) > 0
    open_ones = anna.see("proposal.list")["proposals"]
    mine = [one for one in open_ones if one["agent"].endswith("/offer-request-matcher")]
    assert {one["args"]["loan"] for one in mine} == {one["loan"] for one in found["proposed"]}
    assert mine, "of what was asked for something is free"
    assert {one["loan"] for one in found["proposed"]} | {
        one["loan"] for one in found["suggested"]
    } <= set(wishes)
    for one in found["suggested"]:
        thing = wishes[one["loan"]]
        state = anna.see("resource.show", resource=thing["number"])["state"]
        rival = [other for other in found["proposed"] if other["what"] == one["what"]]
        assert state != "available" or rival, "only who has to wait is shown something else"
    first, *others = mine
    signed = anna.do("proposal.sign", proposal=first["proposal"])
    loan = first["args"]["loan"]
    assert anna.see("loan.show", loan=loan)["state"] == "approved"
    steps_ = anna.see("loan.show", loan=loan)["steps"]
    assert signed["operation"] in {one["operation"] for one in steps_}
    assert {one["name"] for one in steps_ if one["step"] == "approve"} == {"Anna"}, "she signed it"
    for one in others[:1]:
        anna.do("proposal.drop", proposal=one["proposal"])
    ran(anna, "offer-request-matcher")
    left = [one["proposal"] for one in anna.see("proposal.list")["proposals"]]
    assert first["proposal"] not in left
    assert all(one["proposal"] not in left for one in others[:1]), "what was dropped stays dropped"


def test_the_week_of_the_street_is_told_and_presence_names_nobody(anna: House) -> None:
    found = ran(anna, "weekly-digest")
    since = found["since"]
    assert found["part"] is False, "a week of twelve households fits"
    assert found["asked"] == len(steps(anna, "request", since)) > 0
    assert found["lent"] == len(steps(anna, "accept", since))
    assert found["back"] == len(steps(anna, "receive", since))
    assert len(found["late"]) == len(anna.see("loan.list", overdue=True)["loans"])
    lines = anna.see("activity.list", limit=500)["activity"]
    there = {
        one["author"] for one in lines if one["kind"] == "space.presence.1" and one["time"] >= since
    }
    assert found["there"] == (len(there) if len(there) >= 5 else None)
    assert "Repair café" not in found["text"]
    assert f"Asked for: {found['asked']}" in found["text"]
    assert ("fewer than 5" in found["text"]) == (len(there) < 5)


def test_a_forecast_says_whether_it_beats_saying_the_same_as_last_week(anna: House) -> None:
    """Where the street's weeks have no shape, none does: the error is told, whichever it is."""
    found = ran(anna, "demand-forecast")
    begin = (datetime.now(UTC) - timedelta(weeks=51)).date().isoformat()
    loans = [one for one in anna.see("loan.list")["loans"] if one["from"] and one["from"] > begin]
    whole, *kinds = found["kinds"]
    assert whole["kind"] == "all"
    assert len(loans) <= whole["requests"] <= len(loans) + 12, "a year of it"
    assert sum(one["requests"] for one in kinds) == whole["requests"], "each is of one kind"
    assert found["tested"] == 24
    assert whole["error"] > 0
    for one, line in zip(found["kinds"], found["text"].splitlines(), strict=True):
        assert one["better"] == (one["error"] < one["naive_error"])
        assert one["better"] != line.endswith("no better than that."), "where not, it says so"


def test_a_real_table_becomes_things_when_somebody_signs(anna: House) -> None:
    here = {one["number"] for one in anna.see("resource.list")["resources"]}
    table = {
        row["number"]: row for row in csv.DictReader(io.StringIO(INVENTORY.read_text("utf-8")))
    }
    found = ran(anna, "csv-to-catalogue")
    assert (found["read"], found["here"]) == (200, len(here & set(table)))
    assert (found["count"], found["wrong"]) == (100, [])
    mine = [
        one
        for one in anna.see("proposal.list")["proposals"]
        if one["agent"].endswith("/csv-to-catalogue")
    ]
    assert {one["args"]["number"] for one in mine} <= set(table) - here
    assert len(mine) == 100
    first = mine[0]
    anna.do("proposal.sign", proposal=first["proposal"])
    number = first["args"]["number"]
    shown, row = anna.see("resource.show", resource=number), table[number]
    for ours, theirs in (("name", "name"), ("brand", "brand"), ("categories", "categories"),
                         ("size", "size"), ("policy", "policy")):  # fmt: skip
        assert (shown[ours] or "") == row[theirs]
    assert ran(anna, "csv-to-catalogue")["count"] == 200 - len(here & set(table)) - 100
    assert ran(anna, "csv-to-catalogue")["count"] == 0, "all of it was proposed, each thing once"


def test_what_they_cost_is_shown(anna: House) -> None:
    ran(anna, "demand-forecast")
    rows = {one["name"]: one for one in anna.see("agent.list")["agents"]}
    assert set(rows) == set(NAMES)
    have_run = {name: one for name, one in rows.items() if one["last_state"]}
    assert "demand-forecast" in have_run
    assert all(one["credits"] > 0 and one["last_state"] == "done" for one in have_run.values())
