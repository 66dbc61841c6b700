"""Large parts of a bundle on their way in: into the room that there is, good only by their hash.

What was begun is gone on with where it stopped, from this very file; of what came from elsewhere
and is not whole the file has a better copy. What is whole here is not written again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from commons_node.realm.realm import Realm
from commons_node.store.large_parts import LargePart
from commons_protocol.bundles.contents import Piece
from commons_protocol.parts import PartId

WRITTEN = 524_288
"""Bytes of a part that are written at once."""


class Space(Protocol):
    """Whether there is room for a part."""

    async def refuses(self, realm: Realm, part: LargePart) -> str:
        """``quota``, ``disk``, or nothing if it can be stored."""


@dataclass(slots=True)
class LargeReport:
    """What became of the large parts of a bundle.

    ``left``, by reason: ``quota``, ``disk``, ``unknown`` (of nothing that counts here), ``wrong``
    (not the bytes that the author signed), ``broken`` (not all of it is in the file), ``elsewhere``
    (it comes by another way, or was erased, at this moment).
    """

    new: int = 0
    known: int = 0
    bytes: int = 0
    left: Counter[str] = field(default_factory=Counter)
    lacking: int = 0
    """Large parts of this community that are not here afterwards."""


class Taking:
    """The pieces of one bundle, in their order."""

    def __init__(self, realm: Realm, space: Space, name: bytes, report: LargeReport) -> None:
        """``name``: the file's."""
        self._realm = realm
        self._space = space
        self._giver = f"bundle {name.hex()[:16]}"
        self._report = report
        self._key: PartId | None = None
        self._part: LargePart | None = None
        self._waiting: list[bytes] = []
        self._size = 0
        self.again = False
        """The file is read once more: what is here already was counted."""

    async def piece(self, piece: Piece) -> None:
        """The next bytes. Raises ``Unusable`` when the disk is full."""
        key = PartId(piece.operation, piece.hash)  # type: ignore[arg-type]  # bytes of a frame
        if key != self._key:
            await self.done()
            self._key = key
            self._part = await self._begun(key, from_start=piece.offset == 0)
        part = self._part
        if part is None:
            return
        at = part.have + self._size
        if piece.offset > at or piece.offset + len(piece.data) > part.length:
            await self._give_up("broken" if piece.offset > at else "wrong")
            return
        data = piece.data[at - piece.offset :]
        if data:
            self._waiting.append(data)
            self._size += len(data)
        if self._size >= WRITTEN or part.have + self._size == part.length:
            await self.flush()

    async def _begun(self, key: PartId, *, from_start: bool) -> LargePart | None:
        """The part that is to be gone on with; None if it is not taken."""
        report, large = self._report, self._realm.store.large
        rows = await large.parts("o.id = ? AND l.hash = ? AND o.verdict = 1", key)
        part = next((row for row in rows if self._realm.parts.wants(row)), None)
        if part is None:
            report.left["unknown"] += 1
            return None
        if part.whole:
            report.known += not self.again
            return None
        if from_start and part.have and part.giver != self._giver:
            await self._realm.parts.drop(part)
            (part,) = await large.parts("l.n = ?", (part.n,))
        refused = await self._space.refuses(self._realm, part)
        if refused:
            report.left[refused] += 1
            return None
        return part

    async def flush(self) -> None:
        """What was read is durable when this returns."""
        part, waiting = self._part, self._waiting
        self._waiting, self._size = [], 0
        if part is None or not waiting:
            return
        progress, now = await self._realm.parts.keep(part, [b"".join(waiting)], self._giver)
        self._part = now if progress == "more" else None
        if progress == "whole":
            self._report.new += 1
            self._report.bytes += now.length
        elif progress != "more":
            self._report.left["wrong" if progress == "bad" else "elsewhere"] += 1

    async def _give_up(self, why: str) -> None:
        await self.flush()
        if self._part is not None:
            self._report.left[why] += 1
            self._part = None

    async def done(self) -> None:
        """No more of this part comes."""
        await self._give_up("broken")
        self._key = None
