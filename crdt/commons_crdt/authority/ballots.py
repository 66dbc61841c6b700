"""What a listed key writes next so that its council gets on: a participant's side of (A).

Pure, and never two answers to one ballot: who follows it, double-endorses nothing. A proposal that
was put to a ballot stays on the table; only a majority without its author can decide otherwise.

Source: docs/protocol/authority.md "(A) The council", points 2 to 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from commons_crdt.authority.book import NOWHERE
from commons_crdt.authority.council import Council, Message, Rank
from commons_crdt.authority.council_facts import (
    Ballot,
    CouncilAct,
    CouncilContent,
    Endorse,
    Promise,
)
from commons_crdt.ids import DeviceId, OperationId

_NEVER: Rank = (-1, -1)


@dataclass(frozen=True, slots=True)
class Step:
    """What to write: the body, and the operations that it refers to."""

    body: CouncilAct | Promise | Ballot | Endorse
    refs: tuple[OperationId, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to write before ``more`` others promise the ballot ``rank``."""

    rank: Rank
    more: int


@dataclass(frozen=True, slots=True)
class Open:
    """Something on the table at the base: an act in a ballot, or the wish to lead a ballot.

    ``operation`` is what an answer names; ``act`` None for a wish. ``said``: the devices that
    endorsed (promised) it; ``needed`` of the list make it stand.
    """

    operation: OperationId
    rank: Rank
    act: OperationId | None
    by: DeviceId
    said: frozenset[DeviceId]
    needed: int
    answerable: bool


def propose(
    council: Council, base: int, device: DeviceId, content: CouncilContent
) -> Step | Waiting:
    """The next step of a key that wants ``content``; ``ValueError`` if it is not listed.

    May repeat an earlier act, which must be settled first: then the body is a ``Ballot``.
    """
    state = council.states[base]
    index = state.index(device)
    if index == NOWHERE:
        raise ValueError("not a listed key")
    name = council.book.entries[base].id
    own = _last(council, base, device)
    seen = max((m.rank for _, m in _at(council, base)), default=_NEVER)
    if index == 0 and seen == _NEVER:
        return Step(CouncilAct(name, 0, content))
    if own is None or own.said.rank[1] != index or own.said.acts or own.said.rank < seen:
        return Step(Promise(name, seen[0] + 1, index))
    rank = own.said.rank
    promised = _promised(council, base, rank)
    missing = len(state.seats) // 2 + 1 - len(promised)
    if missing > 0:
        return Waiting(rank, missing)
    refs = tuple(council.book.entries[n].id for d, n in promised.items() if d != device)[:16]
    before = [
        shown.endorsed for d, n in promised.items() if (shown := _before(council, base, d, n))
    ]
    highest = max((one.rank for one in before), default=_NEVER)
    bound = {act for one in before if one.rank == highest for act in one.acts}
    if not bound:
        return Step(CouncilAct(name, rank[0], content), refs)
    act = council.book.entries[min(bound)].id
    return Step(Ballot(name, rank[0], act), tuple(dict.fromkeys((*refs[:15], act))))


def answer(council: Council, base: int, device: DeviceId, operation: OperationId) -> Step | None:
    """The answer of a key to something open; None if it may not give one (any more)."""
    for one in open_at(council, base, device):
        if one.operation == operation and one.answerable:
            name = council.book.entries[base].id
            if one.act is None:
                return Step(Promise(name, *one.rank), (operation,))
            return Step(Endorse(name, operation), (operation,))
    return None


def open_at(council: Council, base: int, device: DeviceId | None = None) -> list[Open]:
    """What is on the table at a base, the highest ballot first; ``device`` is who may answer."""
    state = council.states[base]
    needed = len(state.seats) // 2 + 1
    listed = device is not None and state.index(device) != NOWHERE
    own = None if device is None else _last(council, base, device)
    said = own.said if own else None
    found: list[Open] = []
    for n, message in _at(council, base):
        entry = council.book.entries[n]
        if not message.counts or isinstance(entry.body, Endorse):
            continue
        if isinstance(entry.body, Promise):
            if state.index(message.device) != message.rank[1]:
                continue  # an answer to somebody's wish, not a wish
            voices = frozenset(_promised(council, base, message.rank))
            act = None
            put = any(
                m.rank == message.rank and m.act != NOWHERE and m.counts
                for _, m in _at(council, base)
            )
            if put:
                continue  # the wish came true
        else:
            ballots = council.ballots(base)
            voices = ballots.get((message.rank, message.act), frozenset())
            act = council.book.entries[message.act].id
        free = said is None or message.rank > said.rank
        if act is not None and said is not None and message.rank == said.rank:
            free = said.acts <= {message.act}
        found.append(
            Open(
                entry.id,
                message.rank,
                act,
                message.device,
                voices,
                needed,
                listed and free and device not in voices,
            )
        )
    return sorted(found, key=lambda one: (one.rank, one.operation), reverse=True)


def _at(council: Council, base: int) -> Iterator[tuple[int, Message]]:
    return ((n, m) for n, m in council.messages.items() if m.base == base)


def _last(council: Council, base: int, device: DeviceId) -> Message | None:
    """The last message of a key at a base; of a forked log, the one that was learned last."""
    return next((m for _, m in reversed([*_at(council, base)]) if m.device == device), None)


def _before(council: Council, base: int, device: DeviceId, n: int) -> Message | None:
    """The last message of a key at a base before its operation ``n``."""
    line = council.book.entries[n].line & ~(1 << n)
    earlier = [m for k, m in _at(council, base) if m.device == device and line >> k & 1]
    return earlier[-1] if earlier else None


def _promised(council: Council, base: int, rank: Rank) -> dict[DeviceId, int]:
    """Who promised a ballot, with the promise."""
    return {
        m.device: n
        for n, m in _at(council, base)
        if m.counts and m.rank == rank and isinstance(council.book.entries[n].body, Promise)
    }
