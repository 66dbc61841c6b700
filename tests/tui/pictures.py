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
    """A tool library with some loans under way."""
    data = (ROOT / "examples" / "tool_library_inventory.csv").read_bytes()
    anna.do("resource.import", file={"name": "tools.csv", "data": base64.b64encode(data).decode()})
    agree(anna, bo)
    numbers = [one["number"] for one in anna.see("resource.list")["resources"]]
    for days, number in enumerate(numbers[:4], 2):
        bo.do("loan.request", resource=number, days=days)
    agree(anna, bo)
    first, second, *_rest = anna.see("loan.list")["loans"]
    for one in (first, second):
        anna.do("loan.approve", loan=one["loan"])
    anna.do("loan.handover", loan=second["loan"])
    agree(anna, bo)
    bo.do("loan.accept", loan=second["loan"])
    agree(anna, bo)


async def draw(anna: House, folder: Path) -> None:
    """One picture of each of four places."""
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
        await someone.press("7")
        await someone.sees("Because")
        await keep(someone, folder / "activity.svg")


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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
