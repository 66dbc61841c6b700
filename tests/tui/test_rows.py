"""The list that draws only what is seen: ten thousand rows, narrow terminals, hostile names."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from textual.app import App, ComposeResult

from commons_cli.tables import width
from commons_tui.places import places
from commons_tui.rows import Column, Row, Rows, fit, layout

COLUMNS = (Column("Number", 8, 2), Column("Name"), Column("Now", 11), Column("With", 14, 3))
MANY = [Row(str(n), (str(n), f"Tool {n}", "● here", "Anna")) for n in range(10_000)]


class Counting(Rows):
    """Counts the lines that are drawn."""

    drawn = 0

    def render_line(self, y: int):  # type: ignore[no-untyped-def]
        self.drawn += 1
        return super().render_line(y)


class Shelf(App[None]):
    def __init__(self, rows: Sequence[Row]) -> None:
        super().__init__()
        self._shelf = rows

    def compose(self) -> ComposeResult:
        yield Counting(COLUMNS, ident="list")

    def on_mount(self) -> None:
        self.query_one(Counting).show(self._shelf)


async def test_a_key_draws_two_rows_of_ten_thousand_or_one_screen() -> None:
    app = Shelf(MANY)
    async with app.run_test(size=(80, 24)) as pilot:
        rows = app.query_one(Counting)
        rows.focus()
        await pilot.pause()
        assert 0 < rows.drawn <= 4 * 24, f"the start draws some screens, not all: {rows.drawn}"
        rows.drawn = 0
        await pilot.press("down")
        assert rows.row == MANY[1]
        assert 2 <= rows.drawn <= 24, f"a step draws the two rows that change: {rows.drawn}"
        rows.drawn = 0
        await pilot.press("end")
        await pilot.pause()
        assert rows.row == MANY[-1], "the last row is one key away"
        assert rows.drawn <= 3 * 24, f"wherever one goes, a screen is drawn: {rows.drawn}"
        await pilot.press("pageup")
        assert rows.cursor < 9_999 - 15
        assert rows.find("5000")
        assert rows.row == MANY[5000]


async def test_the_cursor_stays_on_its_row_and_passes_over_headings() -> None:
    heads = [Row("h", ["Tools"], heading=True), *MANY[:3], Row("i", ["More"], heading=True)]
    app = Shelf([*heads, MANY[3]])
    async with app.run_test(size=(40, 20)) as pilot:
        rows = app.query_one(Counting)
        rows.focus()
        assert rows.row == MANY[0], "no heading is ever chosen"
        await pilot.press("end", "up")
        assert rows.row == MANY[2]
        rows.show([MANY[9], *heads])
        assert rows.row == MANY[2], "what comes before it does not move the cursor away"
        await pilot.click(Counting, offset=(5, 1))
        assert rows.row == MANY[9], "a click goes there"
        rows.show([])
        assert rows.row is None


@pytest.mark.parametrize("wide", [20, 38, 56, 78, 118])
def test_columns_give_way_in_their_order(wide: int) -> None:
    sizes = layout(COLUMNS, wide)
    shown = [size for size in sizes if size]
    assert sum(shown) + 2 * (len(shown) - 1) == wide or wide < 30, "what is shown fills the line"
    gone = [column.drop for column, size in zip(COLUMNS, sizes, strict=True) if not size]
    kept = [column.drop for column, size in zip(COLUMNS, sizes, strict=True) if size]
    assert not gone or min(gone) >= max(kept), "the least needed goes first"
    assert sizes[1], "the name is always there"


@pytest.mark.parametrize(
    "text", ["plain", "a\x1b[31mred", "\u202eright to left", "日本の梯子", "e\u0301té", "\n\n", ""]
)
@pytest.mark.parametrize("wide", [1, 4, 12])
def test_whatever_stands_in_a_cell_fits_and_drives_nothing(text: str, wide: int) -> None:
    shown = fit(text, wide)
    assert width(shown) == wide
    assert not {"\x1b", "\u202e", "\n"} & set(shown)


def test_no_key_of_a_place_is_one_of_its_list() -> None:
    """The list has the focus, and takes its keys first."""
    taken = {key for one in Rows.BINDINGS for key in one.key.split(",")}  # type: ignore[union-attr]  # all are Bindings
    assert {"g", "j", "enter"} <= taken
    for place in places():
        own = {one.key: one.id for one in type(place.make()).BINDINGS}  # type: ignore[union-attr]  # likewise
        assert own.keys() & taken == set(), f"{place.id}: {own}"
