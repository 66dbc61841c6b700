"""A ticket while it is open at the node that made it, and what can go wrong with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import ClassVar

from commons_crdt.authority.identity_facts import Limit
from commons_crdt.errors import CommonsError
from commons_crdt.ids import RealmId
from commons_protocol.applying import Application
from commons_protocol.tickets import Ticket


class NobodyAsks(CommonsError):
    """No machine has asked to be let in with a code of yours."""

    code: ClassVar[str] = "nothing_asked"
    hint: ClassVar[str] = "on the new machine: commons-node member device join CODE"
    status = "not_found"


class WrongDigits(CommonsError):
    """No machine that asks shows these digits; {left}."""

    code: ClassVar[str] = "digits"
    hint: ClassVar[str] = (
        "type what the new machine shows; if it shows something else, somebody else has your code"
    )


class NotGranted(CommonsError):
    """Your act was written and does not count: {reason}."""

    code: ClassVar[str] = "rejected"
    hint: ClassVar[str] = "commons-node explain {operation}"


@dataclass(slots=True)
class OpenTicket:
    """A ticket that this node honours, and who came with it."""

    ticket: Ticket
    realm: RealmId
    ends_ms: int
    limit: Limit | None = None
    label: str | None = None
    asked: Application | None = None
    salt: bytes = b""
    tries: int = 0
    granted: asyncio.Event = field(default_factory=asyncio.Event)
