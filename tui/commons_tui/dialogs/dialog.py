"""The base of all dialogs, and the three plain ones: say something, ask yes or no, choose one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from commons_cli.texts import _
from commons_tui.bidi import safe
from commons_tui.rows import Column, Row, Rows

if TYPE_CHECKING:
    from commons_tui.app import CommonsApp

T = TypeVar("T")
_BORDER: Final = 2
_LEAST: Final = 3
"""Lines of what scrolls, however little room there is."""


class Dialog(ModalScreen[T]):
    """A box in the middle; the whole screen where that is small. ``dismiss(None)`` on esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "away", "Back", id="dialog.back", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
    ]
    app: CommonsApp
    private: ClassVar[bool] = True
    """Put away when the terminal locks."""

    def __init__(self, title: str) -> None:
        """``title`` stands in the border."""
        super().__init__()
        self.heading = title

    def inside(self) -> Iterable[Widget]:
        """What the box holds."""
        return ()

    def compose(self) -> ComposeResult:
        """The box."""
        box = Vertical(*self.inside(), classes="box")
        box.border_title = safe(self.heading).replace("[", "\\[")
        yield box

    def action_away(self) -> None:
        """Put it away."""
        self.dismiss(None)

    def action_page(self, step: int) -> None:
        """A page of what scrolls."""
        for fields in self.query(".box > .fields"):
            (fields.scroll_page_down if step > 0 else fields.scroll_page_up)(animate=False)

    def on_resize(self) -> None:
        """There is more room, or less."""
        self.fit()

    def fit(self) -> None:
        """What is of class ``fields`` scrolls; all else, the buttons above all, stays in sight."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        for fields in self.query(".box > .fields"):
            beside = [one for one in self.query(".box > *") if one is not fields]
            taken = sum(one.virtual_region_with_margin.height for one in beside) + _BORDER
            fields.styles.max_height = max(self.app.size.height - taken, _LEAST)

    def buttons(self, *made: tuple[str, str]) -> Horizontal:
        """Buttons in one line: ``(id, label)``."""
        return Horizontal(
            *(Button(label, id=ident, compact=True) for ident, label in made), classes="buttons"
        )


def text(words: str, classes: str = "about") -> Static:
    """A paragraph without markup."""
    return Static(safe(words), classes=classes, markup=False)


class Say(Dialog[str | None]):
    """Says something, perhaps with rows. Gives the key of a row that was opened, or None."""

    def __init__(
        self,
        title: str,
        *paragraphs: str,
        columns: Sequence[Column] = (),
        rows: Sequence[Row] = (),
        equal: str = "",
    ) -> None:
        """``equal``: the same on the command line."""
        super().__init__(title)
        self._paragraphs = [one for one in paragraphs if one]
        self._columns, self._rows, self._equal = columns, rows, equal

    def inside(self) -> Iterable[Widget]:
        """Paragraphs, which scroll where no rows do, and the command."""
        words = [text(one) for one in self._paragraphs]
        if self._rows:
            yield from (*words, Rows(self._columns, ident="rows"))
        else:
            yield Vertical(*words, classes="fields")
        if self._equal:
            yield text(f"$ {self._equal}", "equal")
        yield self.buttons(("close", _("Close")))

    def on_mount(self) -> None:
        """Rows, and the focus on them or on the button."""
        if self._rows:
            rows = self.query_one(Rows)
            rows.show(self._rows)
            rows.focus()
        else:
            self.query_one("#close").focus()

    def on_resize(self) -> None:
        """As many rows as there is room for beside the words."""
        if self._rows:
            room = self.app.size
            inner = max(min(room.width, 72) - 4, 1)
            said = [*self._paragraphs, self._equal]
            lines = sum(len(part) // inner + 1 for one in said for part in one.split("\n")) + 5
            high = max(room.height - lines, 4)
            self.query_one(Rows).styles.height = min(len(self._rows) + 1, high)

    @on(Rows.Chosen)
    def _chosen(self, event: Rows.Chosen) -> None:
        self.dismiss(event.row.key if event.row else None)

    @on(Button.Pressed)
    def _close(self) -> None:
        self.dismiss(None)


class Ask(Dialog[bool]):
    """A question with yes and no; no is what Enter does at first."""

    def __init__(self, title: str, question: str, yes: str = "") -> None:
        """``yes`` is what the button says."""
        super().__init__(title)
        self._question, self._yes = question, yes or _("Yes")

    def inside(self) -> Iterable[Widget]:
        """The question, and two buttons."""
        yield Vertical(text(self._question), classes="fields")
        yield self.buttons(("no", _("No")), ("yes", self._yes))

    def on_mount(self) -> None:
        """Nothing happens by a hasty Enter."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_away(self) -> None:
        """No."""
        self.dismiss(False)


class Choose(Dialog[str | None]):
    """One of several, by its id."""

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], question: str = "") -> None:
        """``choices``: id and what is shown."""
        super().__init__(title)
        self._choices, self._question = choices, question

    def inside(self) -> Iterable[Widget]:
        """The question, and the choices."""
        if self._question:
            yield text(self._question)
        options = [Option(safe(shown).replace("[", "\\["), id=key) for key, shown in self._choices]
        yield OptionList(*options)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)
