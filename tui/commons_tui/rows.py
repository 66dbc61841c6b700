"""A list that draws only the lines that are seen: ten thousand rows cost what ten do.

Columns give way one after the other where the terminal is narrow. The row of the cursor has a sign
in front of it, so that it is found without colour. What comes from others is shown without
anything that drives a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from commons_cli.tables import clean, width
from commons_cli.texts import _
from commons_tui.bidi import isolate

_GAP: Final = 2
_SIGN: Final = "▸ "


@dataclass(frozen=True, slots=True)
class Column:
    """``width`` 0 takes what is left, ``least`` or more; the highest ``drop`` gives way first."""

    title: str
    width: int = 0
    drop: int = 0
    least: int = 14


@dataclass(frozen=True, slots=True)
class Row:
    """``key`` names it, ``cells`` are shown, ``data`` is what it is about.

    A ``heading`` is passed over by the cursor. ``tone``: good, warn, bad or quiet.
    """

    key: str
    cells: Sequence[str]
    data: Any = None
    tone: str = ""
    heading: bool = False
    words: str = field(default="", compare=False)
    """What a filter looks in, without case."""


class Rows(ScrollView, can_focus=True):
    """The list. Tells ``Rows.Moved`` and ``Rows.Chosen`` with the row, or None."""

    DEFAULT_CSS = """
    Rows { height: 1fr; overflow-x: hidden; background: $background; scrollbar-size-vertical: 1; }
    Rows > .rows--title { color: $text-muted; text-style: bold; }
    Rows > .rows--heading { color: $primary; text-style: bold; }
    Rows > .rows--row { color: $foreground; }
    Rows > .rows--good { color: $foreground; }
    Rows > .rows--warn { color: $accent; }
    Rows > .rows--bad { color: $error; text-style: bold; }
    Rows > .rows--quiet { color: $text-muted; }
    Rows > .rows--cursor { background: $panel; text-style: bold; }
    Rows:focus > .rows--cursor {
        background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--title", "rows--heading", "rows--row", "rows--cursor",
        "rows--good", "rows--warn", "rows--bad", "rows--quiet",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", id="rows.up", show=False),
        Binding("down,j", "move(1)", "Down", id="rows.down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="rows.page_up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", id="rows.page_down", show=False),
        Binding("home,g", "ends(0)", "First", id="rows.first", show=False),
        Binding("end,G", "ends(-1)", "Last", id="rows.last", show=False),
        Binding("enter", "choose", "Open", id="rows.choose", show=False),
    ]
    cursor: reactive[int] = reactive(-1, repaint=False)

    @dataclass
    class Moved(Message):
        """The cursor stands on another row, or on none."""

        rows: Rows
        row: Row | None

        @property
        def control(self) -> Rows:
            """The list."""
            return self.rows

    @dataclass
    class Chosen(Moved):
        """A row was opened."""

    def __init__(
        self, columns: Sequence[Column], *, empty: str = "", titles: bool = True, ident: str = ""
    ) -> None:
        """``empty`` is shown when there is no row; ``titles``: a first line that stays."""
        super().__init__(id=ident or None)
        self.columns = tuple(columns)
        self.empty = empty
        self._titles = titles and any(column.title for column in columns)
        self._rows: list[Row] = []

    # -- contents --------------------------------------------------------------------------------

    @property
    def rows(self) -> Sequence[Row]:
        """What is shown."""
        return self._rows

    @property
    def row(self) -> Row | None:
        """The row of the cursor."""
        return self._rows[self.cursor] if 0 <= self.cursor < len(self._rows) else None

    def show(self, rows: Sequence[Row], keep: str | None = None) -> None:
        """Show other rows; the cursor stays on the row with the same key where there is one."""
        before = self.row
        wanted = keep if keep is not None else (before.key if before else None)
        at = max(self.cursor, 0)
        self._rows = list(rows)
        self.virtual_size = Size(0, len(self._rows) + self._titles)
        found = None
        if wanted is not None:
            found = next((n for n, one in enumerate(self._rows) if one.key == wanted), None)
        with self.prevent(Rows.Moved):
            self.set_reactive(Rows.cursor, -1)
        self._go(found if found is not None else min(at, len(self._rows) - 1))
        if self.row is None or self.row != before:
            self.post_message(self.Moved(self, self.row))
        self.refresh()

    def find(self, key: str) -> bool:
        """Put the cursor on a row by its key; False if it is not here."""
        for number, row in enumerate(self._rows):
            if row.key == key:
                self._go(number)
                return True
        return False

    def cuts(self, row: Row) -> bool:
        """True if the first column has no room for all that the row says."""
        room = self._widths(row)[0]
        return room > 0 and width(clean(row.cells[0])) > room

    # -- moving ----------------------------------------------------------------------------------

    def action_move(self, step: int) -> None:
        """One row on; headings are passed over."""
        at = self.cursor + step
        while 0 <= at < len(self._rows) and self._rows[at].heading:
            at += step
        if 0 <= at < len(self._rows):
            self._go(at)
        elif step < 0:
            self.scroll_home(animate=False)  # a heading may stand above

    def action_page(self, step: int) -> None:
        """As many rows as are seen."""
        size = max(1, self.scrollable_content_region.height - self._titles - 1)
        self._go(min(max(self.cursor + step * size, 0), len(self._rows) - 1))

    def action_ends(self, end: int) -> None:
        """The first row, or the last one."""
        self._go(len(self._rows) - 1 if end else 0)

    def action_choose(self) -> None:
        """Open the row of the cursor."""
        if self.row is not None:
            self.post_message(self.Chosen(self, self.row))

    def _go(self, at: int) -> None:
        step = 1
        while 0 <= at < len(self._rows) and self._rows[at].heading:
            at += step
            if at >= len(self._rows) and step > 0:
                at, step = len(self._rows) - 1, -1
        if not 0 <= at < len(self._rows):
            at = -1
        if at == self.cursor:
            return
        before, self.cursor = self.cursor, at
        for one in (before, at):
            if one >= 0:
                top = one + self._titles - round(self.scroll_y)
                self.refresh(Region(0, top, self.size.width, 1))
        self._follow()
        self.post_message(self.Moved(self, self.row))

    def _follow(self) -> None:
        """Scroll so that the cursor is seen, below the titles."""
        high = self.scrollable_content_region.height
        top, at = round(self.scroll_y), self.cursor
        if high <= 0 or at < 0:
            return
        if at < top:
            above = at and self._rows[at - 1].heading
            self.scroll_to(y=at - 1 if above else at, animate=False)
        elif at + self._titles >= top + high:
            self.scroll_to(y=at + self._titles - high + 1, animate=False)

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._follow()

    def on_click(self, event: events.Click) -> None:
        """A click moves; a click on the cursor opens."""
        line = event.y + round(self.scroll_y) - self._titles
        if event.y < self._titles or not 0 <= line < len(self._rows):
            return
        if self._rows[line].heading:
            return
        if line == self.cursor:
            self.action_choose()
        else:
            self._go(line)

    # -- drawing ---------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line of the terminal; textual asks only for those that are seen."""
        wide = self.scrollable_content_region.width  # what the scroll bar leaves
        if self._titles and y == 0:
            style = self._style("title")
            widths = layout(self.columns, wide - len(_SIGN))
            cells = tuple(_(column.title) for column in self.columns)
            return self._strip("  ", cells, widths, style, wide)
        at = y + round(self.scroll_y) - self._titles
        if not 0 <= at < len(self._rows):
            if not self._rows and y == self._titles and self.empty:
                text = fit(f"  {_(self.empty)}", wide)
                return Strip([Segment(text, self._style("quiet"))], wide)
            return Strip.blank(wide, self.rich_style)
        row = self._rows[at]
        if row.heading:
            return Strip([Segment(fit(" ".join(row.cells), wide), self._style("heading"))], wide)
        mark = at == self.cursor
        style = self._style("cursor" if mark else row.tone or "row")
        return self._strip(_SIGN if mark else "  ", row.cells, self._widths(row), style, wide)

    def _widths(self, row: Row) -> Sequence[int]:
        """The columns of a row; what has one cell only has all the room."""
        wide = self.scrollable_content_region.width - len(_SIGN)
        return layout(self.columns, wide) if any(row.cells[1:]) else (max(wide, 0),)

    def _strip(
        self, sign: str, cells: Sequence[str], widths: Sequence[int], style: Style, wide: int
    ) -> Strip:
        shown = [fit(cell, size) for cell, size in zip(cells, widths, strict=False) if size]
        text = sign + (" " * _GAP).join(shown)
        used = len(sign) + sum(size for size in widths if size) + _GAP * (len(shown) - 1)
        if used > wide:  # narrower than any column may be
            text = fit((" " * _GAP).join(cells), wide)
        return Strip([Segment(text + " " * (wide - used), style)], wide)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"rows--{name}")


@lru_cache(64)
def layout(columns: Sequence[Column], wide: int) -> Sequence[int]:
    """The width of each column, 0 for one that gives way."""
    kept = list(range(len(columns)))

    def needed() -> int:
        return sum(columns[n].width or columns[n].least for n in kept) + _GAP * (len(kept) - 1)

    while len(kept) > 1 and needed() > wide:
        last = max(kept, key=lambda n: (columns[n].drop, n))
        if not columns[last].drop:
            break
        kept.remove(last)
    free = [n for n in kept if not columns[n].width]
    left = wide - sum(columns[n].width for n in kept) - _GAP * (len(kept) - 1)
    each, more = divmod(max(left, len(free)), len(free)) if free else (0, 0)
    sizes = [0] * len(columns)
    for n in kept:
        sizes[n] = columns[n].width or each + (more if n == free[-1] else 0)
    return tuple(sizes)


@lru_cache(4096)
def fit(text: str, wide: int) -> str:
    """``text`` in exactly ``wide`` columns, with an ellipsis where it is longer."""
    shown = clean(text).replace("\n", " ")
    size = width(shown)
    if size <= wide:
        return isolate(shown) + " " * (wide - size)
    while shown and size > wide - 1:
        shown = shown[:-1]
        size = width(shown)
    return isolate(shown) + "…" + " " * (wide - size - 1) if wide > 0 else ""
