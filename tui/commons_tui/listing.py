"""A list with what is known of one row beside it, or behind it where the terminal is narrow.

``/`` filters as one types; Enter goes into the row, esc comes back, one step at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.timer import Timer
from textual.widgets import Input, Static

from commons_cli.tables import width
from commons_cli.texts import N_, _
from commons_tui.bidi import safe
from commons_tui.bridge import ApiError
from commons_tui.place import PlaceView, bound
from commons_tui.rows import Column, Row, Rows

WIDE: Final = 76
"""Columns from which list and detail stand side by side."""
_LABEL: Final = 12
"""Columns of the labels; a longer one moves its own value alone."""
_FILTERED: Final = N_("Nothing here fits.")
REST_S: Final = 0.08
"""Who runs through a list asks the node for nothing."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What is known of one row: a title, fields with values, sentences, and rows to go on to.

    ``lead``: sentences that come first, where they matter most.
    """

    title: str
    fields: Sequence[tuple[str, str]] = ()
    sentences: Sequence[str] = ()
    rows: Sequence[Row] = ()
    columns: Sequence[Column] = field(default=(Column("", 0),))
    lead: Sequence[str] = ()

    def text(self) -> Text:
        """Title, lead, fields, sentences; data is cleaned, markup means nothing."""
        text = Text()
        text.append(safe(self.title), "bold")
        for sentence in filter(None, self.lead):
            text.append("\n" + safe(sentence))
        if any(self.lead):
            text.append("\n")
        known = [(_(name), safe(value)) for name, value in self.fields if value and value != "-"]
        wide = min(max((width(name) for name, _value in known), default=0), _LABEL)
        for name, value in known:
            text.append(f"\n{name}{' ' * (wide - width(name))}  ", "dim")
            text.append(value)
        for sentence in self.sentences:
            if sentence:
                text.append("\n\n" + safe(sentence))
        return text


class Beside(Rows):
    """The rows of a detail. A page goes through the text above them first, where that is cut."""

    def action_page(self, step: int) -> None:
        """A page of the text, or of the rows."""
        text = self.parent.query_one(".told") if self.parent is not None else None
        first = all(row.heading for row in self.rows[: max(self.cursor, 0)])
        if text is not None and step > 0 and text.scroll_y < text.max_scroll_y:
            text.scroll_page_down(animate=False, force=True)
        elif text is not None and step < 0 and first and text.scroll_y > 0:
            text.scroll_page_up(animate=False, force=True)
        else:
            super().action_page(step)


class Listing(PlaceView):
    """The base of places that are a list. Subclasses give columns, ``load``, ``rows_of``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="app.filter", show=False),
    ]
    columns: ClassVar[Sequence[Column]] = ()
    empty: ClassVar[str] = ""

    def __init__(self, ident: str) -> None:
        """See ``PlaceView``."""
        super().__init__(ident)
        self._all: Sequence[Row] = ()
        self._wanted: str | None = None
        self._shown_for: str | None = None
        self._rest: Timer | None = None

    def compose(self) -> ComposeResult:
        """Filter, list, detail."""
        yield Static(classes="note")
        yield Static(self.locked_text(), classes="locked", markup=False)
        yield Input(placeholder=_("Filter: type some words"), classes="filter")
        with Horizontal(classes="split"):
            with Vertical(classes="list"):
                yield Rows(self.columns, empty=self.empty, ident="list")
            with Vertical(classes="detail"):
                with VerticalScroll(classes="told", can_focus=False):
                    yield Static(classes="about", markup=False)
                yield Beside([Column("")], titles=False, ident="sub")

    # -- for subclasses --------------------------------------------------------------------------

    def rows_of(self, found: Any) -> Sequence[Row]:
        """The rows of what ``load`` found."""
        raise NotImplementedError

    async def detail(self, row: Row) -> Detail:
        """What is known of a row. Raises ApiError."""
        raise NotImplementedError

    def open_sub(self, row: Row) -> None:
        """A row of the detail was opened."""
        if isinstance(row.data, str) and len(row.data) == 64:
            self.app.explain(row.data)

    # -- the list --------------------------------------------------------------------------------

    @property
    def list(self) -> Rows:
        """The list itself."""
        return self.query_one("#list", Rows)

    @property
    def sub(self) -> Rows:
        """The rows below the detail."""
        return self.query_one("#sub", Rows)

    def subject(self) -> Any:
        """The data of the row under the cursor."""
        row = self.list.row if self.ready else None
        return row.data if row is not None else None

    def show(self, found: Any) -> None:
        """Other rows, through the filter."""
        self._all = self.rows_of(found)
        self._shown_for = None  # what is known of the row may have changed too
        self._filter(self._wanted)
        if self._wanted is not None and self.list.row and self.list.row.key == self._wanted:
            self._wanted = None

    def wipe(self) -> None:
        """Nothing is left on the screen."""
        self._all = ()
        self._shown_for = None
        self.set_class(False, "-open")
        if self.ready:
            self.query_one(".filter", Input).value = ""
            self.query_one(".filter").display = False
            self.list.show([])
            self._put(Detail(""))

    def find(self, key: str) -> None:
        """Go to a row, now or when it has come."""
        self._wanted = None if self.ready and self.list.find(key) else key

    def _filter(self, keep: str | None = None) -> None:
        words = self.query_one(".filter", Input).value.casefold().split()
        rows = [row for row in self._all if all(word in row.words for word in words)]
        self.list.empty = _FILTERED if self._all else self.empty
        self.list.show(rows, keep)

    def action_filter(self) -> None:
        """Let a person type words that rows must have."""
        if self.shut:
            return
        box = self.query_one(".filter", Input)
        box.display = True
        self.screen.set_focus(box)  # at once: the next key is a letter of it

    @on(Input.Changed, ".filter")
    def _typed(self) -> None:
        self._filter()

    @on(Input.Submitted, ".filter")
    def _enough(self) -> None:
        self.screen.set_focus(self.list)

    # -- the detail ------------------------------------------------------------------------------

    def on_resize(self, event: Resize) -> None:
        """Side by side, or one behind the other."""
        self.set_class(event.size.width >= WIDE, "-wide")
        self._look()

    @property
    def _seen(self) -> bool:
        return self.has_class("-wide") or self.has_class("-open")

    @on(Rows.Moved, "#list")
    def _moved(self, event: Rows.Moved) -> None:
        self.app.keys_changed()
        if event.row is None:
            self._shown_for = None
            self._put(Detail(""))
        else:
            self._look()

    @on(Rows.Chosen, "#list")
    def _chosen(self) -> None:
        self.set_class(True, "-open")
        self._look()
        self.call_after_refresh(self.sub.focus)  # hidden, it takes no focus
        self.app.keys_changed()

    @on(Rows.Chosen, "#sub")
    def _sub_chosen(self, event: Rows.Chosen) -> None:
        if event.row is not None:
            self.open_sub(event.row)

    def _look(self) -> None:
        """Read what is known of a row, where that is seen and the cursor rests on it."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_S, self._look_now)

    def _look_now(self) -> None:
        row = self.list.row if self.ready else None
        if row is not None and self._seen and row.key != self._shown_for:
            self.run_worker(bound(self._read_detail, row), group="detail", exclusive=True)

    async def _read_detail(self, row: Row) -> None:
        who = self.app.now.me
        try:
            found = await self.detail(row)
        except ApiError as error:
            found = Detail(row.cells[0], sentences=[error.message, error.hint])
        if who is not None and not self.app.now.is_me(who["member"]):
            return  # it was read for somebody who has gone
        if (
            self.ready
            and not self.shut
            and self.list.row is not None
            and self.list.row.key == row.key
        ):
            self._shown_for = row.key
            self._put(found)

    def _put(self, detail: Detail) -> None:
        self.query_one(".about", Static).update(detail.text())
        self.query_one(".told").scroll_home(animate=False)
        sub = self.sub
        if detail.columns:
            sub.columns = tuple(detail.columns)
        sub.show(detail.rows)
        self.call_after_refresh(self._hint, detail)

    def _hint(self, detail: Detail) -> None:
        """Say so where the text has no room, and by which key one reads on."""
        if self.query_one(".told").max_scroll_y > 0:
            key = self.app.key_of("rows.page_down")
            told = _("{key}: more of the text").format(key=key)
            self.sub.show([Row("more", [f"▾ {told}"], heading=True), *detail.rows])

    # -- going about -----------------------------------------------------------------------------

    def back(self) -> bool:
        """From the detail to the list; then the filter goes."""
        box = self.query_one(".filter", Input)
        if self.has_class("-open") or self.sub.has_focus:
            self.set_class(False, "-open")
            self.call_after_refresh(self.list.focus)
            self.app.keys_changed()
            return True
        if box.display:
            box.value = ""
            box.display = False
            self.list.focus()
            return True
        return False

    def arrive(self) -> None:
        """The list takes the keys."""
        if self.ready:
            (self.sub if self.has_class("-open") else self.list).focus()
