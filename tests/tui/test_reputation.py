"""At one small screen: a loan is over, both say how it went, and it is read and answered."""

from __future__ import annotations

import pytest
from tests.e2e.neighbourhood import Street
from tests.tui.hall import BOS, PASSPHRASE, build
from tests.tui.screen import Seat, seat
from tests.tui.test_kiosk import unlocks_as


async def says(someone: Seat) -> None:
    """On Loans, about the last one, as the form has it."""
    await someone.press("3")
    await someone.sees("Ladder")
    await someone.press("end")
    await someone.sees("s Say")
    await someone.press("s")
    await someone.sees("Say how a loan went")
    await someone.press("ctrl+s")


@pytest.mark.long
async def test_both_say_how_it_went_and_people_shows_it(elm_street: Street) -> None:
    hall = build(elm_street)
    anna, bo = {"name": "Anna", "pass": PASSPHRASE}, {"name": "Bo", "pass": BOS}
    loan = "7"
    for verb, who in (
        ("approve", anna), ("handover", anna), ("accept", bo), ("return", bo), ("receive", anna),
    ):  # fmt: skip
        hall.do("member.unlock", member=who["name"], passphrase=who["pass"])
        hall.do(f"loan.{verb}", loan=loan)
        loan = next(one for one in hall.see("loan.list")["loans"] if one["number"] == "7")["loan"]
        hall.do("member.lock")
    async with seat(hall.home, (40, 20)) as small:
        await unlocks_as(small, 0, PASSPHRASE)
        await says(small)
        await small.sees("is sealed until")
        await small.press("escape", "ctrl+l")
    async with seat(hall.home, (40, 20)) as small:
        await unlocks_as(small, 1, BOS)
        await says(small)
        await small.sees("both have spoken")
        await small.press("ctrl+l")
    async with seat(hall.home, (120, 36)) as wide:
        await unlocks_as(wide, 0, PASSPHRASE)  # opens what Anna has sealed
        await wide.press("5", "slash")
        await wide.types("Bo")
        await wide.press("enter")
        await wide.sees("1 loan returned in", "On time: 1 of the 1", "Said of loans")
        await wide.sees("on time; condition 3 of 3", "You have lent to Bo")
        await wide.press("escape", "v")
        await wide.sees("90 days")
