"""The intake: from the bytes of a batch to judged operations, before anything is written.

Verify (in workers), decide (the judge). Stores nothing itself; what it found is
handed to the realm, which commits it in one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field

import msgspec

from commons_crdt.authority.facts import Genesis
from commons_crdt.authority.judge import GENESIS, Candidate, Judge, Missing, Standing
from commons_crdt.device import DeviceKeys
from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, DocumentId, OperationId
from commons_crdt.kinds import Kind, Rules, decode_fact
from commons_crdt.operation import (
    MAX_BODY,
    Commitment,
    Operation,
    check_contents,
    content,
)
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.realm.batches import Parsed, Reading
from commons_node.realm.documents import Edit
from commons_node.realm.ends import counts_by_its_bytes, lies_beyond
from commons_node.realm.erasing import is_named
from commons_node.realm.memory import Memory
from commons_node.store.reading import NOT_STANDING, VOID
from commons_node.store.realm_store import RealmStore, Stored
from commons_node.store.waiting import Aside
from commons_node.verifier.pool import VerifierPool
from commons_node.verifier.work import Check, Checked, check
from commons_protocol.replica import Ingested, Turned

CLOCK_MS = 10 * 60 * 1000
"""How far ahead of this node's clock a claimed time may be; beyond it the operation is held."""
RETRY_MS = 60_000
"""When an operation whose check killed a worker is tried again."""
NEVER = 1 << 62
"""Until this program is a newer one."""
_SLICE = 256
_FEW = 8
"""So many are checked here: the way to a worker and back costs more. No Automerge is in it."""


@dataclass(slots=True)
class Batch:
    """What a batch amounts to."""

    stored: list[Stored] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    edits: dict[DocumentId, list[Edit]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    turned: list[Turned] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    unlinked: dict[tuple[DeviceId, int, int], None] = field(default_factory=dict)
    missing: dict[OperationId, None] = field(default_factory=dict)
    """In the order found: what is asked of peers must not hang on the salt of Python's hashes."""
    forked: bool = False
    """An operation came beside another one at its place."""
    known: int = 0
    late: list[Parsed] = field(default_factory=list)
    """Known operations of whose contents something was absent here and is present now."""

    def refuse(self, why: str, ident: OperationId) -> None:
        """Count it, and say which one."""
        self.refused[why] += 1
        self.turned.append(Turned(ident, why))

    def added_to(self, total: Ingested, ids: tuple[OperationId, ...]) -> Ingested:
        """What this batch, of which ``ids`` were stored, adds to what others came to."""
        return Ingested(
            total.new + len(ids) + len(self.late),
            total.known + self.known,
            Counter(total.refused) + self.refused,
            (*total.missing, *sorted(self.missing)),
            (*total.unlinked, *sorted(self.unlinked)),
            (*total.new_ids, *ids),
            Counter(total.held) + self.held,
            (*total.turned, *self.turned),
        )


@dataclass(frozen=True, slots=True)
class Sight:
    """What the intake may look at: the realm's memory, through functions.

    ``find`` fetches standings by id; ``siblings`` the ids at one position of a chain; ``tip``
    the highest stored seq of a chain (0: none); ``absent`` whether the body, and some part, of
    stored operations is absent; ``resting`` the operations that killed a worker just now;
    ``needed`` what others build on that is not here.
    """

    judge: Judge
    rules: Rules
    find: Callable[[Iterable[bytes]], Awaitable[dict[OperationId, Standing]]]
    siblings: Callable[[bytes, int, int], Awaitable[list[OperationId]]]
    tip: Callable[[bytes, int], int]
    absent: Callable[[Sequence[bytes]], Awaitable[dict[OperationId, tuple[bool, bool]]]]
    resting: Callable[[int], Awaitable[set[OperationId]]]
    needed: Callable[[], Awaitable[set[bytes]]]

    @classmethod
    def of(cls, memory: Memory, store: RealmStore) -> Sight:
        """What a realm's memory and its file show."""
        return cls(
            memory.judge, memory.rules, memory.find, store.inside.at, memory.top_seq,
            store.inside.absent, store.waiting.resting, memory.needed,
        )  # fmt: skip


class Intake:
    """Turns batches of foreign or own bytes into judged operations."""

    def __init__(self, sight: Sight, pool: VerifierPool) -> None:
        """``sight`` is the realm's memory."""
        self._sight = sight
        self._pool = pool
        self._judged: dict[OperationId, Standing] = {}
        self._places: dict[tuple[bytes, int, int], OperationId] = {}
        self._dead: set[bytes] = set()
        self._needed: set[bytes] = set()
        self._ended: set[bytes] = set()

    async def check_early(self, reading: Reading, now_ms: int) -> None:
        """Let workers verify what they can before it is this batch's turn. Judges nothing."""
        parsed = reading.parsed.values()
        if len(parsed) <= _FEW:
            return
        known = await self._sight.find(reading.parsed.keys() - self._behind_all(parsed))
        resting = await self._sight.resting(now_ms)
        ones = [p for p in parsed if p.header.log]
        await self._check(reading, [p for p in ones if p.id not in known and p.id not in resting])

    def _behind_all(self, items: Iterable[Parsed]) -> set[OperationId]:
        """Those behind all that is stored of their chains: nobody has to look whether they are."""
        tip = self._sight.tip
        return {p.id for p in items if p.header.seq > tip(p.header.device, p.header.log)}

    async def _check(self, reading: Reading, items: Sequence[Parsed]) -> None:
        """Verify what was not verified yet and whose author is known here."""
        checks: list[Check] = []
        asked: list[OperationId] = []
        for item in items:
            if item.id in reading.checked or (keys := self._keys(item, None)) is None:
                continue
            kind = self._sight.rules.kinds.get(item.header.kind)
            edit = kind is not None and kind.schema is not None
            checks.append(_check_of(item, keys, edit=edit))
            asked.append(item.id)
        if checks:
            few = len(checks) <= _FEW
            results = check(checks) if few else await self._pool.map(check, checks, _SLICE)
            reading.checked.update(zip(asked, results, strict=True))

    async def take(self, reading: Reading, now_ms: int) -> Batch:
        """Verify and judge a batch; nothing is raised for bad bytes."""
        batch = Batch(refused=reading.refused, turned=reading.turned)
        parsed = reading.parsed
        named = {i for p in parsed.values() for i in (p.id, *p.header.antecedents)}
        self._judged = await self._sight.find(named - self._behind_all(parsed.values()))
        self._places.clear()
        self._dead.clear()
        self._ended.clear()
        resting = await self._sight.resting(now_ms)
        fresh: list[Parsed] = []
        known: list[Parsed] = []
        for item in parsed.values():
            if item.id in self._judged:
                known.append(item)
            elif item.id in resting:
                batch.held["verifier"] += 1
            else:
                fresh.append(item)
        batch.known = len(known)
        await self._complete(known, batch)
        fresh.sort(key=lambda p: (p.header.log, p.header.lamport, p.id))
        needed = await self._sight.needed()
        zeros: list[Parsed] = []
        ones: list[Parsed] = []
        for item in fresh:
            if item.header.log:
                ones.append(item)
            else:
                zeros.append(item)
        self._needed = set(needed)
        self._go_back([*zeros, *ones])
        for item in zeros:
            await self._log_zero(item, batch, now_ms)
        if zeros:
            self._needed = needed  # what log 0 has ended now, its own author does not need
            self._go_back(ones)
        await self._log_one(ones, reading, batch, now_ms)
        return batch

    def _go_back(self, items: Sequence[Parsed]) -> None:
        """What is needed needs its past, too; ``items`` are in a causal order."""
        beyond: set[bytes] = set()
        for item in items:
            body = None
            if item.header.log == 0:
                kind = self._sight.rules.kinds.get(item.header.kind)
                body, _ = self._fact(kind, item)
                if counts_by_its_bytes(body):
                    self._needed.add(item.id)
            if self._lies_beyond(item, body, beyond):
                beyond.add(item.id)
        for item in reversed(items):
            if item.id in self._needed or item.id not in beyond:
                self._needed.update(item.header.antecedents)

    def _lies_beyond(self, item: Parsed, body: object, beyond: Set[bytes]) -> bool:
        """True for what lies beyond its chain's end for certain, and for what follows it there."""
        header = item.header
        follows = header.log == 1 and header.seq > 1 and header.prev in beyond
        return follows or lies_beyond(self._sight.judge, header, item.id, body)

    async def _complete(self, known: Sequence[Parsed], batch: Batch) -> None:
        """Find the known operations that bring what is absent here, and was not erased."""
        bring = [
            item
            for item in known
            if any(part is not None for part in item.operation.parts)
            or (
                item.operation.body is not None
                and self._judged[item.id].judgement.verdict is not Verdict.ACCEPTED
            )
        ]
        if not bring:
            return
        absent = await self._sight.absent([item.id for item in bring])
        for item in bring:
            body, part = absent[item.id]
            kept = self._kept(item, self._judged[item.id])
            if not (body and kept.body is not None) and not (part and any(kept.parts)):
                continue
            try:
                check_contents(item.header, item.operation)
            except Refused as error:
                batch.refuse(error.why, item.id)
            else:
                batch.late.append(Parsed(item.id, item.header, kept))

    async def _log_zero(self, item: Parsed, batch: Batch, now_ms: int) -> None:
        kind = self._sight.rules.kinds.get(item.header.kind)
        body, fault = self._fact(kind, item)
        keys = self._keys(item, body)
        if keys is None:
            self._no_grant(item, batch)
            return
        (result,) = check([_check_of(item, keys, edit=False)])
        if result.refused:
            self._refuse(item, result.refused, batch)
        elif not self._ahead(item, batch, now_ms):
            await self._judge(item, body, Checked(fault=fault), batch)

    async def _log_one(
        self, items: Sequence[Parsed], reading: Reading, batch: Batch, now_ms: int
    ) -> None:
        await self._check(reading, items)
        for item in items:
            if item.id not in reading.checked:
                self._no_grant(item, batch)
            elif (result := reading.checked[item.id]) is None:
                self._hold(item, "verifier", now_ms + RETRY_MS, batch)
            elif result.refused:
                self._refuse(item, result.refused, batch)
            elif not self._ahead(item, batch, now_ms):
                kind = self._sight.rules.kinds.get(item.header.kind)
                body, fault = self._fact(kind, item)
                await self._judge(item, body, Checked(fault=fault) if fault else result, batch)

    def _ahead(self, item: Parsed, batch: Batch, now_ms: int) -> bool:
        """Keep aside what claims a time that this clock has not reached."""
        until = item.header.time_ms - CLOCK_MS
        if until <= now_ms:
            return False
        self._hold(item, "clock", until, batch)
        return True

    def _hold(self, item: Parsed, why: str, until_ms: int, batch: Batch) -> None:
        batch.held[why] += 1
        batch.aside.append(Aside(item.id, item.operation, why, until_ms=until_ms))

    def _keys(self, item: Parsed, body: msgspec.Struct | None) -> DeviceKeys | None:
        """The keys of the author's device: granted, or in its own genesis."""
        if item.header.kind == GENESIS and isinstance(body, Genesis):
            return body.identity.device
        grant = self._sight.judge.authority.devices.get(DeviceId(item.header.device))
        return grant.keys if grant else None

    def _fact(self, kind: Kind | None, item: Parsed) -> tuple[msgspec.Struct | None, str]:
        """The parsed body of a fact, and its fault."""
        body = item.operation.body
        if kind is None or kind.schema is not None or body is None:
            return None, ""
        try:
            return decode_fact(kind.body, content(body), kind.max_body), ""  # type: ignore[arg-type]  # a fact's body is a Struct
        except Refused:
            return None, "malformed"

    def _refuse(self, item: Parsed, why: str, batch: Batch) -> None:
        batch.refuse(why, item.id)
        self._dead.add(item.id)

    def _no_grant(self, item: Parsed, batch: Batch) -> None:
        """Nothing can be verified without the grant: not stored, asked for again."""
        batch.refuse("stranger", item.id)
        batch.missing[OperationId(item.header.prev)] = None
        self._dead.add(item.id)

    async def _judge(
        self, item: Parsed, body: msgspec.Struct | None, result: Checked, batch: Batch
    ) -> None:
        header = item.header
        if not self._dead.isdisjoint(header.antecedents):
            self._dead.add(item.id)  # it will be offered again with what it builds on
            return
        if item.id not in self._needed and self._lies_beyond(item, body, self._ended):
            self._ended.add(item.id)
            batch.refuse("ended", item.id)
            return
        candidate = Candidate(item.id, header, body, item.operation.body is not None, result.fault)
        place = (header.device, header.log, header.seq)
        try:
            standing = self._sight.judge.judge(candidate, self._judged.get)
        except Refused as error:
            if error.why == "rules" and header.kind != GENESIS:
                self._hold(item, "rules", NEVER, batch)
            else:
                self._refuse(item, error.why, batch)
            return
        if isinstance(standing, Missing):
            self._wait(item, standing, batch)
            return
        if self._lost(standing):
            batch.refuse("ended", item.id)
            return
        twin = self._places.get(place)
        if twin is None and header.seq <= self._sight.tip(header.device, header.log):
            twin = next(iter(await self._sight.siblings(*place)), None)
        if twin is not None:
            self._sight.judge.forked(DeviceId(header.device), header.log, header.seq)
            batch.forked = True
        self._places[place] = item.id
        self._judged[item.id] = standing
        self._store(item, standing, result, batch)

    def _lost(self, standing: Standing) -> bool:
        """True for the other branch of a fork in log 1, which shows only when it is judged."""
        fork = self._sight.judge.forks.get((standing.device, standing.log))
        return (
            standing.log == 1
            and fork is not None
            and standing.seq >= fork
            and standing.id not in self._needed
            and standing.judgement.verdict is not Verdict.PENDING
            and standing.judgement.reason in VOID
        )

    def _wait(self, item: Parsed, missing: Missing, batch: Batch) -> None:
        header = item.header
        batch.missing.update(dict.fromkeys(missing.ids))
        if header.prev in missing.ids and header.seq > 1:
            batch.unlinked[DeviceId(header.device), header.log, header.seq] = None
        batch.aside.append(Aside(item.id, item.operation, "missing", missing.ids[0]))

    def _store(self, item: Parsed, standing: Standing, result: Checked, batch: Batch) -> None:
        kind = self._sight.rules.kinds.get(item.header.kind)
        operation = self._kept(item, standing)
        names = tuple([part.name for part in item.header.parts])
        if kind is None or kind.schema is None:
            batch.stored.append(Stored(standing, operation, names))
            return
        change = result.change if operation.body is not None else None
        batch.stored.append(Stored(standing, operation, names, change, NOT_STANDING))
        if (
            standing.judgement.verdict is not Verdict.ACCEPTED
            or change is None
            or operation.body is None
        ):
            return
        batch.edits.setdefault(standing.document, []).append(
            Edit(
                item.id, standing.device, kind.name, Role(standing.role or Role.NEWCOMER),
                content(operation.body), change, result.deps, tuple(item.header.refs),
            )
        )  # fmt: skip

    def _kept(self, item: Parsed, standing: Standing) -> Operation:
        """The operation without what is erased and without what its kind has no room for."""
        operation, judge = item.operation, self._sight.judge
        kind = self._sight.rules.kinds.get(item.header.kind)
        room = kind.max_body if kind else MAX_BODY
        body = operation.body if item.header.body_length <= room else None
        if kind is not None and judge.is_erased(kind, standing.id, standing.document):
            body = None
        if not operation.parts or is_named(judge, kind, standing):
            parts: tuple[bytes | None, ...] = ()
        else:
            parts = tuple(
                part if ref.length <= (kind.parts.get(ref.name, 0) if kind else MAX_BODY) else None
                for ref, part in zip(item.header.parts, operation.parts, strict=False)
            )
        if body is operation.body and parts == operation.parts:
            return operation
        return Operation(operation.header, operation.signature, body, parts)


def _check_of(item: Parsed, keys: DeviceKeys, *, edit: bool) -> Check:
    operation, header = item.operation, item.header
    contents = Commitment(header.body_hash, header.body_length, header.parts)
    return Check(
        operation.header, operation.signature, operation.body, operation.parts, keys.signing,
        contents, edit,
    )  # fmt: skip
