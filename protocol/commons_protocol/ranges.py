"""Finding the chain ends in which two nodes differ, range by range. No I/O, no clock.

    who opens                                who answers
    parts of the whole log, or its ends  →
                                         ←   of each part that differs: smaller parts, or its ends
    …                                    ⇄   …
    the ends that differ, which it lacks →   and the same the other way round
                                         ←   a turn that asks nothing: both know it is over

A range with at most `LISTED` own ends is listed, any other is split evenly into parts of about
four, but at most 128 of them: among a thousand chains a difference shows in the third turn. So
whatever the other side answers, the next range holds fewer own ends than the last, and it ends
after about log128 of both numbers. What is kept of the other side is bounded by `MOST_LISTED`;
everything else by what is held here. What does not fit into these bounds waits for another round.

A fingerprint is a keyed hash over the sorted ends of a range, under a key that both nonces of the
stream went into: nobody can prepare chains that make two honest nodes look alike. It decides only
where to look: "equal" is said of equal digests alone (`sync`).

Source: A. Meyer, Range-Based Set Reconciliation (2023); ARCHITECTURE §7.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise

from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO, DeviceId, OperationId
from commons_protocol import wire
from commons_protocol.ends import ChainEnd, Vector, key_of

LISTED = 8
"""Own ends of a range that are listed rather than split."""
MOST_LISTED = 16_384
"""Ends that one side may list of one log in one round; further ones wait for the next."""


def fingerprint(vector: Vector, first: int, last: int, key: bytes) -> bytes:
    """16 bytes over the ends from ``first`` up to, not including, ``last``; ``key``: 32 bytes."""
    found = blake2b(key=key, digest_size=wire.FINGERPRINT, person=b"commons/range")
    found.update(b"".join(vector.packed[first:last]))
    return found.digest()


def of_log(vector: Vector, log: int, key: bytes) -> bytes:
    """The fingerprint of all ends of one log."""
    return fingerprint(vector, *_places(vector, log), key)


def parts_of(count: int) -> int:
    """Into how many parts a range with so many own ends is split."""
    return min(wire.BRANCH, -(-count // (LISTED // 2)))


def _places(vector: Vector, log: int) -> tuple[int, int]:
    """Where the ends of a log are."""
    first, last = (bisect_left(vector.keys, bytes([bound])) for bound in (log, log + 1))
    return first, last


@dataclass(slots=True)
class _Range:
    """Keys from ``lower`` up to ``upper``, and where the own ends in it are."""

    lower: bytes
    upper: bytes
    first: int
    last: int
    listed: bool = False
    """The own ends were listed: what answers is the last word."""
    answered: bool = False
    at: bytes = b""
    """The last key of the answer so far."""


@dataclass(slots=True)
class _Answer:
    """What is said of the other side's range ``number`` in the next turn."""

    number: int
    open: _Range | None = None
    """To be split or listed; None: the last word."""
    ends: Sequence[ChainEnd] = ()
    lacks: Sequence[int] = ()


@dataclass(slots=True)
class _Frame:
    splits: list[wire.Split] = field(default_factory=list)
    lists: list[wire.Listing] = field(default_factory=list)
    parts: list[_Range] = field(default_factory=list)
    listed: list[_Range] = field(default_factory=list)
    ends: int = 0


class Comparison:
    """One log of one realm, compared with one peer."""

    def __init__(self, vector: Vector, log: int, key: bytes, slot: int) -> None:
        """``key``: 32 bytes that both sides have from the stream's nonces."""
        lower, upper = bytes([log]), bytes([log + 1])
        first, last = _places(vector, log)
        self.theirs: list[ChainEnd] = []
        """The peer's ends that are not held so here; at most ``MOST_LISTED``."""
        self.absent: list[ChainEnd] = []
        """Own ends of chains of which the peer holds nothing."""
        self.finished = False
        """True once neither side has anything to answer."""
        self.turns = 0
        """Turns of either side so far."""
        self._vector = vector
        self._log = log
        self._key = key
        self._slot = slot
        self._nothing = fingerprint(vector, 0, 0, key)
        # As if this side had said that all of the log differs.
        self._open = [_Range(lower, upper, first, last)]
        self._answers: list[_Answer] = []
        self._asks = 0
        self._numbered = 0
        self._to_list = self._to_hear = MOST_LISTED

    def opening(self) -> list[bytes]:
        """The frame of the first turn: one."""
        self._look_into(0, self._open[0])
        return self._turn()

    def on_frame(self, message: wire.Ranges) -> list[bytes]:
        """The frames that answer a turn, once it is whole. Raises ``Refused`` (``ranges``)."""
        if self.finished:
            raise Refused("ranges")
        said = sum(len(bounds) + 1 for _, bounds, _ in message.splits) + len(message.lists)
        if said > wire.MOST_ANSWERED:
            raise Refused("ranges")
        for number, bounds, prints in message.splits:
            self._on_split(number, bounds, prints)
        for number, ends, lacks in message.lists:
            self._on_list(number, ends, lacks)
        if not message.last:
            if not said:
                raise Refused("ranges")
            return []
        self.turns += 1
        if not self._numbered:
            self.finished = True
            return []
        return self._turn()

    # --- what the other side says ---

    def _mine(self, number: int) -> _Range:
        if number >= len(self._open):
            raise Refused("ranges")
        return self._open[number]

    def _next_number(self) -> int:
        self._numbered += 1
        if self._numbered > wire.MOST_OPEN:
            raise Refused("ranges")
        return self._numbered - 1

    def _on_split(self, number: int, bounds: Sequence[bytes], prints: bytes) -> None:
        one = self._mine(number)
        if one.listed or one.answered or len(prints) != wire.FINGERPRINT * (len(bounds) + 1):
            raise Refused("ranges")
        one.answered = True
        edges = [one.lower, *(key_of(bound, self._log) for bound in bounds), one.upper]
        if any(lower >= upper for lower, upper in pairwise(edges)):
            raise Refused("ranges")
        keys = self._vector.keys
        places = [one.first, *(bisect_left(keys, e) for e in edges[1:-1]), one.last]
        for n, (lower, upper) in enumerate(pairwise(edges)):
            theirs = self._next_number()
            first, last = places[n], places[n + 1]
            said = prints[n * wire.FINGERPRINT : (n + 1) * wire.FINGERPRINT]
            own = fingerprint(self._vector, first, last, self._key) if first < last else None
            if said != (own or self._nothing):
                self._look_into(theirs, _Range(lower, upper, first, last))

    def _look_into(self, number: int, one: _Range) -> None:
        """Answer a range that differs, if there is room for it in this round."""
        count = one.last - one.first
        if count > LISTED:
            asks = parts_of(count)
        elif count <= self._to_list:
            one.listed, asks = True, 1
        else:
            return
        if self._asks + asks > wire.MOST_OPEN:
            return
        self._asks += asks
        self._to_list -= count if one.listed else 0
        self._answers.append(_Answer(number, one))

    def _on_list(
        self, number: int, listed: Sequence[wire.End], lacks: Sequence[wire.Index]
    ) -> None:
        one = self._mine(number)
        ends = [self._end(end) for end in listed]
        self._in_order(one, ends)
        again, one.answered = one.answered, True
        if one.listed:
            # The last word may take several frames; each says something, and none says it again.
            if (again and lacks) or not (ends or lacks):
                raise Refused("ranges")
            self._last_word(one, ends, lacks)
            return
        if again or lacks:
            raise Refused("ranges")
        self._compare(self._next_number(), one, ends)

    def _end(self, end: wire.End) -> ChainEnd:
        device, seq, ident, fork, hollow, more = end
        self._to_hear -= 1
        if len(more) not in {0, 32} or self._to_hear < 0:
            raise Refused("ranges")
        found = DeviceId(device), self._log, seq, OperationId(ident), fork, hollow, more or ZERO
        return ChainEnd(*found)

    def _in_order(self, one: _Range, ends: Sequence[ChainEnd]) -> None:
        """An answer lies within its range and ascends."""
        for end in ends:
            key = key_of(end.device, self._log)
            if not one.lower <= key < one.upper or key <= one.at:
                raise Refused("ranges")
            one.at = key

    def _compare(self, number: int, one: _Range, ends: Sequence[ChainEnd]) -> None:
        """Both sides' ends of one range are here: keep theirs, tell ours."""
        own = {end.device: end for end in self._vector.ends[one.first : one.last]}
        lacks = []
        for position, end in enumerate(ends):
            mine = own.get(end.device)
            if mine == end:
                del own[end.device]
                continue
            self.theirs.append(end)
            if mine is None:
                lacks.append(position)
        there = {end.device for end in ends}
        self.absent += (end for device, end in own.items() if device not in there)
        told = tuple(own.values())[: self._to_list]
        self._to_list -= len(told)
        if told or lacks:
            self._answers.append(_Answer(number, None, told, lacks))

    def _last_word(
        self, one: _Range, ends: Sequence[ChainEnd], lacks: Sequence[wire.Index]
    ) -> None:
        """What the other side has otherwise than it was listed here, and what it has not."""
        own = self._vector.ends[one.first : one.last]
        held = set(own)
        if any(end in held for end in ends) or len(set(lacks)) != len(lacks):
            raise Refused("ranges")
        if any(position >= len(own) for position in lacks) or len(lacks) > len(own):
            raise Refused("ranges")
        self.theirs += ends
        self.absent += (own[position] for position in lacks)

    # --- what this side says ---

    def _turn(self) -> list[bytes]:
        """Everything that is to be answered, in as many frames as it takes."""
        frames = list(self._frames()) or [_Frame()]
        self._open = [one for frame in frames for one in (*frame.parts, *frame.listed)]
        self._answers, self._asks, self._numbered = [], 0, 0
        self.finished = not self._open
        self.turns += 1
        return [
            wire.pack(
                wire.Ranges(
                    self._slot,
                    self._log,
                    n == len(frames) - 1,
                    tuple(frame.splits),
                    tuple(frame.lists),
                )
            )
            for n, frame in enumerate(frames)
        ]

    def _frames(self) -> Iterator[_Frame]:
        frame = _Frame()
        for answer in self._answers:
            for part in self._entries(answer):
                said = len(frame.parts) + len(frame.lists)
                full = said + max(1, len(part.parts)) > wire.MOST_ANSWERED
                if full or frame.ends + part.ends > wire.MAX_ENDS:
                    yield frame
                    frame = _Frame()
                frame.splits += part.splits
                frame.lists += part.lists
                frame.parts += part.parts
                frame.listed += part.listed
                frame.ends += part.ends
        if frame.splits or frame.lists:
            yield frame

    def _entries(self, answer: _Answer) -> Iterator[_Frame]:
        """One answer as pieces, each of which fits any frame."""
        one = answer.open
        if one is not None and not one.listed:
            parts = list(self._parts(one))
            bounds = tuple(part.lower[1:] for part in parts[1:])
            prints = b"".join(
                fingerprint(self._vector, part.first, part.last, self._key) for part in parts
            )
            yield _Frame(splits=[(answer.number, bounds, prints)], parts=parts)
            return
        ends = answer.ends if one is None else self._vector.ends[one.first : one.last]
        lacks = tuple(answer.lacks)
        for at in range(0, len(ends) or 1, wire.MAX_ENDS):
            some = tuple(map(_wire_end, ends[at : at + wire.MAX_ENDS]))
            listing = (answer.number, some, lacks if not at else ())
            yield _Frame(lists=[listing], listed=[one] if one else [], ends=len(some))

    def _parts(self, one: _Range) -> Iterator[_Range]:
        """The range in as many parts as it may have, each with as many own ends as the next."""
        keys, count = self._vector.keys, one.last - one.first
        parts = parts_of(count)
        lower, first = one.lower, one.first
        for n in range(1, parts + 1):
            last = one.first + count * n // parts
            upper = one.upper if n == parts else _between(keys[last - 1], keys[last])
            yield _Range(lower, upper, first, last)
            lower, first = upper, last


def _wire_end(end: ChainEnd) -> wire.End:
    return end.device, end.seq, end.id, end.fork, end.hollow, b"" if end.more == ZERO else end.more


def _between(below: bytes, key: bytes) -> bytes:
    """The shortest beginning of ``key`` that is greater than ``below``."""
    same = next(n for n, (a, b) in enumerate(zip(below, key, strict=True)) if a != b)
    return key[: same + 1]
