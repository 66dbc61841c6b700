"""The place Jobs with agents in it: what they may do and cost, and what they propose, by keys."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from tests.e2e.neighbourhood import House, Street
from tests.sandbox.prepared import lend
from tests.sandbox.street import EXAMPLES
from tests.tui.hall import PASSPHRASE, build
from tests.tui.screen import Seat, seat
from tests.tui.test_looks import compare, rests

pytestmark = pytest.mark.long
MATCHER = "offer-request-matcher"


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    """Bo has asked for a ladder and a drill; an agent has proposed to let him have both."""
    house = build(elm_street, "hall-of-agents")
    house.do("member.unlock", member="Anna", passphrase=PASSPHRASE)
    asyncio.run(lend(house.home))
    folder = elm_street.folder / "written" / MATCHER
    shutil.copytree(EXAMPLES / MATCHER, folder)
    signed = house.do("agent.sign", file=house.do("agent.pack", folder=str(folder))["file"])
    house.reads("agent", "install", signed["file"], "--yes")
    assert house.do("job.run", job=MATCHER, wait=60)["state"] == "done"
    assert len(house.see("proposal.list")["proposals"]) == 2
    house.do("member.lock")
    return house


def states(house: House) -> dict[str, str]:
    """The state of each proposal by the thing that it is about."""
    found = house.see("proposal.list", all=True)["proposals"]
    return {one["why"].split(" asked for ")[1].split(" (")[0]: one["state"] for one in found}


async def goes_to_jobs(someone: Seat) -> None:
    await someone.sees("Home")
    await someone.press("9")
    await someone.sees("offer-req")


@pytest.mark.parametrize("size", [(40, 20), (80, 24)], ids=lambda size: "{}x{}".format(*size))
async def test_proposals_stand_first_once_somebody_is_there(
    hall: House, size: tuple[int, int]
) -> None:
    name = "{}x{}".format(*size)
    async with seat(hall.home, size) as anna:
        await goes_to_jobs(anna)
        assert "to sign" not in anna.text, "at a kiosk nobody reads who asked for what"
        await anna.unlocks(PASSPHRASE)
        await anna.sees("2 proposals to sign", "Bo asked")
        await anna.press("home")
        compare(f"proposals-{name}", await rests(anna))
        await anna.press("enter")
        await anna.sees("Bo asked for", "Let the one who asked have the thing")
        compare(f"proposal-{name}", await rests(anna))
        await anna.press("escape", "slash")
        await anna.types("matches who asks")
        await anna.press("enter")
        await anna.sees("offer-req")
        await anna.press("enter")
        await anna.sees("May do", "Credits")
        compare(f"agent-{name}", await rests(anna))
        await anna.press("down", "down", "enter")
        await anna.sees("notify.send", "at most 100 times a day")


async def test_one_is_signed_and_one_is_dropped_by_keys(hall: House) -> None:
    async with seat(hall.home) as anna:
        await anna.sees("Home")
        await anna.unlocks(PASSPHRASE)
        await anna.press("9")
        await anna.sees("2 proposals to sign", "s Sign", "x Drop")
        first = hall.see("proposal.list")["proposals"][-1]
        await anna.press("home", "s")
        await anna.sees("1 proposal to sign")
        approved = hall.see("loan.show", loan=first["args"]["loan"])
        assert approved["state"] == "approved", "the oldest stands first, and is signed"
        assert approved["steps"][-1]["name"] == "Anna"
        await anna.press("home", "x")
        await anna.until(lambda: "to sign" not in anna.text, "there is none any more")
        assert sorted(states(hall).values()) == ["dropped", "signed"]


async def test_an_agent_is_run_paused_and_removed_by_keys(hall: House) -> None:
    async with seat(hall.home) as anna:
        await goes_to_jobs(anna)
        await anna.unlocks(PASSPHRASE)
        await anna.press("slash")
        await anna.types("offer-req")
        await anna.press("enter")
        await anna.sees("▸ offer-req", "r Run")  # since it was unlocked the list comes anew
        runs = len(hall.see("job.show", job=MATCHER)["runs"])
        await anna.press("r")
        await anna.until(
            lambda: [run["state"] for run in hall.see("job.show", job=MATCHER)["runs"]]
            == ["done"] * (runs + 1),
            "it has run in the sandbox",
        )  # fmt: skip
        await anna.press("p")
        await anna.sees("✕ paused")
        assert hall.see("agent.show", agent=MATCHER)["state"] == "paused"
        await anna.press("p")
        await anna.sees("○ idle")
        await anna.press("x")
        await anna.sees("Remove the agent")
        await anna.press("tab", "enter")
        await anna.until(lambda: hall.see("agent.list")["agents"] == [], "it is gone")
        await anna.sees("Nothing here fits.")
