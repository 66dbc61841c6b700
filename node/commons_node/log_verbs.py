"""`log`: what is logged, changed while the node runs; nothing of it is kept over a start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, cast

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.config import LogLevel
from commons_node.logs import COMPONENTS, LIBRARIES, levels, levels_of
from commons_node.registry import (
    Column,
    Command,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_WORDS: Final = ("debug", "info", "warning", "error")
_REST: Final = "*"
"""Whatever has no level of its own, as the table has it."""


class BadLevel(CommonsError):
    """{given} is no level, and no component with one."""

    code: ClassVar[str] = "bad_level"
    hint: ClassVar[str] = "debug, info, warning or error for all, or COMPONENT=LEVEL: {components}"
    status = "usage"


class Nothing(msgspec.Struct):
    """No arguments."""


class Change(msgspec.Struct):
    """Arguments of ``log level``."""

    level: Annotated[
        list[str],
        argument("debug, info, warning or error; of one component: membership=debug"),
    ] = []


async def change(request: Request[Daemon], args: Change) -> Mapping[str, object]:
    """Log more or less until the node is started again; without words as configured."""
    config = request.node.config
    everything: LogLevel = levels.all if args.level else config.log_level
    of = dict(levels.of) if args.level else levels_of(config.log_levels)
    for given in args.level:
        component, _equals, word = given.rpartition("=")
        if word not in _WORDS or component not in {"", _REST, *COMPONENTS, *LIBRARIES}:
            known = ", ".join((*COMPONENTS, *LIBRARIES))
            raise BadLevel(given=ascii(given[:60]), components=known)
        if not component:
            everything, of = cast("LogLevel", word), {}
        elif component == _REST:
            everything = cast("LogLevel", word)
        else:
            of |= levels_of([given])
    levels.set(everything, of)
    return _now(config.log_file)


def _now(file: str) -> dict[str, object]:
    rows = [{"component": _REST, "level": levels.all}]
    rows += [{"component": name, "level": level} for name, level in sorted(levels.of.items())]
    return {"levels": rows, "file": file or None}


async def show(request: Request[Daemon], _args: Nothing) -> Reading:
    """What is logged now, and where to."""
    return Reading({**_now(request.node.config.log_file), "components": list(COMPONENTS)})


_TABLE: Final = Table("levels", (Column("component", "Component"), Column("level", "Level")))

REGISTRY = Registry(
    commands=(
        Command("log.level", "Log more or less, until the node is started again.", Change, change,
                says=("It is logged to {file}.", "It is logged to stderr."), table=_TABLE),
    ),
    views=(
        View("log.show", "What is logged, and where to.", Nothing, show,
             says=("It is logged to {file}.", "It is logged to stderr."), table=_TABLE),
    ),
    nouns={"log": "what the node writes of itself"},
)  # fmt: skip
