"""Reading a bundle: the file's bytes go in, frames come out, in the order of the format.

Whoever holds the file asks for its bytes; what is taken is one chunk at a time, of one size.
``Damaged`` says that what was given before it is all that can be believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from commons_crdt.ids import digest
from commons_crdt.texts import _
from commons_protocol.bundles.chunks import CHUNK, ROOM, Opened, open_chunk, verify_chunk
from commons_protocol.bundles.contents import (
    BEHIND,
    ENDS_IN_FRAME,
    MAX_ENDS,
    MAX_WANTED,
    OPERATIONS,
    WANTED_IN_FRAME,
    End,
    Filed,
    Frame,
    Kind,
    Last,
    Manifest,
    decode_frame,
)
from commons_protocol.bundles.errors import BadBundle, Damaged
from commons_protocol.bundles.slots import MAX_SLOTS, SLOT, open_slots
from commons_protocol.bundles.writer import HEAD, MAGIC, VERSION


def head_length(begin: bytes) -> int:
    """How long the header is, from the file's first ``HEAD`` bytes; ``BadBundle``."""
    if begin[: len(MAGIC)] != MAGIC:
        raise BadBundle("magic", _("it does not begin like one"), _("check which file it is"))
    if len(begin) < HEAD:
        raise Damaged("truncated", _("it ends too early"))
    if begin[len(MAGIC)] != VERSION:
        found = begin[len(MAGIC)]
        why = _("a newer program made it: it has version {found}, this one reads {ours}").format(
            found=found, ours=VERSION
        )
        raise BadBundle("version", why, _("update commons-node here, then import it again"))
    count = int.from_bytes(begin[-2:])
    if not 1 <= count <= MAX_SLOTS:
        raise Damaged("format", _("it is for no number of devices that there may be"))
    return HEAD + count * SLOT


class Unlocked(NamedTuple):
    """A bundle's header that was opened. ``by``: which secret did it; ``offset``: its length."""

    name: bytes
    key: bytes
    offset: int
    by: int


def unlock(header: bytes, secrets: Sequence[bytes]) -> Unlocked:
    """Open a header with one of ``secrets``, sealing seeds; ``BadBundle`` if none of them does.

    Tries all slots with each: up to a second of work.
    """
    if len(header) != head_length(header[:HEAD]):
        raise Damaged("truncated", _("it ends too early"))
    found = open_slots(header[HEAD:], secrets)
    if found is None:
        why = _(
            "it is not for this node: it was made for another community, before this device "
            "came into it, or after its time here had ended"
        )
        raise BadBundle("sealed", why, _("ask for one that is made now"))
    return Unlocked(digest("bundname", header), found[0], len(header), found[1])


class Reader:
    """Reads one bundle: ``chunk`` by ``chunk``, until ``done``."""

    def __init__(self, unlocked: Unlocked) -> None:
        """At its beginning."""
        self._key = unlocked.key
        self.name = unlocked.name
        self.offset = unlocked.offset
        """Where the chunks begin."""
        self.manifest: Manifest | None = None
        self.number = 0
        """The chunk that comes next."""
        self.skipped = 0
        """Operations in chunks that were not read."""
        self.counts: Counter[Kind] = Counter()
        self.end: End | None = None
        self.last: Last | None = None
        self.more = False
        """Something stands behind the end of the operations."""
        self._jumped = False
        self._last = Kind.MANIFEST
        self._operations = 0

    @property
    def position(self) -> int:
        """Where in the file the next chunk begins."""
        return self.offset + self.number * CHUNK

    @property
    def done(self) -> bool:
        """Everything was read: what is behind it says nothing."""
        return self.last is not None or (self.end is not None and not self.more)

    def skip_to(self, number: int, *, more: bool) -> None:
        """Go on with a later chunk: those before it were read to their end at another time.

        ``more``: what was known then.
        """
        if number > self.number:
            self.number = number
            self.more |= more
            self._jumped = True
            self._operations = -1

    def chunk(self, data: bytes) -> Iterator[Frame]:
        """The frames of the next chunk. ``Damaged``, before the first or between two of them."""
        opened = open_chunk(self._key, self.name, self.number, data)
        if self.manifest is None:
            yield self._begin(opened)
            rest = 5 + int.from_bytes(opened.payload[1:5])
        else:
            rest = 0
            verify_chunk(opened, self.name, self.manifest.signer.signing)
        if self._operations < 0:
            self._operations = opened.before
            self.skipped = opened.before - sum(self.counts[kind] for kind in OPERATIONS)
        if opened.before != self._operations or len(opened.payload) == rest == 0:
            raise Damaged("order", _("something is left out of it"))
        yield from self._frames(opened.payload, rest)
        self.number += 1

    def _begin(self, opened: Opened) -> Manifest:
        kind, data, _rest = _cut(opened.payload, 0)
        manifest = decode_frame(kind, data)
        if not isinstance(manifest, Manifest):
            raise Damaged("format", _("it does not say what it is"))
        verify_chunk(opened, self.name, manifest.signer.signing)
        self.manifest = manifest
        return manifest

    def _frames(self, payload: bytes, at: int) -> Iterator[Frame]:
        # Behind the end means in a later chunk: who goes on from a mark cannot know, and may.
        behind = self.end is not None or self._jumped
        while at < len(payload):
            kind, data, at = _cut(payload, at)
            ended = self.end is not None and kind not in BEHIND
            if kind < self._last or kind == Kind.MANIFEST or self.done or ended:
                raise Damaged("order", _("its parts are not in their order"))
            if kind in BEHIND and not behind:
                raise Damaged("order", _("its parts are not in their order"))
            frame = decode_frame(kind, data)
            self._last = Kind(kind)
            self.counts[self._last] += 1
            self._bound()
            self._operations += kind in OPERATIONS
            if isinstance(frame, End):
                self._finish(frame)
            if isinstance(frame, Last):
                self.last = frame
            self.more |= announces(frame)
            yield frame

    def _bound(self) -> None:
        ends, wanted = self.counts[Kind.ENDS], self.counts[Kind.WANTED]
        if ends * ENDS_IN_FRAME > MAX_ENDS:
            raise Damaged("size", _("it speaks of more chains than there may be"))
        if wanted * WANTED_IN_FRAME > MAX_WANTED:
            raise Damaged("size", _("it asks for more than there may be"))

    def _finish(self, end: End) -> None:
        if end.zero + end.one + end.parts != self._operations:
            raise Damaged("order", _("something is left out of it"))
        self.end = end


def announces(frame: Frame) -> bool:
    """Whether it says that more stands behind the end: it is for its parts, and brings none."""
    if not isinstance(frame, Filed) or frame.kind is not Kind.PARTS:
        return False
    return frame.operation.body is None and not any(frame.operation.parts)


def _cut(payload: bytes, at: int) -> tuple[int, bytes, int]:
    """(kind, bytes, where the next one begins) of the frame at ``at``."""
    length = int.from_bytes(payload[at + 1 : at + 5])
    after = at + 5 + length
    if len(payload) < at + 5 or after > min(len(payload), ROOM):
        raise Damaged("format", _("a frame is longer than its chunk"))
    return payload[at], payload[at + 5 : after], after
