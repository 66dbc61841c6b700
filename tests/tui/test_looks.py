"""How each place looks, at three sizes, in letters: compared with the files in ``looks``.

``COMMONS_LOOKS=write`` writes them anew; a diff then shows what a person would see. What differs
from run to run (ids, times, days) is masked, keeping its width.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import House, Street
from tests.tui.hall import PASSPHRASE, build
from tests.tui.screen import SIZES, Seat, seat

from commons_tui.place import place_key
from commons_tui.places import places

LOOKS = Path(__file__).with_name("looks")
_MASKS = (
    (r"\b[0-9a-f]{12}\b", "0" * 12),
    (r"\b[0-9a-f]{8}\b", "0" * 8),
    (r"\b\d{4}-\d\d-\d\d( \d\d:\d\d)?", lambda found: re.sub(r"\d", "0", found[0])),
    (r"in \d days", "in 0 days"),
    (r"(in \d+ (min|h|days)|tomorrow|today) *", lambda found: "soon".ljust(len(found[0]))),
    (r"\b\d\.\d\d\b", "0.00"),
    (r"\b\d+ MiB", lambda found: "0 MiB".rjust(len(found[0]))),
    (r"\b[\d.]+ m?s\b", lambda found: "0 ms".ljust(len(found[0]))),
    (r"(now|\d+ min ago) *", lambda found: "now".ljust(len(found[0]))),
    (r"(/tmp|street-)\S*", lambda found: "…".ljust(len(found[0]))),
)


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    return build(elm_street)


def masked(text: str) -> str:
    for pattern, by in _MASKS:
        text = re.sub(pattern, by, text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


async def rests(someone: Seat) -> str:
    """The screen once nothing changes any more."""
    before, same = "", 0
    while same < 3:
        await someone.pilot.pause(0.05)
        reading = {"default", "detail", "go", "now"}
        works = any(w.is_running and w.group in reading for w in someone.app.workers)
        same = same + 1 if someone.text == before and not works else 0
        before = someone.text
    return masked(before)


def compare(name: str, seen: str) -> None:
    file = LOOKS / f"{name}.txt"
    if os.environ.get("COMMONS_LOOKS") == "write":
        LOOKS.mkdir(exist_ok=True)
        file.write_text(seen, encoding="utf-8")
    known = file.read_text(encoding="utf-8")
    assert seen == known, f"{name} looks as in {file.name}; now it is:\n{seen}"


WORDS = {
    "home": "Waiting for you", "things": "Hedge", "loans": "Ladder",
    "people": "coordinator", "peers": "No peers yet", "activity": "Bo asked",
    "council": "In force", "jobs": "integrity", "settings": "Theme", "spaces": "No spaces yet",
}  # fmt: skip


@pytest.mark.parametrize(
    "size",
    [*SIZES[:2], pytest.param(SIZES[2], marks=pytest.mark.long)],
    ids=lambda size: "{}x{}".format(*size),
)
async def test_every_place_looks_as_it_should(hall: House, size: tuple[int, int]) -> None:
    name = "{}x{}".format(*size)
    async with seat(hall.home, size) as anna:
        await anna.sees("u Unlock")
        compare(f"locked-{name}", await rests(anna))
        await anna.press("u")
        await anna.sees("Who acts?")
        await anna.types(PASSPHRASE)
        await anna.press("enter")
        await anna.sees("Waiting for you")
        for number, place in enumerate(places()):
            await anna.press(place_key(number))
            await anna.sees(WORDS[place.id])
            compare(f"{place.id}-{name}", await rests(anna))
        await anna.press("2")
        await anna.sees("Ladder")
        await anna.press("home", "r")
        await anna.sees("Ask to borrow")
        compare(f"form-{name}", await rests(anna))
        await anna.press("escape", "colon")
        await anna.types("endorse")
        await anna.sees("commons-node community endorse")
        compare(f"palette-{name}", await rests(anna))
