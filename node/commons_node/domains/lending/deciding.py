"""A steward's word on a request, and why it may be too late for it.

Two islands may still promise one thing twice; what is refused here is what is known to clash.
"""

from __future__ import annotations

from commons_crdt.author import Draft
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId
from commons_crdt.texts import _
from commons_node.community import Actor, Community, WrongState, written
from commons_node.domains.lending.alternatives import alternatives
from commons_node.domains.lending.booking import busiest
from commons_node.domains.lending.facts import DECISION, MAX_TEXT, REASON, Decision
from commons_node.domains.lending.loans import Loan, bookings_of, here, loan


class Taken(CommonsError):
    """{what} is promised to somebody else in that time."""

    code = "double_booking"
    hint = "{alternatives}"


class LongText(CommonsError):
    """The text is longer than {limit} bytes."""

    code = "too_long"
    hint = "say it in fewer words"
    status = "usage"


async def decide(
    community: Community, actor: Actor, found: Loan, reason: str | None, *, approve: bool
) -> dict[str, object]:
    """Write a steward's decision; the answer of ``loan approve`` and ``loan decline``."""
    refs = await here(community, found.operation("request"))
    if not refs:
        raise WrongState(why=_("The request has not arrived here."), next="commons-node sync wait")
    parts = [(REASON, part(reason))] if reason else []
    draft = Draft.fact(
        DECISION, Decision(approve), document=DocumentId(found.id), refs=refs, parts=parts
    )
    (result,) = await community.write(actor, draft)
    now = await loan(community, found.id)
    return {**written(result), "loan": found.id.hex(), "name": found.label,
            "state": now.state if now else found.state}  # fmt: skip


def part(text: str) -> bytes:
    """A reason or note as a part holds it. Raises ``LongText``."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > MAX_TEXT:
        raise LongText(limit=MAX_TEXT)
    return encoded


async def keep_free(community: Community, found: Loan, now_ms: int) -> None:
    """Raise ``Taken`` if the thing is promised already in that time, with what else would do."""
    from_ms, until_ms = found.row["from_ms"], found.row["until_ms"]
    if found.quantity is None or from_ms is None or until_ms is None:
        return
    booked = await bookings_of(community, found.resource, now_ms, without=found.id)
    quantity = max(found.quantity, 1)
    if busiest(booked, from_ms, until_ms) < quantity:
        return
    others = await alternatives(community, found.resource, from_ms, until_ms, now_ms, found.id)
    hints = [str(one["sentence"]) for one in others]
    raise Taken(what=found.label, alternatives="; ".join(hints) or "commons-node loan list")
