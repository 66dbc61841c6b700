"""Who acts at this terminal: choose a member, give the passphrase. It goes nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from commons_cli.texts import _
from commons_tui.bidi import safe
from commons_tui.bridge import ApiError
from commons_tui.dialogs.dialog import Dialog, text
from commons_tui.place import plain


class Unlock(Dialog[Mapping[str, Any] | None]):
    """Gives what ``member.unlock`` answered, or None. ``beside``: only for one act.

    Then the member and the passphrase are given back as ``{"member", "passphrase"}``, and the
    terminal's own session stays as it is.
    """

    private = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "pick(-1)", "The one before", id="dialog.before", show=False),
        Binding("down", "pick(1)", "The next one", id="dialog.next", show=False),
    ]

    def __init__(
        self,
        members: Sequence[Mapping[str, Any]],
        *,
        why: str = "",
        chosen: str | None = None,
        beside: bool = False,
    ) -> None:
        """``members``: those who may be meant; ``chosen``: the one who probably is."""
        super().__init__(_("Who acts?"))
        self._members, self._why, self._beside = members, why, beside
        self._who = chosen or (str(members[0]["member"]) if members else "")

    def inside(self) -> Iterable[Widget]:
        """Why, who, the passphrase."""
        if self._why:
            yield text(self._why)
        if len(self._members) > 1:
            yield OptionList(
                *(Option(self._prompt(one), id=str(one["member"])) for one in self._members)
            )
        else:
            yield text(", ".join(str(one["name"]) for one in self._members))
        yield text(self._label(), "label")
        yield Input(password=True, id="passphrase")
        yield text("", "error")
        yield self.buttons(("cancel", _("Cancel")), ("unlock", _("Unlock")))

    def on_mount(self) -> None:
        """Type at once: the arrows choose another one meanwhile."""
        lists = self.query(OptionList)
        if lists:
            ids = [str(one["member"]) for one in self._members]
            lists.first().highlighted = ids.index(self._who) if self._who in ids else 0
        self.query_one("#passphrase").focus()

    def _prompt(self, one: Mapping[str, Any]) -> str:
        """A name, with a sign before who is meant: it is not told by colour alone."""
        sign = "▸" if one["member"] == self._who else " "
        return f"{sign} {plain(str(one['name']))}"

    def _label(self) -> str:
        name = next((str(m["name"]) for m in self._members if m["member"] == self._who), "")
        return _("Passphrase of {name}").format(name=name) if name else _("Passphrase")

    def action_pick(self, step: int) -> None:
        """The next one, or the one before, without leaving the passphrase."""
        for choices in self.query(OptionList):
            at = (choices.highlighted or 0) + step
            choices.highlighted = max(0, min(at, choices.option_count - 1))

    @on(OptionList.OptionHighlighted)
    def _member(self, event: OptionList.OptionHighlighted) -> None:
        before, self._who = self._who, event.option.id or ""
        for one in self._members:
            if one["member"] in {before, self._who}:
                event.option_list.replace_option_prompt(str(one["member"]), self._prompt(one))
        self.query_one(".label", Static).update(safe(self._label()))

    @on(OptionList.OptionSelected)
    def _sure(self) -> None:
        self.query_one("#passphrase").focus()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self._try()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "unlock":
            self._try()
        else:
            self.dismiss(None)

    @work(exclusive=True)
    async def _try(self) -> None:
        box = self.query_one("#passphrase", Input)
        given = {"member": self._who, "passphrase": box.value}
        said = self.query_one(".error", Static)
        if not box.value:
            said.update(_("Type the passphrase first."))
            return
        if self._beside:
            self.dismiss(given)
            return
        said.update(_("One moment…"))
        try:
            answer = await self.app.bridge.command(
                "member.unlock", {**given, "for": self.app.settings.idle_s}
            )
        except ApiError as error:
            box.value = ""
            said.update(f"✕ {safe(error.message)}")
            return
        self.dismiss(answer)
