"""Making a bundle: frames go in, bytes for the file come out, one chunk in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from commons_crdt.ids import digest
from commons_crdt.operation import Operation
from commons_protocol.bundles.chunks import ROOM, Sign, seal_chunk
from commons_protocol.bundles.contents import (
    OPERATIONS,
    End,
    Kind,
    Manifest,
    encode_end,
    encode_ends,
    encode_manifest,
)
from commons_protocol.bundles.slots import SLOT, Random, make_slots, rounded
from commons_protocol.ends import ChainEnd
from commons_protocol.filed import encode_operation

MAGIC = b"commons-bundle"
VERSION = 1
HEAD = len(MAGIC) + 1 + 2
"""Bytes before the slots: magic, version, how many slots."""


class Writer:
    """Makes one bundle: ``header``, then what ``add`` and ``end`` give, in this order."""

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

    def end(self) -> Iterator[bytes]:
        """The end, and as many empty chunks as it takes to say little by the size."""
        counts = End(*(self.counts[kind] for kind in OPERATIONS))
        yield from self._frame(Kind.END, encode_end(counts))
        yield self._seal()
        while self._number < rounded(self._number, 1):
            yield self._seal()

    def _frame(self, kind: Kind, data: bytes) -> list[bytes]:
        if kind < self._last:
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
