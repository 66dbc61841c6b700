"""Writing drafts at the end of the author's chains, before they go the one way in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from commons_crdt.author import Draft, Place, compose
from commons_crdt.authority.identity_facts import Limit
from commons_crdt.authority.judge import Standing
from commons_crdt.authority.kinds_identity import CLOSE
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.kinds import decode_fact, own_document
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_crdt.texts import _
from commons_crdt.verdict import Judgement, Verdict
from commons_node.realm.ends import counts_by_its_bytes
from commons_node.realm.intake import CLOCK_MS
from commons_node.realm.memory import Memory


class NotWritten(CommonsError):
    """The act was not written: {why}"""

    code = "not_written"
    hint = "commons-node status"


Told = Callable[[Sequence[OperationId]], Awaitable[None]]
_told: ContextVar[tuple[asyncio.Task[Any] | None, Told] | None] = ContextVar("told", default=None)


@contextmanager
def telling(told: Told) -> Iterator[None]:
    """Tell of what this task writes, after it is signed and before it is stored.

    For who must know, after a crash, whether an act took place. What the node writes meanwhile in
    tasks of its own is not told.
    """
    token = _told.set((asyncio.current_task(), told))
    try:
        yield
    finally:
        _told.reset(token)


def told_of() -> Told | None:
    """Who is to be told of what this task writes."""
    found = _told.get()
    return found[1] if found is not None and found[0] is asyncio.current_task() else None


@dataclass(frozen=True, slots=True)
class Written:
    """An own operation and what became of it."""

    id: OperationId
    judgement: Judgement


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


class Limited(CommonsError):
    """This device may not write this: {why}."""

    code = "limit"
    hint = "commons-node member device list says what it may write; use another device of yours"
    status = "locked"


class Ended(CommonsError):
    """This device writes no more here: it was closed or retired, or its member removed."""

    code = "ended"
    hint = "commons-node explain, with the id of your last act, says why"
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
    Raises ``Budget``, ``ClockBehind``, ``Suspended``, ``Ended`` or ``Unheard``.
    """
    device = author.keys.id
    wanted = {grant, *(ref for d in drafts for ref in d.refs)}
    known = await memory.find(wanted)
    if len(known) < len(wanted):
        raise Unheard
    authority = memory.judge.authority
    tips = {n: memory.top(device, n) or known[grant] for n in (0, 1)}
    operations: list[Operation] = []
    granted = authority.grants.get(grant)
    for draft in drafts:
        if granted is not None and granted.limit is not None:
            _stay_within(granted.limit, draft, memory.top_seq(device, 1) + len(operations), now_ms)
        prev = tips[draft.log]
        end = memory.judge.end(device, draft.log)
        if end.why == "fork":
            raise Suspended
        if end.seq is not None and not _counts_beyond(memory, draft):
            raise Ended
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


def _stay_within(limit: Limit, draft: Draft, written: int, now_ms: int) -> None:
    """What a limited device writes beyond its limit would be rejected. Raises ``Limited``."""
    if draft.log == 0:
        if draft.kind != CLOSE:
            raise Limited(why=_("it was let in for a few kinds of acts only"))
        return
    if draft.kind not in limit.kinds:
        raise Limited(why=_("it was let in for {kinds} only").format(kinds=", ".join(limit.kinds)))
    if written >= limit.operations:
        raise Limited(
            why=_("it has written all of its {operations} acts").format(operations=limit.operations)
        )
    if now_ms > limit.until_ms:
        raise Limited(why=_("its time ended on {moment}").format(moment=_moment(limit.until_ms)))


def _counts_beyond(memory: Memory, draft: Draft) -> bool:
    """True for what counts by its bytes: a guardian's endorsement, say, from a closed device."""
    kind = memory.rules.kinds.get(draft.kind)
    if draft.log or kind is None or kind.schema is not None:
        return False
    try:
        return counts_by_its_bytes(decode_fact(kind.body, draft.content, kind.max_body))  # type: ignore[arg-type]  # a fact's body is a Struct
    except Refused:
        return False


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
