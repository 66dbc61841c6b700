"""Settings: how this interface looks, when it locks, its keys; kept in ``tui.toml``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from textual import on

from commons_cli.texts import _
from commons_cli.values import show_duration
from commons_node.api.language import languages
from commons_tui import keymap
from commons_tui.dialogs.dialog import Choose
from commons_tui.listing import Detail, Listing
from commons_tui.place import Place
from commons_tui.rows import Column, Row, Rows
from commons_tui.settings import FILE, IDLES
from commons_tui.themes import NAMES

_LOOKS = {
    "dark": "dark",
    "light": "light",
    "contrast": "high contrast",
    "plain": "greys only",
}
_NAMES = {"en": "English", "sv": "Svenska"}
"""Languages as those call them who speak them; one that is not here is shown by its code."""
_OF_ENVIRONMENT = "as the environment says"
_ABOUT = {
    "theme": "How it looks. With NO_COLOR in the environment there is no colour at all.",
    "idle": "How long nobody need touch a key before whoever is unlocked is locked again.",
    "language": "The language of texts; without a choice that of the environment (LANG). It "
    "changes when this interface is opened the next time.",
    "community": "Which community is shown, where this node is in several.",
    "keys": "Every key has a stable id. Change one in the file, under [keys], as in: "
    '"loan.approve" = "y"',
}


class SettingsPlace(Listing):
    """One row for each choice; Enter changes it."""

    columns = (Column("Setting", 18), Column("Now", 0))
    events = frozenset[str]()

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("settings")

    async def load(self) -> Sequence[Row]:
        """Nothing is asked: all of it is this program's own."""
        settings = self.app.settings
        rows = [
            _row("theme", _("Theme"), _(_LOOKS[settings.theme])),
            _row("idle", _("Locks after"), show_duration(settings.idle_s)),
            _row("language", _("Language"), _NAMES.get(settings.language) or _(_OF_ENVIRONMENT)),
        ]
        if len(self.app.now.communities) > 1 and self.app.now.community:
            rows.append(_row("community", _("Community"), str(self.app.now.community["name"])))
        changed = _("{count} changed").format(count=len(settings.keys))
        rows.append(_row("keys", _("Keys"), changed))
        return rows

    def rows_of(self, found: Sequence[Row]) -> Sequence[Row]:
        """As they are."""
        return found

    async def detail(self, row: Row) -> Detail:
        """What it is for, and where it is kept."""
        file = str(self.app.bridge.home / FILE)
        rows = keymap.rows(self.app) if row.key == "keys" else []
        return Detail(
            row.cells[0], [(_("Now"), row.cells[1]), (_("File"), file)], [_(_ABOUT[row.key])],
            rows, keymap.COLUMNS if rows else (Column("", 0),),
        )  # fmt: skip

    @on(Rows.Chosen, "#list")
    def _chosen(self, event: Rows.Chosen | None = None) -> None:
        row = event.row if event is not None else None
        if row is None or row.key == "keys":
            super()._chosen()
        else:
            if event is not None:
                event.prevent_default()
            self.app.run_flow(partial(self._change, row.key))

    async def _change(self, key: str) -> None:
        app = self.app
        choices: dict[str, Sequence[tuple[str, str]]] = {
            "theme": [(name, _(_LOOKS[name])) for name in NAMES],
            "idle": [(str(one), show_duration(one)) for one in IDLES],
            "language": [("", _(_OF_ENVIRONMENT)),
                         *((one, _NAMES.get(one, one)) for one in languages())],
            "community": [(str(one["community"]), str(one["name"])) for one in
                          app.now.communities],
        }  # fmt: skip
        chosen = await app.push_screen_wait(Choose(_("Choose"), choices[key], _(_ABOUT[key])))
        if chosen is None:
            return
        settings: Any = app.settings
        if key == "theme":
            await app.keep(replace(settings, theme=chosen))
        elif key == "language":
            await app.keep(replace(settings, language=chosen))
        elif key == "idle":
            await app.keep(replace(settings, idle_s=int(chosen)))
        else:
            app.bridge.community = chosen
            app.look_again()
        self.read()


def _row(key: str, name: str, value: str) -> Row:
    return Row(key, (name, value), key, words=f"{name} {value}".casefold())


PLACE = Place("settings", "Settings", 80, SettingsPlace)
