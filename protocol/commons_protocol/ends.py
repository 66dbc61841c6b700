"""Where chains end, as values: what two nodes compare, in the order in which they compare it.

An end is what counts of a chain and is here. `Vector` is what a realm holds at one moment, and
never changes; `EndSet` moves with the realm, and makes the next vector of what the last one had.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from commons_crdt.ids import ZERO, DeviceId, OperationId, digest

Chain = tuple[DeviceId, int]


class ChainEnd(NamedTuple):
    """One chain's effective end: its last operation that is here and counts.

    ``fork``: the lowest doubled seq, if it is at most ``seq + 1``, otherwise 0. ``hollow``: the
    lowest seq whose contents are absent here, or 0. ``more``: 32 zero bytes, or a hash of what else
    must be equal: in log 1 the positions whose contents are absent, in log 0 the operations beyond
    the end that are passed on for their contents' sake.
    """

    device: DeviceId
    log: int
    seq: int
    id: OperationId
    fork: int = 0
    hollow: int = 0
    more: bytes = ZERO


def key_of(device: bytes, log: int) -> bytes:
    """33 bytes by which ends are sorted: log 0 first, then by device."""
    return bytes([log]) + device


def packed(end: ChainEnd) -> bytes:
    """The 121 bytes of an end that are hashed: no field of it may differ unseen."""
    return (
        key_of(end.device, end.log)
        + end.seq.to_bytes(8)
        + end.id
        + end.fork.to_bytes(8)
        + end.hollow.to_bytes(8)
        + end.more
    )


class Vector:
    """Every chain's end at one moment, sorted by (log, device). Never changes."""

    __slots__ = ("_digest", "ends", "keys", "packed")

    def __init__(
        self, keys: tuple[bytes, ...], ends: tuple[ChainEnd, ...], packed: tuple[bytes, ...]
    ) -> None:
        """Three columns of the same rows, sorted by key; use ``of`` or an ``EndSet``."""
        self.keys = keys
        self.ends = ends
        self.packed = packed
        self._digest: bytes | None = None

    @classmethod
    def of(cls, ends: Iterable[ChainEnd]) -> Vector:
        """The vector of these ends, one for each chain."""
        found = EndSet()
        for end in ends:
            found.put(end)
        return found.vector()

    def __iter__(self) -> Iterator[ChainEnd]:
        """All ends, log 0 first."""
        return iter(self.ends)

    def __len__(self) -> int:
        """How many chains."""
        return len(self.ends)

    def get(self, device: DeviceId, log: int) -> ChainEnd | None:
        """The end of one chain."""
        key = key_of(device, log)
        at = bisect_left(self.keys, key)
        return self.ends[at] if at < len(self.keys) and self.keys[at] == key else None

    def digest(self) -> bytes:
        """32 bytes over all ends: equal digests mean equal sets."""
        if self._digest is None:
            self._digest = digest("ends", b"".join(self.packed))
        return self._digest


class EndSet:
    """The ends of a realm that moves. A change costs one end; a look costs one copy."""

    def __init__(self) -> None:
        """No chains."""
        self._rows: dict[bytes, tuple[ChainEnd, bytes]] = {}
        self._keys: list[bytes] = []
        self._size = 0
        self._vector: Vector | None = None

    def put(self, end: ChainEnd) -> None:
        """This is where the chain ends now."""
        key = key_of(end.device, end.log)
        before = self._rows.get(key)
        if before is None:
            insort(self._keys, key)
        else:
            if before[0] == end:
                return
            self._size -= before[0].seq
        self._rows[key] = end, packed(end)
        self._size += end.seq
        self._vector = None

    def drop(self, device: DeviceId, log: int) -> None:
        """Nothing of the chain counts."""
        key = key_of(device, log)
        if (before := self._rows.pop(key, None)) is not None:
            self._size -= before[0].seq
            del self._keys[bisect_left(self._keys, key)]
            self._vector = None

    def vector(self) -> Vector:
        """All of it, as it is now; the same object until something moves."""
        if self._vector is None:
            rows = [self._rows[key] for key in self._keys]
            ends, sealed = zip(*rows, strict=True) if rows else ((), ())
            self._vector = Vector(tuple(self._keys), ends, sealed)
        return self._vector

    def digest(self) -> bytes:
        """32 bytes over all ends; computed once for each state."""
        return self.vector().digest()

    def size(self) -> int:
        """How many operations stand up to the ends."""
        return self._size
