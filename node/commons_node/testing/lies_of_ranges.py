"""Lies about what a node holds: chains that are not there, answers that nobody gives honestly.

What can be said wrongly of ranges is said on a stream of its own, from behind a mask: whoever
notices ends the stream, and the liar's own node goes on as before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, cast

from commons_crdt.ids import DeviceId, OperationId
from commons_node.realm.realm import Realm
from commons_node.testing.liars import Lie, Told, near, visit
from commons_node.testing.node import Node
from commons_protocol import wire
from commons_protocol.ends import ChainEnd, Vector
from commons_protocol.network import Stream
from commons_protocol.ranges import of_log
from commons_protocol.replica import Replica

_INVENTED = 40
_SECONDS = 3.0

Twist = Callable[[wire.Ranges, random.Random], wire.Ranges]


class _Boaster:
    """The liar's realm, with chains in both logs that nobody has ever written."""

    def __init__(self, realm: Realm, rng: random.Random) -> None:
        self._realm = realm
        self._false = [
            ChainEnd(DeviceId(rng.randbytes(32)), n % 2, 5, OperationId(rng.randbytes(32)))
            for n in range(_INVENTED)
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._realm, name)

    def digest(self) -> bytes:
        """See ``Replica``."""
        return self._all().digest()

    def log_zero(self, key: bytes) -> bytes:
        """See ``Replica``."""
        return of_log(self._all(), 0, key)

    async def vector(self) -> Vector:
        """See ``Replica``."""
        return self._all()

    def _all(self) -> Vector:
        return Vector.of([*self._realm.memory.ends.vector(), *self._false])


class _Twisted:
    """A stream on which ranges are said otherwise than they are."""

    def __init__(self, twist: Twist, rng: random.Random, stream: Stream) -> None:
        self._stream, self._twist, self._rng = stream, twist, rng
        self.peer = stream.peer
        self.receive, self.close, self.reset = stream.receive, stream.close, stream.reset

    async def send(self, frame: bytes) -> None:
        """See ``Stream``."""
        message = wire.unpack_sync(frame)
        if isinstance(message, wire.Ranges):
            frame = wire.pack(self._twist(message, self._rng))
        await self._stream.send(frame)


def _said(
    message: wire.Ranges, splits: Sequence[wire.Split], lists: Sequence[wire.Listing]
) -> wire.Ranges:
    return wire.Ranges(message.slot, message.log, message.last, tuple(splits), tuple(lists))


def as_it_is(message: wire.Ranges, _rng: random.Random) -> wire.Ranges:
    """Only the chains are invented."""
    return message


def never_equal(message: wire.Ranges, rng: random.Random) -> wire.Ranges:
    """Every range differs, always."""
    splits = [(n, bounds, rng.randbytes(len(prints))) for n, bounds, prints in message.splits]
    return _said(message, splits, message.lists)


def backwards(message: wire.Ranges, _rng: random.Random) -> wire.Ranges:
    """Bounds and ends that go down instead of up."""
    splits = [(n, bounds[::-1], prints) for n, bounds, prints in message.splits]
    lists = [(n, ends[::-1], lacks) for n, ends, lacks in message.lists]
    return _said(message, splits, lists)


def unasked(message: wire.Ranges, rng: random.Random) -> wire.Ranges:
    """Answers to ranges that nobody has opened."""
    far = 1000 + rng.randrange(1000)
    splits = [(n + far, bounds, prints) for n, bounds, prints in message.splits]
    lists = [(n + far, ends, lacks) for n, ends, lacks in message.lists]
    return _said(message, splits, lists)


_TWISTS: Sequence[Twist] = (as_it_is, never_equal, backwards, unasked)


class TwistRanges(Lie):
    """Chains that are not there, ranges that never agree, that go backwards, that nobody opened."""

    name: ClassVar = "twist_ranges"

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class; each to another neighbour, as far as there are some."""
        there = near(node)
        others = [one for one in node.town.honest if one.peer in there]
        rng.shuffle(others)
        for n, twist in enumerate(_TWISTS if others else ()):
            await visit(
                node, others[n % len(others)], rng.randbytes(32), _SECONDS,
                replica=cast("Replica", _Boaster(node.realm, rng)),
                heard=partial(_Twisted, twist, rng),
            )  # fmt: skip
        return Told()

    def met(self, honest: Node, _liar: Node, _told: Sequence[OperationId]) -> int:
        """It has shown somebody out for it."""
        return honest.refusals["ranges"]
