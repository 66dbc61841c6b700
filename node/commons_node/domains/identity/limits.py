"""What a kiosk's or an agent's device may write: kinds, how much, until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from commons_crdt.authority.identity_facts import Limit
from commons_crdt.errors import CommonsError
from commons_crdt.texts import _

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_DAY_MS = 24 * 3600 * 1000
_LIMIT_DAYS = 90
_LIMIT_OPERATIONS = 10_000
_MOST_KINDS = 16


class BadLimit(CommonsError):
    """The limit of the device is wrong: {why}."""

    code: ClassVar[str] = "limit"
    hint: ClassVar[str] = "for example --kinds lending.request --operations 500 --until 2027-01-01"
    status = "usage"


def limit_of(
    daemon: Daemon, kinds: Sequence[str], operations: int | None, until_then: datetime | None
) -> Limit | None:
    """What a kiosk's or an agent's device may do; None for a device like any other."""
    if not kinds:
        if operations is not None or until_then is not None:
            raise BadLimit(why=_("it does not say what the device may write"))
        return None
    known = {name for name, kind in daemon.rules.kinds.items() if kind.log == 1}
    chosen = set()
    for word in kinds:
        fitting = {k for k in known if k == word or k.rpartition(".")[0] == word}
        if not fitting:
            raise BadLimit(why=_("there is no kind of act called {word!r}").format(word=word))
        chosen |= fitting
    if len(chosen) > _MOST_KINDS:
        raise BadLimit(
            why=_("it lists more than {most_kinds} kinds").format(most_kinds=_MOST_KINDS)
        )
    now = daemon.now_ms()
    until = now + _LIMIT_DAYS * _DAY_MS
    if until_then is not None:
        local = until_then if until_then.tzinfo is not None else until_then.replace(tzinfo=UTC)
        until = int(local.timestamp() * 1000)
        if until <= now:
            raise BadLimit(why=_("its time is over already"))
    return Limit(tuple(sorted(chosen)), operations or _LIMIT_OPERATIONS, until)
