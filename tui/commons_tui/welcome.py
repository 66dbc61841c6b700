"""What stands there before there is a place to go to: no node, or no community yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from commons_cli.texts import _
from commons_tui.bidi import safe

if TYPE_CHECKING:
    from commons_tui.app import CommonsApp
    from commons_tui.standing import Now

_CHOICES: Final = (
    ("community.init", "Found a community: you and your neighbours share what you have"),
    ("join", "Join with a code that a neighbour has given to you"),
    ("member.device.join", "Make this machine a device of yours, with a code from the other one"),
    ("example.load", "Look round in an example neighbourhood"),
)
"""Shown are those that the node has."""


class Away(Vertical):
    """No node answers: what that means, and the command. It goes on by itself when one does."""

    DEFAULT_CSS = "Away { padding: 1 2; }"

    def compose(self) -> ComposeResult:
        """A few lines."""
        yield Static(markup=False)

    def show(self, now: Now) -> None:
        """Say why."""
        why = now.error.message if now.error else ""
        told = (
            f"○ {_('No node runs here.')}",
            _("The node keeps your community's things on this computer; this is only its window."),
            f"{_('Start it in another terminal')}:\n\n    commons-node run",
            _("This screen goes on by itself as soon as it answers."),
            why,
        )
        self.query_one(Static).update("\n\n".join(safe(one) for one in told if one))


class Welcome(Vertical):
    """The first run: what there is to do, with Enter or a click."""

    DEFAULT_CSS = """
    Welcome { padding: 1 2; }
    Welcome Static { height: auto; margin-bottom: 1; }
    Welcome OptionList { height: auto; border: none; background: $background; }
    """
    app: CommonsApp

    def compose(self) -> ComposeResult:
        """A greeting, the choices, how it goes on."""
        yield Static(
            _("Welcome. This computer is a node of nobody yet.")
            + "\n\n"
            + _("Everything stays on your neighbours' computers and works without internet."),
            markup=False,
        )
        known = self.app.deeds.verbs
        yield OptionList(
            *(Option(f"→ {_(text)}", id=verb) for verb, text in _CHOICES if verb in known)
        )
        yield Static(classes="state", markup=False)

    def show(self, now: Now) -> None:
        """Take the focus, once the node answers."""
        told = _("Waiting for the node…") if now.here is None else ""
        self.query_one(".state", Static).update(told)
        if len(self.app.screen_stack) == 1:
            choices = self.query_one(OptionList)
            choices.focus()
            if choices.highlighted is None:
                choices.highlighted = 0

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        now = self.app.now
        known = bool(now.here) and now.community is None  # not before the node has answered
        if event.option.id is not None and known:
            self.app.carry_out(event.option.id)
