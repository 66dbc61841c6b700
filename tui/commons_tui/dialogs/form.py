"""A form for any verb, made from its description: what a command line would take, asked for.

Below it stands the command that does the same. Values are checked as the command line checks them;
secrets are never part of the command that is shown.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import click
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import DescendantFocus
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input, Select

from commons_cli.tables import SHORT_ID
from commons_cli.texts import _
from commons_cli.values import show_duration, type_of
from commons_tui.bridge import off_loop
from commons_tui.dialogs.dialog import Dialog, text

SECRET: Final = frozenset({"passphrase", "new-passphrase", "secret"})
MIN_PASSPHRASE: Final = 8
_NOWHERE: Final = "timeout"
_ID: Final = re.compile(r"[0-9a-f]{64}")


class WrongValue(Exception):
    """What is wrong with which field, for the person who typed it."""


class Form(Dialog[Mapping[str, Any] | None]):
    """Gives the arguments for the API, or None."""

    AUTO_FOCUS = ""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "go", "Do it", id="dialog.go", show=False, priority=True)
    ]

    def __init__(self, verb: Mapping[str, Any], given: Mapping[str, Any], about: str = "") -> None:
        """``given``: values that are there already. ``about``: what they name, in words: then
        nobody is asked for it again."""
        super().__init__(_(verb["summary"]).rstrip("."))
        self._verb = verb
        self._given = dict(given)
        self._about = about
        hidden = {one["name"] for one in verb["args"] if one.get("positional")} & set(given)
        asked = [one for one in fields(verb) if not about or one["name"] not in hidden]
        order = sorted(asked, key=lambda one: not one.get("required"))
        self._fields = {one["name"]: one for one in order}

    def inside(self) -> Iterable[Widget]:
        """A label and a field for each argument."""
        if self._about:
            yield text(self._about, "about strong")
        made: list[Widget] = []
        for name, one in self._fields.items():
            made.append(Vertical(*self._field(name, one), classes="field"))
        yield Vertical(*made, classes="fields")
        yield text("", "error")
        yield text(f"$ {self._equal()}", "equal")
        yield self.buttons(
            ("cancel", _("Cancel")), ("go", f"{_('Do it')} {self.app.key_of('dialog.go')}")
        )

    def _field(self, name: str, one: Mapping[str, Any]) -> list[Widget]:
        label = _(one["help"])
        label = label[:1].upper() + label[1:]
        if not one.get("required") and one["kind"] != "flag":
            label += f" ({_('may be empty')})"
        value = self._given.get(name, one.get("default"))
        ident = f"f-{name}"
        kind = one["kind"]
        if kind == "flag":
            return [Checkbox(label, bool(value), id=ident)]
        if kind == "choice" and not one.get("repeat"):
            options = [(str(choice), str(choice)) for choice in one["choices"]]
            chosen = str(value) if value is not None else Select.NULL
            select = Select(
                options, value=chosen, allow_blank=value is None, id=ident, compact=True
            )
            return [text(label, "label"), select]
        shown = _typed(one, value)
        secret = kind in SECRET
        widgets: list[Widget] = [
            text(label, "label"),
            Input(shown, id=ident, password=secret, placeholder=_placeholder(one)),
        ]
        if kind == "new-passphrase":
            widgets += [
                text(_("The same again"), "label"),
                Input(password=True, id=f"{ident}-again"),
            ]
        return widgets

    def on_mount(self) -> None:
        """The first field that is empty."""
        boxes = list(self.query(".fields Input, .fields Select, .fields Checkbox"))
        empty = [box for box in boxes if getattr(box, "value", None) in {"", Select.NULL}]
        for box in (*empty, *boxes, self.query_one("#go")):
            box.focus(scroll_visible=False)  # nothing has its place yet
            return

    # -- values ----------------------------------------------------------------------------------

    def _raw(self) -> dict[str, Any]:
        """What stands in the fields, as typed."""
        found: dict[str, Any] = {}
        for name, one in self._fields.items():
            widget = self.query_one(f"#f-{name}")
            if isinstance(widget, Checkbox):
                found[name] = widget.value
            elif isinstance(widget, Select):
                found[name] = "" if widget.value is Select.NULL else str(widget.value)
            elif isinstance(widget, Input):
                secret = one["kind"] in SECRET
                found[name] = widget.value if secret else widget.value.strip()
        return found

    def _equal(self) -> str:
        raw = self._raw() if self.is_mounted else {}
        return command_of(self._verb, {**self._given, **raw})

    @on(Input.Changed)
    @on(Select.Changed)
    @on(Checkbox.Changed)
    def _changed(self) -> None:
        self.query_one(".equal").update(f"$ {self._equal()}")  # type: ignore[attr-defined]  # a Static
        self.fit()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The label of a field is seen with it."""
        field = event.widget.parent
        if isinstance(field, Widget) and field.has_class("field"):
            self.call_after_refresh(field.scroll_visible, animate=False)

    @on(Input.Submitted)
    def _next(self) -> None:
        """Enter goes on; in the last field it does it."""
        last = list(self.query(".fields Input"))[-1:]
        if last and last[0].has_focus:
            self._go()
        else:
            self.focus_next()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "go":
            self._go()
        else:
            self.dismiss(None)

    def action_go(self) -> None:
        """Whatever stands there now: what may be empty need not be passed one by one."""
        self._go()

    @work(exclusive=True)
    async def _go(self) -> None:
        raw = self._raw()
        for name, one in self._fields.items():
            if one["kind"] == "new-passphrase":
                again = self.query_one(f"#f-{name}-again", Input).value
                if raw[name] != again:
                    self._wrong(_("The two passphrases are not the same."), f"{name}-again")
                    return
        try:
            asked = {**self._verb, "args": list(self._fields.values())}
            values = await off_loop(lambda: checked(asked, raw))
        except WrongValue as error:
            self._wrong(str(error), str(error.__notes__[0]))
            return
        kept = {name: one for name, one in self._given.items() if name not in self._fields}
        self.dismiss({**kept, **values})

    def _wrong(self, why: str, name: str) -> None:
        self.query_one(".error").update(f"✕ {why}")  # type: ignore[attr-defined]  # a Static
        self.fit()
        self.query_one(f"#f-{name}").focus()


def fields(verb: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The arguments that a person is asked for."""
    return [one for one in verb["args"] if one["name"] != _NOWHERE]


def needs_form(verb: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether something that must be said is not said yet."""
    return any(one.get("required") and one["name"] not in given for one in fields(verb))


def checked(verb: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Typed values as the API takes them; empty ones are left out.

    Reads files. Raises WrongValue with the field's name as its note.
    """
    found: dict[str, Any] = {}
    for one in fields(verb):
        name, value = one["name"], raw.get(one["name"])
        try:
            if value in {None, "", False}:
                if one.get("required"):
                    raise WrongValue(_("This must be said: {what}.").format(what=_(one["help"])))
                continue
            if one["kind"] == "new-passphrase" and len(str(value).strip()) < MIN_PASSPHRASE:
                raise WrongValue(_("A passphrase needs at least 8 characters."))
            if one["kind"] == "flag" or one["kind"] in SECRET:
                found[name] = value
            elif one.get("repeat"):
                parts = [part.strip() for part in str(value).split(",")]
                kind = type_of(dict(one))
                found[name] = [kind.convert(part, None, None) for part in parts if part]
            else:
                found[name] = type_of(dict(one)).convert(value, None, None)
        except (WrongValue, click.UsageError) as error:
            told = error.format_message() if isinstance(error, click.UsageError) else str(error)
            wrong = WrongValue(told)
            wrong.add_note(name)
            raise wrong from None
    return found


def command_of(verb: Mapping[str, Any], raw: Mapping[str, Any]) -> str:
    """The command line that does the same; secrets are asked for there."""
    words = ["commons-node", *str(verb["name"]).split(".")]
    options: list[str] = []
    for one in verb["args"]:
        value = raw.get(one["name"])
        if one["kind"] in SECRET or one["name"] == _NOWHERE:
            continue
        name = f"--{one['name'].replace('_', '-')}"
        if isinstance(value, dict):
            value = value.get("name")
        if not value or str(value) == _typed(one, one.get("default")):
            if one.get("positional") and one.get("required"):
                words.append(one.get("metavar") or one["name"].upper())
            continue
        parts = value if isinstance(value, list) else [value]
        if one.get("repeat") and isinstance(value, str):
            parts = [part.strip() for part in value.split(",") if part.strip()]
        if one.get("positional"):
            words += [shlex.quote(_typed(one, part)) for part in parts]
        elif one["kind"] == "flag":
            options.append(name)
        else:
            options += [f"{name} {shlex.quote(_typed(one, part))}" for part in parts]
    return " ".join([*words, *options])


def _typed(one: Mapping[str, Any], value: object) -> str:
    """A value as one would type it."""
    if value is None or isinstance(value, dict):
        return ""
    if one["kind"] == "duration" and isinstance(value, int | float):
        return show_duration(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    text = str(value)
    return text[:SHORT_ID] if _ID.fullmatch(text) else text


def _placeholder(one: Mapping[str, Any]) -> str:
    words = {
        "duration": _("such as 15m or 7d"),
        "time": _("such as 2026-05-01"),
        "file-in": _("a file's path"),
        "file-out": _("a file's path"),
        "path-out": _("a file's path"),
        "folder": _("a folder's path"),
        "file-or-text": _("a code, or a file's path"),
    }
    told = words.get(one["kind"], "")
    return f"{told}; {_('several with commas')}" if one.get("repeat") and told else told
