"""Names in Arabic and Hebrew: every place, phone-sized; columns stay, and no line turns round."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.e2e.neighbourhood import PASSPHRASE, House, Street
from tests.tui.hall import BOS
from tests.tui.screen import Seat, seat

from commons_cli.tables import clean, width
from commons_tui.bidi import isolate, safe
from commons_tui.place import place_key
from commons_tui.places import places
from commons_tui.rows import fit

SARA = "سارة القحطاني"
DRILL = "מקדחה חשמלית"
FSI, PDI = "\u2068", "\u2069"
NUMBER = "7"


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    """Anna's node, where Sara lives too, and has asked for the drill."""
    (house,) = elm_street.build("rtl")
    house.name = "Anna"
    house.found()
    code = house.invite()
    annas, house.session = house.session, None
    house.do("join", code=code, member=SARA, passphrase=BOS)
    saras, house.session = house.session, annas
    house.do("resource.add", name=DRILL, number=NUMBER)
    house.do("resource.add", name="Ladder", number="8")
    house.session = saras
    house.do("loan.request", resource=NUMBER, days=3)
    house.session = annas
    house.do("loan.request", resource="8", days=3)
    house.do("member.lock")
    return house


def runs(line: str, depth: int = 0) -> Sequence[str]:
    """What is drawn from right to left outside of isolates; ``depth``: one was open before."""
    found = []
    for letter in line:
        depth += (letter == FSI) - (letter == PDI)
        assert 0 <= depth <= 1, f"isolates close where they opened: {line!r}"
        if not depth and unicodedata.bidirectional(letter) in {"R", "AL"}:
            found.append(letter)
    assert depth == 0, f"an isolate runs out of its line: {line!r}"
    return found


def wrapped(line: str) -> bool:
    """A long text is wrapped within a name: its isolate ends with the line, and nothing else."""
    tail = line.rpartition(FSI)[2].rstrip(" │")
    letters = {unicodedata.bidirectional(one) for one in tail.replace(" ", "")}
    return FSI in line and PDI not in tail and letters <= {"R", "AL", "NSM"}


def sound(screen: Seat, wide: int) -> str:
    """The screen; each line fits, and nothing from right to left stands free in it."""
    compositor = screen.app.screen._compositor
    lines = [strip.text for strip in compositor.render_strips()]
    before = 0
    for line in lines:
        assert width(line) <= wide, f"{line!r} is wider than the terminal"
        cut = wrapped(line)
        assert not runs(line + PDI * cut, before), f"{line!r} turns what stands beside it"
        before = int(cut)
    return "\n".join(lines)


@pytest.mark.parametrize(
    "size",
    [(40, 20), pytest.param((80, 24), marks=pytest.mark.long)],
    ids=["40x20", "80x24"],
)
async def test_every_place_keeps_its_shape(hall: House, size: tuple[int, int]) -> None:
    async with seat(hall.home, size) as anna:
        await anna.unlocks(PASSPHRASE)
        seen = ""
        for number, place in enumerate(places()):
            anna.app.go_number(number)
            await anna.sees(f"▸{place_key(number)} {place.title}")
            await anna.pilot.pause(0.2)
            seen += sound(anna, size[0])
        assert FSI in seen, "there was something to isolate"
        await anna.press("3")
        await anna.sees("▸3 Loans")
        await anna.until(lambda: DRILL in anna.text.replace(FSI, "").replace(PDI, ""), "the drill")
        rows = [line for line in anna.text.splitlines() if "? asked for" in line]
        assert len(rows) == 2
        at = {width(line[: line.index("? asked for")]) for line in rows}
        assert len(at) == 1, f"the next column begins at one place, whoever's name it is: {rows}"
        await anna.press("home", "enter")
        await anna.until(lambda: anna.app.screen.focused is not None, "the detail is open")
        await anna.pilot.pause(0.3)
        sound(anna, size[0])
        await anna.press("u")
        await anna.sees("Who acts?")
        sound(anna, size[0])


LETTERS = st.text(st.sampled_from("abc 12-סרחنور\u0301漢'\u202e\u2068.("), max_size=30)


@given(LETTERS, st.integers(1, 20))
def test_a_cell_has_its_width_and_closes_what_it_opens(text: str, wide: int) -> None:
    cell = fit(text, wide)
    assert width(cell) == wide
    assert not runs(cell)
    assert isolate(clean(text)).replace(FSI, "").replace(PDI, "") == clean(text)
    assert safe("Anna 7") == "Anna 7", "most names cost nothing"
