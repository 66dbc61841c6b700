"""What a rehearsed agent meets in the place of a community, of devices, models and the internet.

Rows have all the fields that their collection has; drivers take and tell what their kinds do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from commons_crdt.texts import _
from commons_node.capabilities.collections import COLLECTIONS, Collection
from commons_node.drivers.catalogue import KINDS
from commons_node.drivers.driver import By
from commons_node.drivers.held import BadMessage, Drivers
from commons_node.jobs.outbox import Letter
from commons_node.models.held import Models
from commons_node.registry import Reading, Registry, Request, View
from commons_node.web import TIMEOUT_S, Allowed, Answered, Forbidden, Web

STREET: Final = "Elm Street"
"""What the community is called."""
ROWS: Final = 3
"""Of each collection."""
_IDS: Final = frozenset({
    "loan", "resource", "borrower", "custodian", "receiver", "member", "space", "operation",
    "document",
})  # fmt: skip
_NAMES: Final[Mapping[str, tuple[str, str, str]]] = {
    "name": ("Drill", "Ladder", "Cargo bike"),
    "borrower_name": ("Ada", "Bo", "Cleo"),
    "custodian_name": ("Ada", "Bo", "Cleo"),
    "author": ("Ada", "Bo", "Cleo"),
    "about": ("Drill", "Ladder", "Cargo bike"),
    "number": ("1", "2", "3"),
    "categories": ("tools", "tools", "bikes"),
    "state": ("on_loan", "requested", "returned"),
    "role": ("coordinator", "steward", "member"),
    "standing": ("good", "good", "good"),
    "type": ("room", "room", "garden"),
    "kind": ("lending.request.1", "lending.handover.1", "resource.item.1"),
    "verdict": ("accepted", "accepted", "accepted"),
    "sentence": ("Ada asked for Drill.", "Bo handed over Ladder.", "Cleo described a thing."),
    "zone": ("UTC", "UTC", "UTC"),
    "languages": ("sv, en", "sv", "en"),
    "brand": ("Bosch", "Zarges", "Urban Arrow"),
}
_TRUTHS: Final = {
    "overdue": (True, False, False), "open": (True, False, True), "settled": (True, True, True),
    "provisional": (False, False, False), "forgiven": (False, False, False),
}  # fmt: skip
_NUMBERS: Final = {"quantity": 1, "out": 0, "capacity": 20, "count": 7}
_DAYS: Final = {"from": (-10, -1, -20), "due": (-2, 5, -6), "time": (0, -1, -2)}


def registry_of(registry: Registry, now_ms: int) -> Registry:
    """The node's commands, and views that answer made-up rows."""
    made = [_view(registry, one, now_ms) for one in COLLECTIONS.values()]
    return replace(registry, views=tuple(view for view in made if view is not None))


def _view(registry: Registry, of: Collection, now_ms: int) -> View | None:
    found = registry.view(of.view)
    rows = [row_of(of, n, now_ms) for n in range(ROWS)]

    async def read(_request: Request[Any], _args: object) -> Reading:
        return Reading({of.rows: rows}, as_of="00")

    return replace(found, read=read) if found is not None else None


def row_of(of: Collection, n: int, now_ms: int) -> dict[str, object]:
    """One row: every field of the collection, of the kind that the real one has."""
    row = {name: _value(name, n, now_ms) for name in of.fields}
    if of.name == "resource":
        row["state"] = ("on_loan", "available", "available")[n]
    return row


def _value(name: str, n: int, now_ms: int) -> object:
    if name in _IDS:
        return f"{n + 1:064x}"
    if name in _NAMES:
        return _NAMES[name][n]
    if name in _TRUTHS:
        return _TRUTHS[name][n]
    if name in _DAYS or name == "due_day":
        days = _DAYS["due" if name == "due_day" else name][n]
        then = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(days=days)
        return then.strftime("%Y-%m-%d" if name == "due_day" else "%Y-%m-%dT%H:%M:%SZ")
    return _NUMBERS.get(name)


class MadeUpDrivers(Drivers):
    """Every name is a driver: of the kind that the host has of this name, else of any that fits."""

    def __init__(self, configured: Mapping[str, Mapping[str, Any]]) -> None:
        """``configured``: as in config.toml; nothing of it is opened."""
        self._kinds = {name: str(given.get("kind")) for name, given in configured.items()}

    def checked(self, name: str, message: object, by: By | None = None) -> object:
        """See ``Drivers``."""
        return msgspec.to_builtins(self._taken(name, "message", message, by)[0])

    async def deliver(self, letter: Letter) -> None:
        """Nothing goes anywhere."""
        raise BadMessage(name=letter.to, why=_("nothing leaves a rehearsal"))

    async def ask(self, name: str, ask: object) -> object:
        """What a fake of that kind sees."""
        return self._taken(name, "question", ask, None)[1]

    def _taken(
        self, name: str, which: str, given: object, by: By | None
    ) -> tuple[msgspec.Struct, object]:
        only = self._kinds.get(name)
        faults = []
        for kind in KINDS.values():
            shape = getattr(kind, which)
            if shape is None or (only is not None and kind.name != only):
                continue
            try:
                found: msgspec.Struct = msgspec.convert(given, shape)
            except (msgspec.ValidationError, RecursionError) as error:
                faults.append(f"{kind.name}: {error}")
                continue
            if "by" in found.__struct_fields__:
                found = msgspec.structs.replace(found, by=by)
            return found, kind.seen
        raise BadMessage(name=name, why="; ".join(faults) or "-")


class MadeUpModels(Models):
    """Any model; it answers nothing."""

    def __init__(self) -> None:
        """None is loaded."""
        super().__init__({})

    async def infer(self, name: str, given: object) -> object:
        """Null: only the host's own model knows more."""
        del name, given
        return None


class MadeUpWeb(Web):
    """Nobody is asked: what may be fetched is an empty object."""

    async def fetch(
        self,
        url: str,
        allowed: Sequence[Allowed],
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        most: int = 512 << 10,
        timeout_s: float = TIMEOUT_S,
    ) -> Answered:
        """``{}``, where it is allowed. Raises ``Forbidden``."""
        del method, headers, body, most, timeout_s
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)
        except ValueError as error:
            raise Forbidden(why=error) from None
        if not any(one.fits(parts.scheme, host, port) for one in allowed):
            raise Forbidden(why=f"{parts.scheme}://{host}:{port}")
        return Answered(200, {"content-type": "application/json"}, b"{}")
