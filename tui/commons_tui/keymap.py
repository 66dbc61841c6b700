"""Which key does what: stable ids, what a person may change, and the page of help.

Ids of acts are the verbs' names; ``app.…``, ``rows.…``, ``place.…`` and ``dialog.…`` are the
program's own. ``tui.toml`` maps ids to keys, several with commas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from textual.binding import Binding

from commons_cli.texts import _
from commons_tui.places import places
from commons_tui.rows import Column, Row, Rows

if TYPE_CHECKING:
    from commons_tui.app import CommonsApp

COLUMNS: Final = (Column("Key", 14), Column("Does", 0), Column("Id", 20, 1))
_SHOWN: Final = {
    "question_mark": "?", "slash": "/", "colon": ":", "escape": "esc", "enter": "↵", "up": "↑",
    "down": "↓", "pageup": "PgUp", "pagedown": "PgDn", "comma": ",", "full_stop": ".",
}  # fmt: skip


def shown(keys: str) -> str:
    """The first of some keys as it is printed on a keyboard."""
    key = keys.split(",", maxsplit=1)[0].strip()
    return _SHOWN.get(key) or key.replace("ctrl+", "^")


@cache
def _bindings() -> Mapping[str, Binding]:
    from commons_tui.app import CommonsApp
    from commons_tui.dialogs.dialog import Dialog
    from commons_tui.dialogs.form import Form
    from commons_tui.dialogs.unlock import Unlock

    holders: list[Any] = [CommonsApp, Rows, Dialog, Form, Unlock]
    for place in places():
        made = place.make
        kind = getattr(made, "kind", made)
        holders += [one for one in getattr(kind, "__mro__", ()) if "BINDINGS" in vars(one)]
    found: dict[str, Binding] = {}
    for holder in holders:
        for one in vars(holder).get("BINDINGS", ()):
            if isinstance(one, Binding) and one.id:
                found.setdefault(one.id, one)
    return found


def known_ids() -> Iterable[str]:
    """Every id that a keymap may name."""
    return _bindings().keys()


def default_of(ident: str) -> str:
    """The key that a binding has where nobody changed it."""
    found = _bindings().get(ident)
    return found.key if found is not None else ""


def problem(keys: Mapping[str, str], known: Iterable[str]) -> str:
    """What is wrong with a keymap, in a sentence; empty if nothing is."""
    unknown = sorted(set(keys) - set(known))
    if unknown:
        told = _("The keymap names what this program does not have: {ids}.")
        return told.format(ids=", ".join(unknown))
    return ""


def help_lines(app: CommonsApp) -> list[str]:
    """What stands above the keys."""
    place = places()[app._here]
    return [
        _("Here: {place}. Every command is in the list that {key} opens, with its command line.")
        .format(place=_(place.title), key=app.key_of("app.palette")),
    ]  # fmt: skip


def rows(app: CommonsApp) -> list[Row]:
    """The keys of this place, then those that work everywhere."""
    found: list[Row] = []
    if app.view is not None:
        found.extend(_row(app, act.id, act.key, act.title) for act in app.view.acts)
    if found:
        found.insert(0, Row("here", [_("Here")], heading=True))
        found.append(Row("everywhere", [_("Everywhere")], heading=True))
    mine = {row.key for row in found}
    for ident, one in _bindings().items():
        if ident not in mine and ident.partition(".")[0] in {"app", "place", "rows", "dialog"}:
            found.append(_row(app, ident, one.key, one.description))
    return found


def _row(app: CommonsApp, ident: str, key: str, title: str) -> Row:
    keys = app.settings.keys.get(ident) or key
    written = " ".join(shown(one) for one in keys.split(","))
    return Row(ident, [written, _(title), ident])
