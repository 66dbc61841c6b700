"""A code that one person shows another: as a QR code where it fits, and always in letters.

It can also be kept as a file, which says all that a machine needs that has heard of nothing.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path

from textual import on, work
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from commons_cli.calls import write_file
from commons_cli.output import qr_lines
from commons_cli.texts import _
from commons_tui.bridge import ApiError, off_loop
from commons_tui.dialogs.dialog import Dialog, text


class Code(Dialog[str | None]):
    """Shows a code. Gives ``here`` when the other person signs at this terminal, else None."""

    def __init__(
        self,
        title: str,
        says: str,
        code: str,
        *,
        other: str = "",
        equal: str = "",
        file: str | None = None,
        letters: str = "",
    ) -> None:
        """``other``: the label of the button for somebody who signs here; none if empty.

        ``file``: the same as a file, in base64. ``letters``: the code as people read it aloud.
        """
        super().__init__(title)
        self._says, self._code, self._other, self._equal = says, code, other, equal
        self._file = file
        self._letters = letters or code
        self._qr = qr_lines(code)
        self._only = False

    def inside(self) -> Iterable[Widget]:
        """What to do with it, the picture, the letters."""
        yield text(self._says, "about says")
        picture = Static("\n".join(self._qr), classes="qr", markup=False)
        yield Horizontal(picture, classes="centre")
        yield text(self._letters, "code")
        yield text("", "label")
        if self._equal:
            yield text(f"$ {self._equal}", "equal")
        made = [("qr", _("QR code")), ("copy", _("Copy"))]
        made += [("file", _("File"))] if self._file else []
        yield self.buttons(*made)
        last = [("here", self._other)] if self._other else []
        yield self.buttons(*last, ("close", _("Close")))

    def on_mount(self) -> None:
        """The picture where it fits whole: half of one is no use."""
        self._fit()
        self.query_one("#here" if self._other else "#close").focus()

    def change(self, says: str, code: str, letters: str) -> None:
        """Show another code in place of this one."""
        self._says, self._code, self._letters = says, code, letters
        self._qr = qr_lines(code)
        self.query_one(".says", Static).update(says)
        self.query_one(".qr", Static).update("\n".join(self._qr))
        self.query_one(".code", Static).update(letters)
        self._fit()

    def on_resize(self) -> None:
        """Again when the terminal changes."""
        self._fit()

    def _fit(self) -> None:
        wide, high = len(self._qr[0]), len(self._qr)
        room = self.app.size
        inner = max(min(room.width, 72) - 4, 1)
        words = (self._says, self._letters, self._equal)
        lines = sum(len(one) // inner + 1 for one in words) + 9
        beside = wide <= inner and high + lines <= room.height
        alone = wide <= room.width and high <= room.height
        self._only = self._only and alone and not beside
        for widget in self.query_one(".box").children:
            widget.display = widget.has_class("centre") if self._only else True
        self.query_one(".centre").display = beside or self._only
        self.query_one("#qr").display = alone and not beside
        self.set_class(self._only, "-only")
        label = self.query_one(".label", Static)
        told = _("A QR code needs a terminal of {wide} by {high}.")
        label.update(told.format(wide=wide, high=high))
        label.display = not (beside or alone)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        match event.button.id:
            case "copy":
                self.app.copy_to_clipboard(self._code)
                self.app.notify(_("Copied, where the terminal allows it."))
            case "qr":
                self._only = True
                self._fit()
            case "file":
                self._keep()
            case "here":
                self.dismiss("here")
            case _:
                self.dismiss(None)

    def action_away(self) -> None:
        """From the picture alone to the words, then away."""
        if self._only:
            self._only = False
            self._fit()
        else:
            self.dismiss(None)

    @work(exclusive=True)
    async def _keep(self) -> None:
        path = await self.app.push_screen_wait(Where(str(Path.home() / "offer.commons")))
        if path is None or self._file is None:
            return
        file, data = Path(path), b64decode(self._file)
        try:
            await off_loop(lambda: fresh(file, data))
        except (OSError, ApiError) as error:
            why = error.message if isinstance(error, ApiError) else error.strerror
            self.app.notify(str(why).replace("[", "\\["), severity="error")
        else:
            self.app.notify(_("Written: {path}").format(path=str(file).replace("[", "\\[")))


def fresh(file: Path, data: bytes) -> None:
    """Write a file that is not there yet. Raises OSError."""
    path = file.expanduser()
    if path.exists():
        raise FileExistsError(17, _("There is such a file already."), str(path))
    write_file(path, data)


class Where(Dialog[str | None]):
    """Asks for a file's path."""

    def __init__(self, path: str) -> None:
        """``path`` is proposed."""
        super().__init__(_("File"))
        self._path = path

    def inside(self) -> Iterable[Widget]:
        """One field."""
        yield text(_("Where it is written"), "label")
        yield Input(self._path, id="path")
        yield self.buttons(("cancel", _("Cancel")), ("go", _("Write")))

    @on(Input.Submitted)
    def _typed(self) -> None:
        self.dismiss(self.query_one("#path", Input).value or None)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        path = self.query_one("#path", Input).value or None
        self.dismiss(path if event.button.id == "go" else None)
