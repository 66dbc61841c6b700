"""What one realm keeps in memory of its file: the judge, recent standings, chain ends.

Everything here can be read again from the store at any time, and is after a failed commit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE, GENESIS, Candidate, Judge, Standing
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import ZERO, DeviceId, OperationId, RealmId, digest
from commons_crdt.kinds import Rules, decode_fact
from commons_crdt.operation import Operation, content, decode_header
from commons_node.store.database import placeholders
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.work import form
from commons_protocol.replica import ChainEnd, ends_digest

Chain = tuple[DeviceId, int]
"""A device and a log."""
_RECENT = 20_000


class Foreign(CommonsError):
    """The file of community {realm} holds another community, {found}."""

    code = "database"
    hint = "put back the file that belongs here"


class Memory:
    """See the module; ``load`` must follow."""

    def __init__(self, realm: RealmId, store: RealmStore, rules: Rules) -> None:
        """Empty."""
        self.realm = realm
        self.rules = rules
        self.judge = Judge(realm, rules)
        self._store = store
        self._reader = store.inside
        self._recent: OrderedDict[OperationId, Standing] = OrderedDict()
        self._ends: dict[Chain, ChainEnd] = {}
        self._tops: dict[Chain, Standing] = {}
        self._hollow: dict[Chain, set[int]] = {}
        self._digest: bytes | None = None

    async def load(self) -> None:
        """Read authority, chain ends, forks and erasures from the store.

        Nothing is replaced before everything was read. Raises ``Foreign``.
        """
        await self._store.load()
        judge = Judge(self.realm, self.rules)
        for device, log_number, seq in await self._reader.doubled():
            judge.forked(device, log_number, seq)
        for standing, operation in await self._reader.everything("c.log = 0"):
            if standing.kind == GENESIS and bytes(standing.id) != bytes(self.realm):
                raise Foreign(realm=self.realm.hex()[:8], found=standing.id.hex()[:8])
            judge.restore(self.candidate(standing, operation), standing)
        for target in (await self.erased()).values():
            judge.restore_erasure(target)
        hollow: dict[Chain, set[int]] = {}
        for standing, _ in await self._reader.everything("o.reason = 'contents'"):
            hollow.setdefault((standing.device, standing.log), set()).add(standing.seq)
        tips = {(s.device, s.log): s for s in await self._reader.tips()}
        self.judge, self._hollow, self._tops = judge, hollow, tips
        self._recent.clear()
        self._ends = {chain: await self._end(chain) for chain in tips}
        self._digest = None

    async def erased(self, erasures: Iterable[OperationId] = ()) -> dict[OperationId, Standing]:
        """What the accepted ``erasures`` name, or all that there are."""
        query, arguments = "o.kind = ? AND o.verdict = 1", [ERASURE, *erasures]
        if len(arguments) > 1:
            query += f" AND o.id IN ({placeholders(len(arguments) - 1)})"
        targets = [
            decode_fact(Erasure, content(operation.body or b"")).target
            for _, operation in await self._reader.everything(query, arguments)
        ]
        return await self._reader.standings(targets)

    def candidate(self, standing: Standing, operation: Operation) -> Candidate:
        """A stored operation as the judge wants it."""
        kind = self.rules.kinds.get(standing.kind)
        body, fault = None, ""
        if kind is not None and operation.body is not None:
            if kind.schema is None:
                try:
                    body = decode_fact(kind.body, content(operation.body), kind.max_body)  # type: ignore[arg-type]  # a fact's body is a Struct
                except Refused:
                    fault = "malformed"
            else:
                fault = form(operation.body).fault
        header = decode_header(operation.header)
        return Candidate(standing.id, header, body, operation.body is not None, fault)

    async def find(self, ids: Iterable[bytes]) -> dict[OperationId, Standing]:
        """The standings of those of ``ids`` that are stored."""
        found: dict[OperationId, Standing] = {}
        absent: list[bytes] = []
        for ident in set(ids):
            standing = self._recent.get(OperationId(ident))
            if standing is None:
                absent.append(ident)
            else:
                found[standing.id] = standing
        if absent:
            found.update(await self._reader.standings(absent))
        return found

    def top_seq(self, device: bytes, log_number: int) -> int:
        """The highest stored seq of a chain; 0 if it has none."""
        top = self.top(device, log_number)
        return top.seq if top else 0

    def top(self, device: bytes, log_number: int) -> Standing | None:
        """The last operation of a chain."""
        return self._tops.get((DeviceId(device), log_number))

    async def advance(self, standings: Iterable[Standing]) -> None:
        """Operations were stored, in this order."""
        moved: set[Chain] = set()
        for standing in standings:
            self._recent[standing.id] = standing
            chain = (standing.device, standing.log)
            top = self._tops.get(chain)
            if top is None or standing.seq > top.seq:
                self._tops[chain] = standing
                moved.add(chain)
            elif standing.seq == self.judge.forks.get(chain):
                moved.add(chain)  # one more sibling: the proof may be another one now
            if self._mark(standing):
                moved.add(chain)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        await self._move(moved)

    async def revised(self, standings: Iterable[Standing]) -> None:
        """Stored operations were judged again."""
        moved: set[Chain] = set()
        for standing in standings:
            chain = (standing.device, standing.log)
            if standing.id in self._recent:
                self._recent[standing.id] = standing
            top = self._tops.get(chain)
            if top is not None and top.id == standing.id:
                self._tops[chain] = standing
            if self._mark(standing):
                moved.add(chain)
        await self._move(moved)

    def _mark(self, standing: Standing) -> bool:
        """Note whether contents are absent; True if that is news."""
        chain = (standing.device, standing.log)
        known = standing.seq in self._hollow.get(chain, ())
        absent = standing.judgement.reason == "contents"
        if absent and not known:
            self._hollow.setdefault(chain, set()).add(standing.seq)
        elif known and not absent:
            self._hollow[chain].discard(standing.seq)
        return known != absent

    async def _move(self, chains: Iterable[Chain]) -> None:
        for chain in chains:
            self._ends[chain] = await self._end(chain)
            self._digest = None

    async def _end(self, chain: Chain) -> ChainEnd:
        """The chain's effective end: its top, or the operation before its fork.

        Or the one before the first whose contents are absent: whoever has them shall offer them.
        """
        fork = self.judge.forks.get(chain)
        hollow = min(self._hollow.get(chain, ()), default=None)
        if hollow is not None and (fork is None or hollow < fork):
            return ChainEnd(*chain, hollow - 1, await self._first_at(chain, hollow - 1))
        if fork is None:
            top = self._tops[chain]
            return ChainEnd(*chain, top.seq, top.id)
        proof = digest("fork", *(await self._reader.at(*chain, fork))[:2])
        return ChainEnd(*chain, fork - 1, await self._first_at(chain, fork - 1), proof)

    async def _first_at(self, chain: Chain, seq: int) -> OperationId:
        found = await self._reader.at(*chain, seq)
        return found[0] if found else OperationId(ZERO)

    def digest(self) -> bytes:
        """32 bytes over all chain ends; see ``Replica``."""
        if self._digest is None:
            self._digest = ends_digest(self._ends.values())
        return self._digest

    async def vector(self) -> Sequence[ChainEnd]:
        """Every chain's end; see ``Replica``."""
        return sorted(self._ends.values(), key=lambda e: (e.log, e.device))
