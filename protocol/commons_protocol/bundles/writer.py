"""Making a bundle: frames go in, bytes for the file come out, one chunk in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from commons_crdt.ids import digest
from commons_crdt.operation import Operation
from commons_protocol.bundles.chunks import ROOM, Sign, seal_chunk
from commons_protocol.bundles.contents import (
    BEHIND,
    OPERATIONS,
    End,
    Kind,
    Last,
    Manifest,
    Piece,
    encode_behind,
    encode_end,
    encode_ends,
    encode_manifest,
    encode_wanted,
)
from commons_protocol.bundles.slots import SLOT, Random, make_slots, rounded
from commons_protocol.ends import ChainEnd
from commons_protocol.filed import encode_operation
from commons_protocol.parts import PartId

MAGIC = b"commons-bundle"
VERSION = 1
HEAD = len(MAGIC) + 1 + 2
"""Bytes before the slots: magic, version, how many slots."""


class Writer:
    """Makes one bundle: ``header``, then what ``add`` and ``end`` give, in this order.

    With large parts: ``announce`` before the end, behind it ``wanted``, ``piece`` and ``last``.
    """

    def __init__(
        self, manifest: Manifest, recipients: Iterable[bytes], sign: Sign, rng: Random
    ) -> None:
        """``recipients``: public sealing keys; ``sign`` by the manifest's signer."""
        self._key = rng(32)
        slots, self.devices = make_slots(self._key, recipients, rng)
        count = len(slots) // SLOT
        self.header = MAGIC + bytes([VERSION]) + count.to_bytes(2) + slots
        self.name = digest("bundname", self.header)
        self._sign = sign
        self._number = 0
        self._payload = bytearray()
        self._before = self._operations = 0
        self.counts: Counter[Kind] = Counter()
        self._last = Kind.MANIFEST
        self._more = False
        self._frame(Kind.MANIFEST, encode_manifest(manifest))

    def ends(self, ends: Sequence[ChainEnd]) -> Iterator[bytes]:
        """Where the maker's chains end."""
        for data in encode_ends(ends):
            yield from self._frame(Kind.ENDS, data)

    def add(self, kind: Kind, operation: Operation) -> Iterator[bytes]:
        """One operation, behind everything in its past."""
        if kind not in OPERATIONS:
            raise ValueError("no section of operations")
        yield from self._frame(kind, encode_operation(operation))

    def announce(self, genesis: Operation) -> Iterator[bytes]:
        """Say that more stands behind the end, in a way that an earlier program passes over."""
        bare = (None,) * len(genesis.parts)
        self._more = True
        yield from self.add(Kind.PARTS, Operation(genesis.header, genesis.signature, None, bare))

    def end(self) -> Iterator[bytes]:
        """The end of the operations; without anything behind it that of the file, too."""
        counts = End(*(self.counts[kind] for kind in OPERATIONS))
        yield from self._frame(Kind.END, encode_end(counts))
        yield self._seal()
        if not self._more:
            yield from self._pad()

    def wanted(self, parts: Sequence[PartId]) -> Iterator[bytes]:
        """Large parts that the maker has not."""
        for data in encode_wanted(parts):
            yield from self._frame(Kind.WANTED, data)

    def piece(self, piece: Piece) -> Iterator[bytes]:
        """The next bytes of a large part."""
        yield from self._frame(Kind.PIECE, encode_behind(piece))

    def last(self, wanted: int, parts: int) -> Iterator[bytes]:
        """What the end is where large parts stand behind that of the operations."""
        yield from self._frame(Kind.LAST, encode_behind(Last(wanted, parts)))
        yield self._seal()
        yield from self._pad()

    def _pad(self) -> Iterator[bytes]:
        """As many empty chunks as it takes to say little by the size."""
        while self._number < rounded(self._number, 1):
            yield self._seal()

    def _frame(self, kind: Kind, data: bytes) -> list[bytes]:
        if kind < self._last or (kind in BEHIND and not self._more):
            raise ValueError("sections stand in their order")
        self._last = kind
        full = []
        if len(self._payload) + 5 + len(data) > ROOM:
            full.append(self._seal())
        self._payload += bytes([kind]) + len(data).to_bytes(4) + data
        self.counts[kind] += 1
        self._operations += kind in OPERATIONS
        return full

    def _seal(self) -> bytes:
        payload, self._payload = bytes(self._payload), bytearray()
        number, before = self._number, self._before
        self._number += 1
        self._before = self._operations
        return seal_chunk(self._key, self.name, number, before, payload, self._sign)
