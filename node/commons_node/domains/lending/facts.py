"""What is said about a loan, each step by the one whose step it is.

A loan is named by its request's id, and every fact about it has that id as its document. A
hand-over is two facts by two devices, each in its own chain: the giver's offer and the taker's
acceptance. They find each other by the ids in their bodies, never by refs: what a borrower writes
builds on the borrower's own chain alone, so that this chain can be carried to a node that has
never heard of the loan, and no missing fact of somebody else can hold up an author's chain.

No text of a person stands here: reasons and notes are parts, which can be erased.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from commons_crdt.operation import Counter, Hash

REQUEST: Final = "lending.request.1"
ASKED: Final = "lending.request.2"
REQUESTS: Final = (REQUEST, ASKED)
"""How a member asks; the second kind says what was meant beside the moment it came to."""
DECISION: Final = "lending.decision.1"
HANDOVER: Final = "lending.handover.1"
ACCEPT: Final = "lending.accept.1"
RETURN: Final = "lending.return.1"
RECEIVE: Final = "lending.receive.1"
CANCEL: Final = "lending.cancel.1"
EXTEND: Final = "lending.extend.1"
EXTENDED: Final = "lending.extended.1"
SINCE: Final = 3
"""The rules version that lists requests with their meaning, cancelling, and longer loans."""

REASON: Final = "reason"
NOTE: Final = "note"
MAX_TEXT: Final = 1000
"""Bytes of a reason or a note."""
MAX_LOAN_MS: Final = 366 * 24 * 3600 * 1000
"""The longest loan that anybody may ask for."""

Condition = Literal["ok", "ticket"]
"""How a thing came back; with a ticket there is something to repair."""

Zone = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+\Z")]


class Request(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member asks for a thing from ``from_ms`` until, not including, ``until_ms`` (UTC).

    ``zone``: the IANA zone whose days were meant. The header's document is 32 zero bytes.
    """

    resource: Hash
    from_ms: Counter
    until_ms: Counter
    zone: Zone


Day = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
Meant = Annotated[
    str,
    msgspec.Meta(
        max_length=16,
        pattern=r"^(P[1-9][0-9]{0,2}D|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2})?)\Z",
    ),
]
"""An intent: ``P3D`` (days), ``2026-05-04`` (with that day), ``2026-05-04T18:00`` (local time)."""


class Asked(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """As ``Request``, with what was meant: ``until_ms`` is what the author's node made of it.

    ``asked`` is the local day that was meant, ``due`` the one that it is due on: another one where
    the place is closed on the first. Nobody computes ``until_ms`` again, so nodes whose zone files
    differ agree.
    """

    resource: Hash
    from_ms: Counter
    until_ms: Counter
    zone: Zone
    meant: Meant
    asked: Day
    due: Day


class Decision(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A steward approves or declines; the reason stands in a part."""

    approve: bool


class Handover(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A steward offers the thing to ``taker``.

    ``previous``: the thing's last custody move as the giver knows it, 32 zero bytes for none. For
    one of several equal copies it is the loan itself: copies have no common line of custody.
    """

    resource: Hash
    taker: Hash
    previous: Hash


class Accept(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The taker has the thing: with this, custody has moved."""

    handover: Hash
    resource: Hash


class Return(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The borrower offers the thing back; ``accept`` is the borrower's own acceptance."""

    resource: Hash
    accept: Hash


class Receive(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A steward has the thing back: with this, custody has moved and the loan is closed.

    ``offer``: the return, or 32 zero bytes where the steward records it alone. ``borrower`` and
    ``previous`` (the acceptance that ends here) are zero bytes where the receiver knows only a
    code.
    """

    offer: Hash
    resource: Hash
    borrower: Hash
    condition: Condition
    previous: Hash


class Cancel(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Whoever asked does not want the thing any more; a reason stands in a part."""

    resource: Hash


class Extend(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The borrower asks to keep the thing until ``until_ms``; the rest as in ``Asked``."""

    resource: Hash
    until_ms: Counter
    zone: Zone
    meant: Meant
    asked: Day
    due: Day


class Extended(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A steward grants or refuses the wish ``extension``; the reason stands in a part."""

    extension: Hash
    approve: bool
