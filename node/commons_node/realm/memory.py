"""What one realm keeps in memory of its file: the judge, recent standings, chain ends.

Everything here can be read again from the store at any time, and is after a failed commit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from commons_crdt.authority.flips import Chain
from commons_crdt.authority.judge import ERASURE, GENESIS, Candidate, Judge, Standing
from commons_crdt.device import DeviceKeys
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import DeviceId, OperationId, RealmId
from commons_crdt.kinds import Rules, decode_fact
from commons_crdt.operation import Operation, content, decode_header
from commons_node.realm.answers import answer
from commons_node.realm.ends import Ends
from commons_node.realm.erasing import target_of
from commons_node.realm.revised import Revised
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.work import form

_RECENT = 20_000
_NEEDED = 20_000


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
        self.ends = Ends(store.inside)
        self._recent: OrderedDict[OperationId, Standing] = OrderedDict()
        self._turn = 0
        """Another one when standings of the store may have changed."""
        self._needed: OrderedDict[bytes, None] = OrderedDict()
        self._tops: dict[Chain, Standing] = {}
        self.pruned: OperationId | None = None
        """The seal by which this node has pruned last."""

    async def load(self) -> None:
        """Read authority, chain ends, forks and erasures from the store.

        Nothing is replaced before everything was read. Raises ``Foreign``.
        """
        await self._store.load()
        pin, pruned = await self._store.settled.pin(), await self._reader.setting("pruned")
        judge = Judge(self.realm, self.rules, pin=pin)
        for standing, operation in await self._reader.everything("c.log = 0"):
            if standing.kind == GENESIS and bytes(standing.id) != bytes(self.realm):
                raise Foreign(realm=self.realm.hex()[:8], found=standing.id.hex()[:8])
            judge.restore(self.candidate(standing, operation), standing)
        for device, log_number, seq in await self._reader.doubled():
            judge.forked(device, log_number, seq)
        while flips := judge.flips():  # what is stored was judged by all of it
            await answer(judge, flips, self._reader)
        for device, first in judge.branches.sealed_forks():
            async for rows in self._reader.links(device, 1, first):
                for seq, ident, header in rows:
                    judge.branches.follows(
                        device, seq, ident, OperationId(decode_header(header).prev)
                    )
        await self._restore_erasures(judge)
        hollow = await self._reader.everything("o.reason = 'contents'")
        tips = {(s.device, s.log): s for s in await self._reader.tips()}
        ends = Ends(self._reader)
        await ends.load(judge, tips.values(), [standing for standing, _ in hollow])
        self.judge, self.ends, self._tops = judge, ends, tips
        self.pruned = OperationId(pruned) if pruned else None
        self._turn += 1
        self._recent.clear()

    async def _restore_erasures(self, judge: Judge) -> None:
        rows = await self._reader.everything("o.kind = ? AND o.verdict = 1", [ERASURE])
        named = {standing.id: target_of(operation.body) for standing, operation in rows}
        targets = await self._reader.standings({t for t in named.values() if t is not None})
        for ident, target in named.items():
            if target is not None and target in targets:
                judge.restore_erasure(targets[target], ident)

    def whose(self, device: bytes) -> bytes:
        """Whose device it is: all devices of a member have one share of what waits."""
        granted = self.judge.authority.devices.get(DeviceId(device))
        return granted.member if granted is not None else device

    def node_keys(self, device: DeviceId) -> DeviceKeys | None:
        """The keys of a node's device whose grant stands and whose chains no act ended.

        A fork leaves it a node, but hides no removal: who was removed could fork on purpose.
        """
        authority = self.judge.authority
        grant = authority.devices.get(device)
        if grant is None or not grant.unattended:
            return None
        return grant.keys if authority.stands(device, grant) else None

    def candidate(self, standing: Standing, operation: Operation) -> Candidate:
        """A stored operation as the judge wants it."""
        return candidate_of(self.rules, standing.id, operation.header, operation.body)

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
            turn = self._turn
            read = await self._reader.standings(absent)
            found |= read
            if turn == self._turn:  # else another verdict may be on the disk by now
                self._recent |= read
                self._drop_oldest()
        return found

    def _drop_oldest(self) -> None:
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def top_seq(self, device: bytes, log_number: int) -> int:
        """The highest stored seq of a chain; 0 if it has none."""
        top = self.top(device, log_number)
        return top.seq if top else 0

    def tips(self) -> dict[Chain, int]:
        """The highest stored seq of every chain, whether it counts or not."""
        return {chain: top.seq for chain, top in self._tops.items()}

    def top(self, device: bytes, log_number: int) -> Standing | None:
        """The last operation of a chain."""
        return self._tops.get((DeviceId(device), log_number))

    async def last(self, device: DeviceId, log_number: int) -> Standing | None:
        """Where a chain's writer goes on: its top, or that of the branch that a seal decided for.

        The branch that lost may be the longer one.
        """
        decided = self.judge.branches.last(device, log_number)
        if decided is None:
            return self.top(device, log_number)
        return (await self.find([decided])).get(decided)

    def need(self, ids: Iterable[bytes]) -> None:
        """What others build on is not here: it is taken even beyond its chain's end."""
        for ident in ids:
            self._needed[ident] = None
            self._needed.move_to_end(ident)
        while len(self._needed) > _NEEDED:
            self._needed.popitem(last=False)

    async def needed(self) -> set[bytes]:
        """What others that came here build on and was missing."""
        return {*self._needed, *await self._store.waiting.missing()}

    async def forget(self, ids: Iterable[OperationId]) -> None:
        """These were deleted: they lay beyond their chains' ends, which stay where they are."""
        self._turn += 1
        gone = set(ids)
        for ident in gone:
            self._recent.pop(ident, None)
        for chain, top in list(self._tops.items()):
            if top.id in gone:
                now = await self._reader.top(*chain)
                if now is None:
                    del self._tops[chain]
                else:
                    self._tops[chain] = now
                await self.ends.move(self.judge, chain, now)

    async def advance(self, standings: Iterable[Standing], revised: Revised) -> None:
        """Operations were stored in this order, and others were judged again."""
        self._turn += 1
        moved: set[Chain] = set(revised.ends)
        for standing in standings:
            self._recent[standing.id] = standing
            self._needed.pop(standing.id, None)
            chain = (standing.device, standing.log)
            top = self._tops.get(chain)
            if top is None or standing.seq > top.seq:
                self._tops[chain] = standing
            moved.add(chain)
            self.ends.mark(standing)
        for standing in revised.standings:
            chain = (standing.device, standing.log)
            if standing.id in self._recent:
                self._recent[standing.id] = standing
            top = self._tops.get(chain)
            if top is not None and top.id == standing.id:
                self._tops[chain] = standing
            self.ends.mark(standing)
            moved.add(chain)
        self._drop_oldest()
        for chain in moved:
            await self.ends.move(self.judge, chain, self._tops.get(chain))


def candidate_of(
    rules: Rules, ident: OperationId, encoded: bytes, contents: bytes | None
) -> Candidate:
    """A verified operation as the judge wants it; ``contents``: its salted body, if it is here."""
    header = decode_header(encoded)
    kind = rules.kinds.get(header.kind)
    body, fault = None, ""
    if kind is not None and contents is not None:
        if kind.schema is None:
            try:
                body = decode_fact(kind.body, content(contents), kind.max_body)  # type: ignore[arg-type]  # a fact's body is a Struct
            except Refused:
                fault = "malformed"
        else:
            fault = form(contents).fault
    return Candidate(ident, header, body, contents is not None, fault)
