"""An agent in trouble, by keys alone: installed, run, seen at work, mended, tried again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.installed import packed
from tests.e2e.neighbourhood import PASSPHRASE, House, Street
from tests.sandbox.prepared import lend
from tests.tui.screen import Seat, seat
from tests.tui.test_looks import compare, rests
from tests.unit.agents import made

pytestmark = pytest.mark.long
TOML = """
[agent]
name = "roofer"
version = "1.0.0"
entry = "agent.py:main"
summary = "Looks after the roof"
[retry]
max_attempts = 1
[limits]
wall = "50s"
credits = 400
fuel = 350000000000
[settings]
mood = "broken"
"""
SENDS = '[capabilities]\n"notify.send" = { rate = "5/day" }\n'
CODE = """
def main(event, host):
    host.log("up the ladder")
    if event["settings"]["mood"] == "broken":
        raise ValueError("the roof fell in")
    while event["settings"]["mood"] == "endless":
        pass
    host.log("and down again")
"""


@pytest.fixture(scope="module")
def house(elm_street: Street) -> House:
    (built,) = elm_street.build("loft")
    built.name = "Anna"
    built.found()
    asyncio.run(lend(built.home))
    return built


def last(house: House) -> dict[str, Any]:
    """The newest run."""
    runs: list[dict[str, Any]] = house.see("job.show", job="roofer")["runs"]
    return runs[0] if runs else {"state": None}


async def installs(anna: Seat, path: Path) -> None:
    await anna.press("i")
    await anna.sees("A signed package")
    await anna.types(str(path))
    await anna.press("ctrl+s")


async def sets(anna: Seat, house: House, mood: str) -> None:
    """The agent's one setting, by its key and form; the node has it then."""
    await anna.press("e")
    await anna.sees("KEY=VALUE")
    await anna.types(f"mood={mood}")
    await anna.press("ctrl+s")
    await anna.until(lambda: len(anna.app.screen_stack) == 1, "the form is away")
    await anna.until(
        lambda: house.see("agent.show", agent="roofer")["settings"] == {"mood": mood}, "it is set"
    )


async def test_an_agent_in_trouble_is_mended_by_keys(house: House) -> None:
    path = packed(house, TOML, {"agent.py": CODE})
    async with seat(house.home) as anna:
        await anna.sees("Home")
        await anna.unlocks(PASSPHRASE)
        await anna.press("9")
        await anna.sees("integrity")
        await installs(anna, path)
        await anna.sees("Agree")
        await anna.press("tab", "enter")
        await anna.sees("is installed; its job is")
        await anna.press("enter")
        await anna.press("slash")
        await anna.types("roofer")
        await anna.press("enter")
        await anna.until(lambda: "integrity" not in anna.text, "only that agent is there")

        await anna.press("r")
        await anna.until(lambda: last(house)["state"] == "dead", "it has failed for good")
        await anna.sees("✕ failed")
        await anna.press("enter")
        await anna.sees("Dead letters", "the roof fell")
        await anna.press("escape")
        await sets(anna, house, "endless")
        await anna.press("t")
        await anna.until(lambda: last(house)["state"] == "leased", "the dead letter runs again")
        await anna.sees("running")
        await anna.press("enter")
        await anna.sees("running", "up the ladder")
        await anna.press("escape", "c")
        await anna.until(lambda: last(house)["state"] == "cancelled", "and is ended")
        await sets(anna, house, "well")
        before = last(house)["run"]
        await anna.press("d")
        await anna.until(
            lambda: last(house)["run"] != before and last(house)["state"] == "done", "a dry run"
        )
        assert last(house)["dry"] is True
        await anna.press("enter")
        await anna.sees("○ idle", "and down again")


@pytest.mark.parametrize("size", [(40, 20), (80, 24)], ids=lambda size: "{}x{}".format(*size))
async def test_one_that_asks_for_more_is_suspended_until_it_is_granted(
    house: House, size: tuple[int, int]
) -> None:
    name = "{}x{}".format(*size)
    for one in house.see("agent.list")["agents"]:
        house.do("agent.remove", agent=one["name"])
    for version, more, words in (("1.0.0", "", ["--yes"]), ("1.1.0", SENDS, [])):
        path = house.home.parent / f"tell-{version}.agent"
        path.write_bytes(made(version, more))  # of a publisher whose key is the same each time
        house.reads("agent", "install", str(path), *words)
    async with seat(house.home, size) as anna:
        await anna.sees("Home")
        await anna.unlocks(PASSPHRASE)
        await anna.press("9")
        await anna.sees("suspended")
        await anna.press("home")
        compare(f"suspended-{name}", await rests(anna))
        await anna.press("a")
        await anna.sees("Send messages by every way", "at most 5 times a day")
        compare(f"permissions-{name}", await rests(anna))
        await anna.press("enter")
        await anna.until(lambda: len(anna.app.screen_stack) == 1, "the dialog is away")
        assert house.see("agent.show", agent="tell")["state"] == "suspended", "Enter says no"
        await anna.press("a")
        await anna.sees("Send messages by every way")
        await anna.press("tab", "enter")
        await anna.until(
            lambda: house.see("agent.show", agent="tell")["state"] == "active", "it is granted"
        )
