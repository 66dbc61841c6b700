"""The screen of permissions: what an agent asks for, in plain words, and what an upgrade changes.

Nothing is agreed to by a hasty Enter, and nothing that was not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from textual import on
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Button

from commons_cli.texts import _
from commons_tui.dialogs.dialog import Dialog, text

_MARKS: Final[Mapping[str, str]] = {
    "new": "+", "wider": "+", "changed": "~", "narrower": "-", "gone": "-", "withheld": "✕",
}  # fmt: skip


class Permissions(Dialog[bool]):
    """Gives whether somebody has agreed to all that it shows."""

    def __init__(self, title: str, report: Mapping[str, Any]) -> None:
        """``report``: what a verb refused with that wants to be agreed to."""
        super().__init__(title)
        self._report = report

    def inside(self) -> Iterable[Widget]:
        """Who asks, for what, and two buttons."""
        one = self._report
        asked = [text(line, "about strong") for line in headings(one)[:1]]
        asked += [text(line) for line in headings(one)[1:]]
        for row in one["permissions"]:
            asked.append(text(permission(row), "about strong"))
            if row["bounds"]:
                asked.append(text(f"    {row['bounds']}"))
        yield VerticalScroll(*asked, classes="fields")
        yield self.buttons(("no", _("No")), ("yes", _("Agree to that")))

    def on_mount(self) -> None:
        """Nothing happens by a hasty Enter."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_away(self) -> None:
        """No."""
        self.dismiss(False)


def headings(one: Mapping[str, Any]) -> list[str]:
    """Which agent, whose, when it runs, and what one run takes."""
    lines = [
        f"{one['name']} {one['version']} · {one['agent']}",
        str(one["summary"]),
        _("Publisher: {publisher}").format(publisher=one["publisher"]),
        _("It runs: {when}").format(when=one["when"]),
        _("One run: {run}").format(run=one["run"]),
    ]
    if not one["permissions"]:
        lines.append(_("It asks for nothing."))
    return [line for line in lines if line]


def permission(row: Mapping[str, Any]) -> str:
    """A capability in words, with how it has changed where it has."""
    if row["change"] == "as before":
        return f"  {row['means']}"
    mark = _MARKS.get(str(row["change"]), "+")
    return f"{mark} {row['means']} ({row['changes']})"
