"""The drivers of this node, as ``drivers`` in config.toml has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.config import BadConfig
from commons_node.drivers.catalogue import KINDS
from commons_node.drivers.desktop import Notice
from commons_node.drivers.driver import Around, By, Driver, Kind, NotSetUp, Undelivered
from commons_node.jobs.outbox import Letter

Settings = Mapping[str, Any]
_FAKES: Final = 100


class BadMessage(CommonsError):
    """The driver {name} does not take that: {why}."""

    code = "bad_parameters"
    status = "usage"


@dataclass(slots=True)
class Fake:
    """In the place of a device, where ``fake = true``: takes what the device would, does nothing.

    The last hundred messages are kept, once for each key, and it answers what a device might.
    """

    seen: object
    taken: dict[str, object] = field(default_factory=dict)
    order: deque[str] = field(default_factory=deque)

    async def send(self, key: str, message: Any) -> None:
        """Keep it."""
        if key not in self.taken:
            self.order.append(key)
        self.taken[key] = msgspec.to_builtins(message)
        if len(self.order) > _FAKES:
            del self.taken[self.order.popleft()]

    async def read(self, ask: Any) -> object:
        """What a device might say."""
        del ask
        return self.seen


@dataclass(frozen=True, slots=True)
class _Held:
    kind: Kind
    settings: msgspec.Struct
    driver: Driver
    fake: bool


class Drivers:
    """All of them, by the names that the host gave them."""

    def __init__(self, configured: Mapping[str, Settings], around: Around) -> None:
        """Touches no device. Raises ``BadConfig`` for settings that no driver has."""
        self._held = {name: _made(name, given, around) for name, given in configured.items()}

    def names(self) -> tuple[str, ...]:
        """All that are configured."""
        return tuple(self._held)

    def rows(self) -> list[dict[str, object]]:
        """A line each: ``driver, kind, state, why, next``."""
        rows: list[dict[str, object]] = []
        for name, one in sorted(self._held.items()):
            lacking = None if one.fake else one.kind.lacking(one.settings)
            rows.append(
                {
                    "driver": name,
                    "kind": one.kind.name,
                    "summary": _(one.kind.summary),
                    "state": "fake" if one.fake else "ready" if lacking is None else "lacking",
                    "why": lacking[0] if lacking else None,
                    "next_action": lacking[1] if lacking else None,
                }
            )
        return rows

    def notifies(self, name: str) -> bool:
        """Whether it is set up, and takes notices."""
        found = self._held.get(name)
        return found is not None and found.kind.message is Notice

    def driver(self, name: str) -> Driver:
        """The driver itself, for tests. Raises ``NotSetUp``."""
        return self._ready(name).driver

    def _ready(self, name: str) -> _Held:
        found = self._held.get(name)
        if found is None:
            raise NotSetUp(
                name=name, why=_("config.toml has none of this name"),
                next=_("add it to drivers in config.toml (docs/host/drivers.md), start again"),
            )  # fmt: skip
        lacking = None if found.fake else found.kind.lacking(found.settings)
        if lacking is not None:
            raise NotSetUp(name=name, why=lacking[0], next=lacking[1])
        return found

    def checked(self, name: str, message: object, by: By | None = None) -> object:
        """A message as this driver takes it, plain values; ``by``: whose it is, whatever it says.

        Raises ``NotSetUp``, ``BadMessage``.
        """
        held = self._ready(name)
        found = _given(name, held.kind.message, message)
        if "by" in found.__struct_fields__:
            found = msgspec.structs.replace(found, by=by)
        return msgspec.to_builtins(found)

    async def deliver(self, letter: Letter) -> None:
        """A letter of the outbox. Raises anything when it has not arrived."""
        name = letter.to.partition(":")[2]
        held = self._ready(name)
        message = _given(name, held.kind.message, letter.body)
        await held.driver.send(letter.key, message)

    async def ask(self, name: str, ask: object) -> object:
        """What a driver sees. Raises ``NotSetUp``, ``BadMessage``, ``Undelivered``."""
        held = self._ready(name)
        question = _given(name, held.kind.question, ask)
        seen = await held.driver.read(question)
        try:
            return msgspec.to_builtins(msgspec.convert(seen, held.kind.answer))
        except (msgspec.ValidationError, RecursionError) as error:
            text = _("what {name} says is not what its kind says: {why}")
            raise Undelivered(why=text.format(name=name, why=error)) from None


def _given(name: str, shape: type[msgspec.Struct] | None, given: object) -> Any:
    if shape is None:
        raise BadMessage(name=name, why=_("a driver of its kind is not there for that"))
    try:
        return msgspec.convert(given, shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadMessage(name=name, why=error) from None


def _made(name: str, given: Settings, around: Around) -> _Held:
    where, key = "config.toml", f"drivers.{name}"
    kind = KINDS.get(str(given.get("kind")))
    if kind is None:
        why = _("there is no kind {kind!r}").format(kind=given.get("kind"))
        fix = _("the kinds are {kinds}").format(kinds=", ".join(KINDS))
        raise BadConfig(where=where, key=key, why=why, fix=fix)
    fake = given.get("fake", False) is True
    rest = {name: one for name, one in given.items() if name not in {"kind", "fake"}}
    try:
        settings = msgspec.convert(rest, kind.settings)
    except msgspec.ValidationError as error:
        fix = _("docs/host/drivers.md says what a {kind} takes").format(kind=kind.name)
        raise BadConfig(where=where, key=key, why=error, fix=fix) from None
    driver: Driver = Fake(kind.seen) if fake else kind.make(settings, around)
    return _Held(kind, settings, driver, fake)
