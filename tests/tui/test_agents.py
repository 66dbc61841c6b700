"""An agent's permissions by keys alone: read, declined, agreed to; what a newer version wants."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import House, Street
from tests.sandbox.prepared import lend
from tests.tui.screen import Seat, seat
from tests.unit.agents import made

from commons_tui.agents import unsent_rows
from commons_tui.places.jobs import Jobs

READS = '[capabilities]\n"docs.query" = { collections = ["loan"], fields = ["name", "due"] }\n'
SENDS = READS + '"notify.send" = { rate = "5/day" }\n'


@pytest.fixture(scope="module")
def house(elm_street: Street) -> House:
    (built,) = elm_street.build("cellar")
    built.name = "Anna"
    built.found()
    asyncio.run(lend(built.home))
    return built


def package(house: House, version: str, more: str) -> Path:
    """A package beside the house, signed by alice."""
    path = house.home.parent / f"tell-{version}.agent"
    path.write_bytes(made(version, more))
    return path


async def installs(anna: Seat, path: Path) -> None:
    """By the palette: the verb, its form, the file."""
    await anna.press("colon")
    await anna.sees("Search for commands")
    await anna.types("Install an agent")
    await anna.sees("commons-node agent install")
    await anna.press("enter")
    await anna.sees("A signed package")
    await anna.types(str(path))
    await anna.press("ctrl+s")


async def at_home(anna: Seat) -> None:
    await anna.until(lambda: len(anna.app.screen_stack) == 1, "every dialog is away")


@pytest.mark.parametrize(
    "size",
    [pytest.param((40, 20), marks=pytest.mark.long), (80, 24)],
    ids=lambda size: "{}x{}".format(*size),
)
async def test_nothing_is_granted_that_was_not_read(house: House, size: tuple[int, int]) -> None:
    async with seat(house.home, size) as anna:
        await anna.sees("Home")
        first = package(house, "1.0.0", READS)
        await installs(anna, first)
        await anna.sees("Read lists of the community: loan", "only the fields: name, due", "Agree")
        await anna.press("enter")
        await at_home(anna)
        assert house.see("agent.list")["agents"] == [], "a hasty Enter agrees to nothing"
        await installs(anna, first)
        await anna.sees("Read lists of the community: loan")
        await anna.press("tab", "enter")
        await anna.sees("is installed; its job is")
        await anna.press("enter")
        await at_home(anna)
        (agent,) = house.see("agent.list")["agents"]
        assert (agent["state"], agent["granted"]) == ("active", ["docs.query"])

        await installs(anna, package(house, "1.1.0", SENDS))
        await anna.sees("in place of 1.0.0, and suspended")
        assert house.see("agent.show", agent="tell")["state"] == "suspended"
        await anna.press("tab", "enter")
        await anna.sees("+ Send messages by every way", "(new)", "at most 5 times a day")
        await anna.press("tab", "enter")
        await anna.sees("may do now what was shown")
        granted = house.see("agent.show", agent="tell")["granted"]
        assert granted == ["docs.query", "notify.send"]
        await anna.press("escape")
        await at_home(anna)
    house.do("agent.remove", agent="tell")


def test_what_has_not_arrived_stands_in_its_job_and_can_be_sent_again() -> None:
    why = {"sentence": "What it sends to post has not arrived", "next_action": "mend that"}
    besides = [{"code": "proposed", **why}, {"code": "late", **why}, {"code": "lost", **why}]
    heading, late, lost = unsent_rows({"besides": besides})
    assert heading.heading
    assert late.key != lost.key
    assert late.data == ("What it sends to post has not arrived", "mend that"), "opens to both"
    assert unsent_rows({"besides": besides[:1]}) == []
    (retry,) = (act for act in Jobs().acts if act.id == "job.retry")
    for row, fits in (
        ({"dead": 0, "unsent": 1}, True), ({"dead": 1, "unsent": 0}, True),
        ({"dead": 0, "unsent": 0}, False),
    ):  # fmt: skip
        assert retry.fits(row) is fits
