"""A question that nobody answers by a hasty Enter: the word that it shows has to be typed."""

from __future__ import annotations

from collections.abc import Iterable

from textual import on
from textual.widget import Widget
from textual.widgets import Button, Input

from commons_cli.texts import _
from commons_tui.dialogs.dialog import Dialog, text


class Typed(Dialog[bool]):
    """Asks for ``word``; anything else is no."""

    def __init__(self, title: str, question: str, word: str) -> None:
        """``word`` is shown, and compared without case and blanks around it."""
        super().__init__(title)
        self._question, self._word = question, word.strip()

    def inside(self) -> Iterable[Widget]:
        """The question, a field, and two buttons."""
        yield text(self._question)
        yield text(_("To do it, type: {word}").format(word=self._word), "label")
        yield Input(id="word")
        yield self.buttons(("no", _("No")), ("yes", _("Do it")))

    def on_mount(self) -> None:
        """The field first."""
        self.query_one("#word", Input).focus()

    @on(Input.Submitted)
    def _typed(self) -> None:
        self._answer()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._answer()
        else:
            self.dismiss(False)

    def _answer(self) -> None:
        field = self.query_one("#word", Input)
        if field.value.strip().casefold() == self._word.casefold():
            self.dismiss(True)
        elif field.value.strip():
            field.value = ""
            self.app.bell()
        else:
            self.dismiss(False)
