"""Somebody who has never seen it joins, borrows and returns, from the terminal interface alone.

Two real nodes, two screens, nothing but keys. What is not read on the screen is not known.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, Street
from tests.tui.screen import Seat, seat


async def founds(anna: Seat) -> None:
    await anna.sees("Welcome", "Found a community")
    await anna.press("enter")
    await anna.sees("Found a community", "What the community is called")
    await anna.types("Elm Street")
    await anna.press("enter")
    await anna.types("Anna")
    await anna.press("enter")
    await anna.types(PASSPHRASE)
    await anna.press("enter")
    await anna.types(PASSPHRASE)
    await anna.press("ctrl+s")  # the time zone is there already
    await anna.sees("There is one coordinator only")
    await anna.press("escape")
    await anna.sees("Elm Street", "Nothing is due.", "◆ Anna")


async def invites(anna: Seat) -> str:
    await anna.press("5")
    await anna.sees("coordinator")
    await anna.press("i")
    await anna.sees("How many newcomers it lets in")
    await anna.press("ctrl+s")
    await anna.sees("Give this code to the newcomer")
    code = anna.app.screen.query_one(".code").visual.plain  # type: ignore[attr-defined]
    assert code[:20] in re.sub(r"[\s│]", "", anna.text), "the code stands there in letters"
    await anna.press("escape")
    return str(code)


async def joins(bo: Seat, code: str) -> None:
    await bo.sees("Welcome", "Join with a code")
    await bo.press("down", "enter")
    await bo.sees("What you are called")
    for words in ("Bo", PASSPHRASE, PASSPHRASE):
        await bo.types(words)
        await bo.press("enter")
    await bo.pastes(code)
    await bo.press("ctrl+s")
    await bo.sees("Elm Street", "◆ Bo", "newcomer")


async def annas_part(home: Path, code: asyncio.Future[str]) -> None:
    """Anna founds, describes a ladder, invites, and lends it."""
    async with seat(home) as anna:
        await founds(anna)
        await anna.press("2")
        await anna.sees("No things yet")
        await anna.press("a")
        await anna.sees("What it is")
        await anna.types("Ladder")
        await anna.press("enter")
        await anna.types("7")
        await anna.press("ctrl+s")
        await anna.sees("Ladder is here now")
        code.set_result(await invites(anna))

        await anna.press("1")
        await anna.sees("Bo asks for Ladder 7")
        await anna.press("home", "enter")
        await anna.sees("3 Loans", "a Yes")
        await anna.press("a")
        await anna.sees("The loan of Ladder 7 is approved", "h Hand over")
        await anna.press("h")
        await anna.sees("It changes hands when the other one takes it")
        await anna.press("escape")

        await anna.sees("coming back", "r Receive")
        await anna.press("r")
        await anna.sees("How it came back")
        await anna.press("ctrl+s")
        await anna.sees("The loan is returned")


async def bos_part(home: Path, code: asyncio.Future[str]) -> None:
    """Bo joins with the code that Anna shows, borrows the ladder and brings it back."""
    async with seat(home, (40, 20)) as bo:
        await joins(bo, await code)
        await bo.press("2")
        await bo.sees("Ladder", "r Borrow")
        await bo.press("r")
        await bo.sees("Ask to borrow", "For how many days")
        await bo.press("ctrl+s")
        await bo.sees("You asked for Ladder 7")

        await bo.press("1")
        await bo.sees("→ Ladder 7")
        await bo.press("home", "enter")
        await bo.sees("t Take")
        await bo.press("t")
        await bo.sees("Ladder 7 is with you", "b Bring back")
        await bo.press("b")
        await bo.sees("A steward receives it with this code")
        await bo.press("escape")
        await bo.sees("returned")


@pytest.mark.long
async def test_join_borrow_and_return_by_keys_alone(elm_street: Street) -> None:
    here, there = elm_street.build("anna", "bo")
    code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as people:  # each with a screen of their own
        people.create_task(annas_part(here.home, code))
        people.create_task(bos_part(there.home, code))
    (loan,) = here.see("loan.list")["loans"]
    assert loan["state"] == "returned", "the node says so, too"
    assert [step["step"] for step in loan["steps"]] == [
        "request", "approve", "handover", "accept", "return", "receive",
    ], "every step was signed"  # fmt: skip
