"""Jobs by keys alone, in a small terminal and in a usual one: run, see, pause, cancel, retry."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from tests.e2e.neighbourhood import House, Street, until
from tests.tui.screen import Seat, seat


@pytest.fixture(scope="module")
def house(elm_street: Street) -> House:
    (made,) = elm_street.build("engine-room")
    made.name = "Anna"
    made.found()
    return made


def states(house: House, job: str) -> list[str]:
    found = house.see("job.show", job=job)["runs"]
    return [run["state"] for run in found]


async def goes_to_jobs(someone: Seat, job: str) -> None:
    await someone.sees("Home")
    await someone.press("9")
    await someone.sees("integrity")
    await someone.press("slash")
    await someone.types(job)
    await someone.press("enter")
    await someone.until(lambda: "integrity" not in someone.text, f"only {job} is there")


@pytest.mark.parametrize(
    "size",
    [pytest.param((40, 20), marks=pytest.mark.long), (80, 24)],
    ids=lambda size: "{}x{}".format(*size),
)
async def test_a_job_is_run_paused_and_resumed_by_keys(house: House, size: tuple[int, int]) -> None:
    before = len(states(house, "figures"))
    async with seat(house.home, size) as anna:
        await goes_to_jobs(anna, "figures")
        await anna.press("r")
        await anna.until(
            lambda: states(house, "figures")[:1] == ["done"]
            and len(states(house, "figures")) == before + 1,
            "the node has run it",
        )  # fmt: skip
        await anna.sees("idle")
        await anna.press("p")
        await anna.sees("✕ paused")
        assert house.see("job.why", job="figures")["code"] == "paused"
        await anna.press("enter")
        await anna.sees("It is paused.", "Last runs", "done")
        await anna.press("escape", "p")
        await anna.sees("○ idle")
        assert house.see("job.why", job="figures")["code"] == "by_hand"


async def test_a_dead_letter_stands_first_and_is_tried_again(house: House) -> None:
    """A run that failed for good, as the file has it; the worker's part is tested elsewhere."""
    house.do("job.pause", job="overdue")
    house.do("job.run", job="overdue")
    with closing(sqlite3.connect(house.home / "jobs.db", timeout=10)) as file, file:
        done = file.execute(
            "UPDATE runs SET state = 'dead', attempts = 5, began_ms = queued_ms,"
            " error = 'the roof fell in', code = 'fault' WHERE job = 'overdue'"
        )
        assert done.rowcount == 1
    async with seat(house.home) as anna:
        await anna.sees("Home")
        await anna.press("9")
        await anna.sees("overdue")
        lines = [line for line in anna.text.splitlines() if "paused" in line or "idle" in line]
        assert "overdue" in lines[0], "whoever is in trouble stands first"
        await anna.press("enter")
        await anna.sees("dead letter", "the roof fell in", "Dead letters")
        await anna.press("escape", "t")
        await anna.until(lambda: states(house, "overdue") == ["ready"], "it is in the queue again")
        await anna.sees("c Cancel")
        await anna.press("c")
        await anna.until(lambda: states(house, "overdue") == ["cancelled"], "and cancelled")
        await anna.press("p")
        await anna.sees("idle")
    until(lambda: house.see("job.list")["jobs"], "the node answers")
