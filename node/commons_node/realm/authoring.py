"""Writing drafts at the end of the author's chains, before they go the one way in."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from commons_crdt.author import Draft, Place, compose
from commons_crdt.authority.judge import Standing
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.kinds import own_document
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_crdt.verdict import Judgement, Verdict
from commons_node.realm.intake import CLOCK_MS
from commons_node.realm.memory import Memory


class Budget(CommonsError):
    """Your device has written as much as the rules allow for now; wait {seconds} seconds."""

    code = "budget"
    hint = "write less at once, or ask a coordinator for a role with a larger budget"


class ClockBehind(CommonsError):
    """Your last act here is of {last}, and this machine's clock says {now}."""

    code = "clock"
    hint = "set the clock right, or wait: nobody takes acts from the future"


class Suspended(CommonsError):
    """Two different acts were signed with this device at one place; nothing new of it counts."""

    code = "suspended"
    hint = "join again with a new invite, or ask a coordinator"
    status = "locked"


class Unheard(CommonsError):
    """What the act builds on is not on this node."""

    code = "missing"
    hint = "commons-node sync wait"


async def write_down(
    memory: Memory,
    drafts: Sequence[Draft],
    author: DeviceSecrets,
    grant: OperationId,
    now_ms: int,
) -> list[Operation]:
    """Signed operations for ``drafts``, each building on the one before.

    What other nodes would not take is not signed: a second act at its place would be a fork.
    Raises ``Budget``, ``ClockBehind``, ``Suspended`` or ``Unheard``.
    """
    device = author.keys.id
    wanted = {grant, *(ref for d in drafts for ref in d.refs)}
    known = await memory.find(wanted)
    if len(known) < len(wanted):
        raise Unheard
    authority = memory.judge.authority
    tips = {n: memory.top(device, n) or known[grant] for n in (0, 1)}
    operations: list[Operation] = []
    for draft in drafts:
        prev = tips[draft.log]
        if (device, draft.log) in memory.judge.forks:
            raise Suspended
        if prev.time_ms > now_ms + CLOCK_MS:
            raise ClockBehind(last=_moment(prev.time_ms), now=_moment(now_ms))
        past = [known[OperationId(ref)] for ref in draft.refs]
        seen = prev.view
        for standing in past:
            seen |= standing.view
        news = await memory.find(authority.news(seen))
        place = Place(memory.realm, prev, past, list(news.values()))
        operation = compose(draft, place, author, now_ms, lambda: secrets.token_bytes(32))
        operations.append(operation)
        tips[draft.log] = _predict(memory, operation, place, grant)
        known[tips[draft.log].id] = tips[draft.log]
    return operations


def _moment(ms: int) -> str:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _predict(memory: Memory, operation: Operation, place: Place, grant: OperationId) -> Standing:
    """What the next draft builds on: this operation as the judge will see it."""
    header = decode_header(operation.header)
    granted = memory.judge.authority.grants[grant]
    view = place.prev.view
    for standing in (*place.past, *place.authority):
        view |= standing.view
    rate = memory.judge.authority.rate(granted, view)
    length = header.body_length + sum(part.length for part in header.parts)
    before = None if header.seq == 1 else place.prev.left
    left = rate.after(before, header.time_ms - place.prev.time_ms, length)
    if left is None:
        wait = rate.wait_ms(before or 0, length)
        raise Budget(seconds=-(-wait // 1000))
    ident = operation_id(operation.header)
    return Standing(
        ident, DeviceId(header.device), header.log, header.seq, header.lamport, header.time_ms,
        header.kind, own_document(ident, header), grant,
        view, left, Judgement(Verdict.PENDING),
    )  # fmt: skip
