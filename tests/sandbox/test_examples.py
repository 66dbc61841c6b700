"""The five example agents in locked workers, before the real broker, on a small street."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.street import (
    EXAMPLES,
    NAMES,
    Street,
    agents,
    line,
    loan,
    moment,
    person,
    street,
    thing,
)

from commons_node.agents.checking import findings
from commons_node.agents.folders import read_folder
from commons_node.agents.manifest import parse
from commons_node.agents.package import pack, read
from commons_node.api.events import EVENTS
from commons_node.capabilities.catalogue import CAPABILITIES
from commons_node.domains.resources.csv_import import read_rows

INVENTORY = EXAMPLES.parent / "tool_library_inventory.csv"


@pytest.fixture
async def elm(tmp_path: Path) -> AsyncIterator[Street]:
    inbox = {"kind": "inbox", "folder": str(tmp_path / "tables")}
    (tmp_path / "tables").mkdir()
    async with agents() as runs, street(tmp_path, runs, drivers={"inbox": inbox}) as made:
        yield made


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_packed_and_nothing_is_to_be_said_of_it(name: str) -> None:
    toml, code = read_folder(EXAMPLES / name)
    manifest = parse(toml, publisher="0" * 64)
    assert manifest.name == name
    assert findings(manifest, code, EVENTS) == []
    assert set(manifest.capabilities) <= set(CAPABILITIES)
    for method, grant in manifest.capabilities.items():
        for one in CAPABILITIES[method].needs:
            assert getattr(grant, one), f"{method} says what of {one} it wants, not all"
    assert (EXAMPLES / name / "README.md").read_text(encoding="utf-8").startswith("# ")
    named = toml.replace(b"[agent]\n", b'[agent]\npublisher = "ed25519:' + b"0" * 64 + b'"\n')
    assert read(pack(named, code)).manifest.capabilities == manifest.capabilities


# -- reminders -------------------------------------------------------------------------------------


async def test_who_is_late_is_reminded_in_their_language_and_again_after_days(elm: Street) -> None:
    elm.rows["profiles"] = [person("Bo", languages="sv, en"), person("Cia"), person("Dag")]
    elm.rows["loans"] = [
        loan(1, 7, "Ladder", "Bo", "on_loan", due_day="2026-05-20", overdue=True),
        loan(2, 8, "Drill", "Cia", "returning", due_day="2026-05-24", overdue=True),
        loan(3, 9, "Saw", "Dag", "on_loan", due_day="2026-05-30"),
    ]
    found = await elm.run("overdue-reminders")
    assert found["overdue"] == 2
    assert [(one["to"], one["what"], one["since"], one["days"], one["language"])
            for one in found["reminders"]] == [
        ("Bo", "Ladder (7)", "2026-05-20", 5, "sv"),
        ("Cia", "Drill (8)", "2026-05-24", 1, "en"),
    ]  # fmt: skip
    first = await elm.notices()
    assert first == [
        (
            "En påminnelse från grannskapet: Hej Bo, Ladder (7) skulle ha kommit tillbaka"
            " 2026-05-20, för 5 dagar sedan. Kan du lämna tillbaka den, eller säga när du kan?"
            " Tack!"
        ),
        (
            "A reminder from the neighbourhood: Hello Cia, Drill (8) was to come back on"
            " 2026-05-24, 1 day ago. Could you bring it back, or say when you can? Thank you!"
        ),
    ]
    await elm.run("overdue-reminders")
    assert await elm.notices() == first, "nobody is told the same twice a day"
    elm.later(1)
    await elm.run("overdue-reminders")
    assert len(await elm.notices()) == 3, "Bo's sixth day begins the next three"
    elm.rows["loans"] = [one | {"overdue": False} for one in elm.rows["loans"]]
    assert (await elm.run("overdue-reminders"))["reminders"] == []


# -- matcher ---------------------------------------------------------------------------------------


async def test_what_is_free_is_proposed_and_who_waits_is_shown_something_alike(elm: Street) -> None:
    elm.rows["profiles"] = [
        person("Bo", about="I mend saws and bicycles."), person("Cia", about="I like saws."),
    ]  # fmt: skip
    elm.rows["resources"] = [
        thing(7, "Cordless drill", "on_loan", categories="Power Tools"),
        thing(8, "Drill, cordless"), thing(9, "Ladder"), thing(10, "Saw", "maintenance"),
        thing(11, "Drill bits"), thing(12, "Tent", quantity=2),
    ]  # fmt: skip
    soon = {"from_": moment(), "due": moment(3)}
    elm.rows["loans"] = [
        loan(1, 7, "Cordless drill", "Dag", "on_loan"),
        loan(2, 7, "Cordless drill", "Eva", "requested", **soon),
        loan(3, 9, "Ladder", "Eva", "requested", **soon),
        loan(4, 9, "Ladder", "Gun", "requested", from_=moment(1), due=moment(2)),
        loan(5, 9, "Ladder", "Bo", "requested", from_=moment(5), due=moment(6)),
        *(loan(n, 12, "Tent", "Bo", "requested", **soon) for n in (6, 7, 8)),
    ]
    found = await elm.run("offer-request-matcher")
    assert found["wishes"] == 7
    proposals = await elm.proposals()
    assert [int(given["loan"], 16) for _command, given, _why in proposals] == [6, 7, 3, 5]
    assert {command for command, _given, _why in proposals} == {"loan.approve"}
    assert proposals[2][2] == "Eva asked for Ladder (9), and it is free then."
    said = [(one["to"], one["what"], one["instead"]) for one in found["suggested"]]
    assert said == [("Eva", "Cordless drill (7)", "Drill, cordless (8)")]
    assert [one["who"] for one in found["mending"]] == ["Bo"], "who likes saws mends none"
    assert found["mending"][0]["sure"] is True
    assert await elm.notices() == [
        "Eva waits for Cordless drill (7). Drill, cordless (8) is free in that time and would do.",
        "Bo says: “I mend saws and bicycles.” Saw (10) is in repair: ask there.",
    ]
    await elm.run("offer-request-matcher")
    assert (len(await elm.proposals()), len(await elm.notices())) == (4, 2), "each is told once"


# -- digest ----------------------------------------------------------------------------------------


def week() -> list[dict[str, Any]]:
    lines = [line("lending.request.2", "Bo", -n, "Ladder 7") for n in (1, 2, 3)]
    lines += [line("lending.request.2", "Cia", -4, "Saw 9"), line("lending.accept.1", "Bo", -2)]
    lines += [line("lending.receive.1", "Anna", -1), line("lending.decision.1", "Anna", -1)]
    lines += [line("lending.decision.1", "Dag", -1), line("membership.admit.1", "a node", -5)]
    return [*lines, line("lending.request.2", "Gun", -8, "Tent 12")]


async def test_a_week_is_told_in_numbers_and_presence_names_nobody(elm: Street) -> None:
    people = ("Ola", "Pia", "Rut", "Sam")
    elm.rows["activity"] = week() + [line("space.presence.1", who, -1, "Café") for who in people]
    elm.rows["activity"] += [line("space.presence.1", "Ola", -2, "Café") for _ in range(9)]
    elm.rows["loans"] = [
        loan(1, 7, "Ladder", "Bo", "on_loan", due=moment(2)),
        loan(2, 8, "Drill", "Cia", "on_loan", overdue=True),
    ]
    found = await elm.run("weekly-digest")
    assert {key: found[key] for key in ("asked", "lent", "back", "new", "out", "there")} == {
        "asked": 4, "lent": 1, "back": 1, "new": 1, "out": 2, "there": None,
    }  # fmt: skip
    (text,) = await elm.notices()
    assert text.splitlines() == [
        "Week 22 in the neighbourhood: Asked for: 4",
        "Lent: 1", "Came back: 1", "New neighbours: 1", "Out now: 2",
        "Most in demand: Ladder 7 (3), Saw 9 (1)",
        "Handed most over or back: Anna (2), Dag (1)",
        "Overdue: Drill (8), Cia", "Due next week: Ladder (7)",
        "People who told where they were: fewer than 5",
    ]  # fmt: skip
    for who in (*people, "Café"):
        assert who not in text, "four are too few, and nobody is named in any case"
    elm.rows["activity"].append(line("space.presence.1", "Tor", -3, "Café"))
    found = await elm.run("weekly-digest", language="sv")
    assert found["there"] == 5
    assert found["text"].endswith("Personer som berättat var de var: 5")
    assert len(await elm.notices()) == 1, "one a week"
    elm.rows.clear()
    elm.later(7)
    assert (await elm.run("weekly-digest"))["text"].startswith("A quiet week")


# -- forecast --------------------------------------------------------------------------------------


async def test_a_steady_demand_is_forecast_better_than_by_last_week(elm: Street) -> None:
    rng = random.Random(5)
    elm.rows["resources"] = [thing(7, "Drill", categories="Power Tools; Drills"), thing(8, "Tent")]
    elm.rows["loans"] = [
        loan(0, 7, "Drill", "Bo", "returned", from_=moment(-7 * ago - rng.uniform(0.1, 6.9)))
        for ago in range(40)
        for _ in range(rng.choice((2, 3, 4, 5, 6)))
    ]
    elm.rows["loans"] += [loan(0, 8, "Tent", "Bo", "declined", from_=moment(-20))]
    found = await elm.run("demand-forecast")
    whole, drills, others = found["kinds"]
    assert (whole["kind"], drills["kind"], others["kind"]) == ("all", "Power Tools", "others")
    assert drills["requests"] == len(elm.rows["loans"]) - 1
    assert drills["method"] != "naive"
    assert drills["error"] < drills["naive_error"], drills
    assert drills["better"] is True
    assert 3 <= drills["forecast"] <= 5
    samples = dict(await elm.house.rows("SELECT name, value FROM samples"))
    assert samples == {key: whole[key] for key in ("forecast", "error", "naive_error")}
    (text,) = await elm.notices()
    assert f"Power Tools: about {drills['forecast']:.1f} (last week" in text
    assert text.splitlines()[-1].endswith("no better than that."), "of one tent nothing is known"


async def test_a_year_that_repeats_is_seen_once_there_is_more_than_a_year(elm: Street) -> None:
    elm.rows["resources"] = [thing(7, "Drill", categories="Tools")]
    weekly = [(week * 5) % 13 for week in range(26)] * 4
    elm.rows["loans"] = [
        loan(0, 7, "Drill", "Bo", "returned", from_=moment(-7 * ago - 1))
        for ago, count in enumerate(reversed(weekly))
        for _ in range(count)
    ]
    found = await elm.run("demand-forecast", weeks=104, season=26)
    assert found["kinds"][0]["method"] == "seasonal, 26 weeks"
    assert (found["kinds"][0]["error"], found["kinds"][0]["forecast"]) == (0, weekly[0])
    elm.rows["loans"] = elm.rows["loans"][-3:]
    assert (await elm.run("demand-forecast", weeks=104))["tested"] == 24, "from the first one on"
    assert (await elm.run("demand-forecast", weeks=11))["kinds"] == [], "from little says nothing"


# -- tables ----------------------------------------------------------------------------------------


def of_import(row: Any) -> dict[str, Any]:
    """A row as ``resource import`` reads it, in the words of ``resource add``."""
    said = {**row.kind, **row.item}
    for name in ("needs_approval", "uncounted"):
        if name in said:
            said[name] = "yes" if said[name] else "no"
    for name in ("renewal_limit", "consumable"):  # only an import says these
        said.pop(name, None)
    return said


async def test_a_real_inventory_is_proposed_just_as_an_import_reads_it(
    elm: Street, tmp_path: Path
) -> None:
    data = INVENTORY.read_bytes()
    (tmp_path / "tables" / "inventory.csv").write_bytes(data)
    expected = [of_import(row) for row in read_rows(data)]
    elm.rows["resources"] = [thing(101, "Box Cutter")]
    found = await elm.run("csv-to-catalogue", most=60)
    assert (found["file"], found["read"], found["here"]) == ("inventory.csv", 200, 1)
    assert (found["count"], found["left"]) == (60, 200 - 61)
    found = await elm.run("csv-to-catalogue", most=200)
    assert (found["before"], found["left"]) == (60, 0)
    proposals = await elm.proposals()
    assert {command for command, _given, _why in proposals} == {"resource.add"}
    assert [given for _command, given, _why in proposals] == expected[1:]
    assert proposals[0][2] == "It stands in inventory.csv, row 3."
    again = await elm.run("csv-to-catalogue")
    assert (again["count"], again["before"]) == (0, 199), "nothing is proposed twice"


async def test_a_table_of_ones_own_needs_a_map_and_its_faults_are_told(elm: Street) -> None:
    lines = ["Nr;Benämning;Antal;Status", "1;Stege;2;active", "2;;1;active", "1;Såg;1;active",
             "4;Tält;två;active", "5;Hink;1;borta", "6;Spade"]  # fmt: skip
    found = await elm.run(
        "csv-to-catalogue",
        csv="\\n".join(lines),
        map="number=Nr; name=Benämning; quantity=Antal; state=Status",
    )
    assert [one["name"] for one in found["proposed"]] == ["Stege"]
    assert {one["row"]: one["faults"][0] for one in found["wrong"]} == {
        3: "the name is empty",
        4: "number 1 is in row 2 already",
        5: "quantity must be a whole number, not 'två'",
        6: "state: 'borta' is none of ours",
        7: "it has 2 cells, the header has 4",
    }
    assert await elm.proposals() == [
        ("resource.add", {"number": "1", "name": "Stege", "quantity": 2, "state": "active"},
         "It stands in the settings, row 2."),
    ]  # fmt: skip
    assert (await elm.run("csv-to-catalogue"))["file"] is None, "an empty inbox is no fault"
