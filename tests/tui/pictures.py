"""Pictures of the terminal interface for the README and the guide: two real nodes, real screens.

    python -m tests.tui.pictures docs/guide

Writes SVG as Textual exports it, without the fonts that it would fetch from the internet.
"""

from __future__ import annotations

import asyncio
import base64
import re
import sys
from pathlib import Path

from tests.e2e.neighbourhood import PASSPHRASE, House, agree, street
from tests.tui.screen import Seat, seat

SIZE = (100, 28)
ROOT = Path(__file__).parents[2]


def lived_in(anna: House, bo: House) -> None:
    """A tool library with some loans under way, a café, and two who said how a loan went."""
    data = (ROOT / "examples" / "tool_library_inventory.csv").read_bytes()
    anna.do("resource.import", file={"name": "tools.csv", "data": base64.b64encode(data).decode()})
    anna.do("space.create", name="Repair café", hours="24/7", wheelchair="yes", capacity=25)
    anna.do("space.create", name="Tool shed", hours="Mo-Fr 08:00-18:00", step_count=2)
    anna.do("member.profile.edit", about="I keep the list, and the spare keys.")
    bo.do("member.profile.edit", about="I mend bicycles.", languages="sv, en")
    agree(anna, bo)
    numbers = [one["number"] for one in anna.see("resource.list")["resources"]]
    for days, number in enumerate(numbers[:5], 2):
        bo.do("loan.request", resource=number, days=days)
    agree(anna, bo)
    first, second, third, *_rest = [one["loan"] for one in anna.see("loan.list")["loans"]]
    for loan in (first, second, third):
        anna.do("loan.approve", loan=loan)
    for loan in (second, third):
        anna.do("loan.handover", loan=loan)
        agree(anna, bo)
        bo.do("loan.accept", loan=loan)
        agree(anna, bo)
    bo.do("loan.return", loan=third)
    agree(anna, bo)
    anna.do("loan.receive", loan=third)
    agree(anna, bo)
    said = {"on_time": "yes", "condition": "3", "communication": "3"}
    bo.do("reputation.attest", loan=third, **said)
    agree(anna, bo)
    anna.do("reputation.attest", loan=third, **said, note="Clean, and with a cake.")
    agree(anna, bo)


async def draw(anna: House, folder: Path) -> None:
    """One picture of each place that has something to show."""
    async with seat(anna.home, SIZE) as someone:
        await someone.unlocks(PASSPHRASE)
        await someone.sees("Waiting for you", "Lately")
        await keep(someone, folder / "home.svg")
        await someone.press("3")
        await someone.sees("Signed by", "on loan")
        await keep(someone, folder / "loans.svg")
        await someone.press("2", "slash")
        await someone.types("drill")
        await someone.press("enter")
        await someone.sees("Hammer drill", "Categories")
        await keep(someone, folder / "things.svg")
        await someone.press("4")
        await someone.sees("Repair café", "Wheelchair")
        await keep(someone, folder / "spaces.svg")
        await someone.press("5", "slash")
        await someone.types("Bo")
        await someone.press("enter")
        await someone.sees("Said of loans", "1 loan returned")
        await keep(someone, folder / "people.svg")
        await someone.press("7")
        await someone.sees("Because")
        await keep(someone, folder / "activity.svg")
        await someone.press("9")
        await someone.sees("integrity")
        await keep(someone, folder / "jobs.svg")


async def act(anna: House, bo: House, folder: Path) -> None:
    """The four acts of a day: borrow, hand over with a code, check in, endorse."""
    async with seat(bo.home, SIZE) as someone:
        await someone.unlocks(PASSPHRASE)
        await someone.press("2", "slash")
        await someone.types("hammer drill")
        await someone.press("enter")
        await someone.sees("r Borrow")
        await someone.press("r")
        await someone.sees("Ask to borrow", "For how many days")
        await keep(someone, folder / "act-borrow.svg")
    async with seat(anna.home, (SIZE[0], 44)) as someone:
        await someone.unlocks(PASSPHRASE)
        await someone.press("3")
        await someone.sees("approved")
        await down_to(someone, "h Hand over")
        await someone.press("h")
        await someone.sees("It changes hands when")
        await keep(someone, folder / "act-hand-over.svg")
    code = anna.do("space.code", space="Repair café")["grouped"]
    async with seat(bo.home, SIZE) as someone:
        await someone.unlocks(PASSPHRASE)
        await someone.press("4")
        await someone.sees("Repair café", "Wheelchair")
        await someone.press("i")
        await someone.sees("shown at the door")
        await someone.pastes(code)
        await someone.press("ctrl+s")
        await someone.sees("My check-ins", "● here")
        await keep(someone, folder / "act-check-in.svg")
    anna.unlock()
    anna.do("community.propose", what="coordinators", add=["Bo"])
    agree(anna, bo)
    anna.do("community.propose", what="constitution", set=["epoch.days=40"])
    agree(anna, bo)
    async with seat(bo.home, SIZE) as someone:
        await someone.unlocks(PASSPHRASE)
        await someone.press("8")
        await down_to(someone, "e Endorse")
        await keep(someone, folder / "act-endorse.svg")


async def down_to(someone: Seat, words: str) -> None:
    """Down the list, to the first row where the line of keys says this."""
    for _ in range(12):
        await someone.pilot.pause(0.3)
        if words in someone.text:
            return
        await someone.press("down")
    await someone.sees(words)


async def keep(someone: Seat, file: Path) -> None:
    """The screen as it is once toasts and cursors have come to rest."""
    await someone.pilot.pause(1.0)
    picture = someone.app.export_screenshot(title="commons-node tui", simplify=True)
    picture = re.sub(r"@font-face \{.*?\n    \}\n", "", picture, flags=re.DOTALL)
    assert "url(http" not in picture, "a picture fetches nothing"
    await asyncio.to_thread(file.write_text, picture, encoding="utf-8")


def main(folder: Path) -> None:
    """Build the street, draw, end everything."""
    with street() as made:
        anna, bo = made.community("Anna", "Bo")
        lived_in(anna, bo)
        asyncio.run(draw(anna, folder))
        asyncio.run(act(anna, bo, folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
