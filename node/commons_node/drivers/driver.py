"""What a driver is: settings of the host, a message or a question, and what is done with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.web import Web


class NotSetUp(CommonsError):
    """The driver {name} is not set up: {why}."""

    code = "not_set_up"
    hint = "{next}"


class Undelivered(CommonsError):
    """It did not arrive: {why}."""

    code = "undelivered"


class By(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose a letter is: the agent (``hex8/name``), the community that it works for (64 hex digits)
    and what that is called. Said by the node, never by the agent.
    """

    agent: str
    principal: str
    name: str


SAID_BY_THE_NODE: Final = frozenset({"by"})
"""Fields of messages that no agent sets."""


@dataclass(frozen=True, slots=True)
class Around:
    """What drivers share: the way to the web, and the folder of this home."""

    web: Web
    home: Path


class Driver(Protocol):
    """One that is set up. What it can't do raises ``NotSetUp``."""

    async def send(self, key: str, message: Any) -> None:
        """Do it; ``key`` is the same each time that the same letter comes. Raises anything."""
        ...

    async def read(self, ask: Any) -> object:
        """What is there now. Raises anything."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. ``message`` and ``question``: structs, None where it takes none; a message that has
    a field ``by`` (``By``) is told by the node whose it is. ``answer``: to a question.

    ``lacking``: why a driver of this kind can't work here, and what to do, both as sentences; None
    if it can. ``seen``: what a fake of it answers when it is asked, of the shape ``answer``.
    """

    name: str
    summary: str
    settings: type[msgspec.Struct]
    make: Callable[[Any, Around], Driver]
    message: type[msgspec.Struct] | None = None
    question: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    lacking: Callable[[Any], tuple[str, str] | None] = lambda _settings: None
    seen: object = None


class Silent:
    """The halves that most kinds do not have."""

    async def send(self, key: str, message: Any) -> None:
        """It takes nothing."""
        raise Undelivered(why=f"nothing can be sent to it: {key}, {type(message).__name__}")

    async def read(self, ask: Any) -> object:
        """It tells nothing."""
        raise Undelivered(why=f"nothing can be asked of it: {type(ask).__name__}")
