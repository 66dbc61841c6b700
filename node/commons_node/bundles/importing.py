"""Taking a bundle in: the way that a peer's operations go, batch by batch, durable as it goes.

Where the file ends, is damaged or can't be read any more, what stood before is here, and the
report says what is not. The same file again brings nothing twice, and goes on where it stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from commons_crdt.operation import Operation
from commons_crdt.texts import _
from commons_node.bundles.carried import Maker, ended, remember
from commons_node.bundles.parts_in import LargeReport, Space, Taking
from commons_node.realm.realm import Realm
from commons_protocol.bundles.chunks import CHUNK
from commons_protocol.bundles.contents import (
    End,
    Filed,
    Frame,
    Kind,
    Last,
    Manifest,
    Piece,
    Wanted,
)
from commons_protocol.bundles.errors import BadBundle, Damaged
from commons_protocol.bundles.gaps import count, lacking
from commons_protocol.bundles.reader import Reader, Unlocked, head_length
from commons_protocol.bundles.writer import HEAD
from commons_protocol.ends import ChainEnd
from commons_protocol.parts import PartId
from commons_protocol.replica import Range, Turned

BATCH_OPERATIONS = 1_000
BATCH_BYTES = 524_288
MOST_SHOWN = 100
"""Refusals and gaps that a report names; it counts all."""
JUNK = 1_000
"""Refusals beyond the operations that are good, at which a bundle is given up."""
_PASSES = 8
_MARK_EVERY = 32
"""Chunks between two notes of how far it is: 4 MiB."""
_MARK = "bundle"
_LATER = frozenset({"ended", "stranger"})
"""Refused for what stands behind it, perhaps."""


class Source(Protocol):
    """The file."""

    @property
    def size(self) -> int:
        """Its bytes."""

    async def read(self, at: int, count: int) -> bytes:
        """``count`` bytes from ``at`` on, fewer at the end. Raises OSError."""


@dataclass(slots=True)
class Report:
    """What became of a bundle. ``gaps``: what its maker had, and is not here now."""

    manifest: Manifest | None = None
    read: int = 0
    new: int = 0
    known: int = 0
    skipped: int = 0
    parts: int = 0
    """Operations whose longer texts came."""
    large: LargeReport = field(default_factory=LargeReport)
    refused: Counter[str] = field(default_factory=Counter)
    turned: list[Turned] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    damage: BadBundle | None = None
    damaged_at: int | None = None
    ends: list[ChainEnd] | None = None
    gaps: list[Range] = field(default_factory=list)
    end: End | None = None
    other_council: bool = False
    """Its maker follows acts of the council that do not lead to those in force here."""

    @property
    def missing(self) -> int:
        """How many operations its maker had that are not here."""
        return count(self.gaps)


async def header_of(source: Source) -> bytes:
    """The bytes before the chunks; ``BadBundle`` or OSError."""
    return await source.read(0, head_length(await source.read(0, HEAD)))


class Import:
    """One bundle into one realm; ``run`` once."""

    def __init__(
        self,
        realm: Realm,
        source: Source,
        unlocked: Unlocked,
        now_ms: int,
        space: Space,
        *,
        even_expired: bool = False,
        tell: Callable[[int], None] = lambda _at: None,
    ) -> None:
        """``space``: for photos; ``tell`` hears how many bytes are done."""
        self._realm = realm
        self._source = source
        self._unlocked = unlocked
        self._now_ms = now_ms
        self._even_expired = even_expired
        self._tell = tell
        self.report = Report()
        self._reader = Reader(unlocked)
        self._batch: list[Operation] = []
        self._bytes = 0
        self._ends: list[ChainEnd] = []
        self._signed = self._again = False
        self._first = True
        self._section = Kind.ZERO
        self._wants: list[PartId] = []
        self._asked: Sequence[PartId] | None = None
        """What its maker asks for, once all of it was read."""
        self._large = Taking(realm, space, unlocked.name, self.report.large)

    async def run(self) -> Report:
        """Everything that can be taken. ``BadBundle`` if it may not be; ``report`` says how far."""
        mark, more = await self._marked()
        for _pass in range(_PASSES):
            before = self._state(await self._realm.memory.needed())
            await self._pass(mark if self._first else 0, more=more)
            after = self._state(await self._realm.memory.needed())
            # Of a part that was begun before the mark, what was begun may be gone by now.
            torn = self._first and mark > 0 and self.report.large.left["broken"] > 0
            self._first, self._large.again = False, True
            if self.report.damage is not None or not (torn or (self._again and before != after)):
                break
            self._reader = Reader(self._unlocked)
        if self.report.damage is None:
            await self._mark(None)
        await self._conclude()
        return self.report

    def _state(self, needed: set[bytes]) -> tuple[bytes, frozenset[bytes]]:
        return self._realm.digest(), frozenset(needed)

    async def _pass(self, mark: int, *, more: bool) -> None:
        """The file once, from its beginning or from where it was left."""
        report, reader = self.report, self._reader
        report.refused.clear()
        report.turned.clear()
        report.held.clear()
        report.large.left.clear()
        self._again = False
        try:
            while not reader.done:
                await self._chunk(reader)
                if mark > reader.number and self._signed:
                    reader.skip_to(mark, more=more)
            await self._flush()
            await self._large.done()
        except Damaged as damage:
            await self._flush()
            await self._large.flush()
            report.damage, report.damaged_at = damage, reader.position
        if self._first:
            report.skipped = reader.skipped

    async def _chunk(self, reader: Reader) -> None:
        at = reader.position
        try:
            data = await self._source.read(at, CHUNK)
        except OSError as error:
            why = _("the file cannot be read any further ({strerror})").format(
                strerror=error.strerror or error
            )
            raise Damaged("unreadable", why) from error
        for frame in reader.chunk(data):
            await self._frame(frame)
        self._tell(min(reader.position, self._source.size))
        if self._first and reader.number % _MARK_EVERY == 0 and not reader.done:
            await self._flush()
            await self._large.flush()
            if self._signed and not (self.report.turned or self.report.held or self._again):
                await self._mark(reader)

    async def _frame(self, frame: Frame) -> None:
        match frame:
            case Manifest():
                self._check(frame)
                self.report.manifest = frame
            case Filed(kind, operation):
                await self._operation(kind, operation)
            case End():
                await self._flush()
                self._check_maker()
                self.report.end = frame
                if not self._reader.more:
                    self._asked = ()  # or an earlier program wrote it, which asks for nothing
            case Wanted(parts):
                self._wants.extend(parts)
            case Piece():
                await self._large.piece(frame)
                self._check_junk()
            case Last():
                self._asked = self._wants
            case _:
                if self._first:
                    self._ends.extend(frame)

    async def _operation(self, kind: Kind, operation: Operation) -> None:
        if kind is not self._section:
            await self._flush()  # a batch takes an operation once; its parts come in another
            self._section = kind
        if kind is not Kind.ZERO and not self._signed:
            self._check_maker()
        self._batch.append(operation)
        self._bytes += len(operation.header) + len(operation.body or b"") + 64
        self._bytes += sum(len(part or b"") for part in operation.parts)
        if len(self._batch) >= BATCH_OPERATIONS or self._bytes >= BATCH_BYTES:
            await self._flush()

    def _check(self, manifest: Manifest) -> None:
        if manifest.realm != self._realm.realm:
            raise BadBundle("realm", _("it is of another community"), _("check which file it is"))
        if self._now_ms > manifest.expires_ms and not self._even_expired:
            days = (self._now_ms - manifest.expires_ms) // 86_400_000
            then = _(
                "ask for a new one, or add --even-expired: what is in it is checked all the same"
            )
            raise BadBundle(
                "expired", _("its time was over {days} days ago").format(days=days), then
            )

    def _check_maker(self) -> None:
        """After all of its log 0: its maker must be a node that stands."""
        manifest = self.report.manifest
        assert manifest is not None
        if self._realm.node_keys(manifest.signer.id) is None:
            why = _("the node that made it does not stand in the community")
            raise BadBundle("maker", why, _("ask somebody else for one: commons-node member list"))
        self._signed = True

    async def _flush(self) -> None:
        if not self._batch:
            return
        batch, self._batch, self._bytes = self._batch, [], 0
        result = await self._realm.ingest(batch, "bundle")
        report = self.report
        if self._section is Kind.PARTS:
            report.parts += result.new
        else:
            report.new += result.new
            if self._first:
                report.read += len(batch)
                report.known += result.known
        report.refused.update(result.refused)
        report.held.update(result.held)
        report.turned.extend(result.turned[: MOST_SHOWN - len(report.turned)])
        self._again |= bool(result.missing) or bool(_LATER & result.refused.keys())
        self._check_junk()

    def _check_junk(self) -> None:
        report, large = self.report, self.report.large
        bad = report.refused.total() + large.left["unknown"] + large.left["wrong"]
        good = report.new + report.known + report.parts + large.new + large.known
        if bad > JUNK + good:
            raise BadBundle("junk", _("most of what is in it is refused"))

    async def _conclude(self) -> None:
        """What is known of its maker now, and what is still lacking."""
        report, realm, manifest = self.report, self._realm, self.report.manifest
        if manifest is None or not self._signed:
            return
        report.ends = self._ends
        report.gaps = lacking(self._ends, realm.memory.tips(), ended(realm))
        report.other_council = manifest.pin not in set(realm.judge.authority.council.chain)
        made = min(manifest.created_ms, self._now_ms)  # a clock ahead must not outdate what follows
        maker = Maker(manifest.signer.id, manifest.node, made, self._now_ms)
        await remember(realm, maker, self._ends, self._asked)
        report.large.lacking = len(await realm.parts.lacking())

    # -- how far it is ---------------------------------------------------------------------------

    async def _marked(self) -> tuple[int, bool]:
        """The chunk at which this very file is to be gone on with, 0 for its beginning; and whether
        more than operations was announced before it."""
        found = await self._realm.store.outside.setting(_MARK) or b""
        if found[:32] != self._reader.name:
            return 0, False
        return int.from_bytes(found[32:40]), bool(any(found[40:]))

    async def _mark(self, reader: Reader | None) -> None:
        """Note how far it is; None when there is nothing to go on with."""
        if reader is None and not await self._realm.store.outside.setting(_MARK):
            return
        value = b""
        if reader is not None:
            value = reader.name + reader.number.to_bytes(8) + bytes([reader.more])

        async def write() -> None:
            async with self._realm.store.database.transaction() as connection:
                await self._realm.store.set_setting(connection, _MARK, value)

        await self._realm.as_one(write)
