"""Where the chains of one realm end: what peers compare, and what is still taken beyond an end.

A chain's end is what counts of it and is here. Beyond it nothing is passed on, save what counts by
its bytes whoever carried it (log 0), acts of coordinators and own revocations as far as no earlier
stratum ends them (log 0), and what an honest member has built on in good faith.

Source: AUTHORITY.md "Self-certifying contents", ARCHITECTURE §7.
"""

from __future__ import annotations

from collections.abc import Iterable

from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse, Promise
from commons_crdt.authority.facts import Admit
from commons_crdt.authority.flips import Chain
from commons_crdt.authority.identity_facts import (
    ForkProof,
    GuardianEndorsement,
    Own,
    Pick,
    Readmit,
    Recover,
    SetGuardians,
)
from commons_crdt.authority.judge import Judge, Standing
from commons_crdt.ids import ZERO, DeviceId, OperationId, digest
from commons_crdt.operation import Header
from commons_crdt.verdict import Verdict
from commons_node.store.reading import Reader
from commons_protocol.ends import ChainEnd, EndSet, Vector

_BY_BYTES = (
    CouncilAct, Promise, Ballot, Endorse, GuardianEndorsement, Admit, Readmit, ForkProof,
)  # fmt: skip


class Ends:
    """The ends of all chains that are here; ``load`` must follow."""

    def __init__(self, reader: Reader) -> None:
        """Reads what is stored, uncommitted changes included."""
        self._reader = reader
        self._ends = EndSet()
        self._hollow: dict[Chain, set[int]] = {}

    async def load(
        self, judge: Judge, tops: Iterable[Standing], hollow: Iterable[Standing]
    ) -> None:
        """Compute every end afresh; ``hollow``: the operations whose contents are absent."""
        self._ends, self._hollow = EndSet(), {}
        for standing in hollow:
            self.mark(standing)
        chains = {(s.device, s.log): s for s in tops}
        for chain in {*chains, *judge.forks}:
            await self.move(judge, chain, chains.get(chain))

    def mark(self, standing: Standing) -> bool:
        """Note whether an operation's contents are absent; True if that is news."""
        chain = (standing.device, standing.log)
        known = standing.seq in self._hollow.get(chain, ())
        absent = standing.judgement.reason == "contents"
        if absent and not known:
            self._hollow.setdefault(chain, set()).add(standing.seq)
        elif known and not absent:
            self._hollow[chain].discard(standing.seq)
        return known != absent

    async def move(self, judge: Judge, chain: Chain, top: Standing | None) -> None:
        """Compute one end again; ``top``: the last operation of the chain that is here."""
        end = judge.end(*chain)
        fork = judge.forks.get(chain, 0)
        seq, ident = await self._last(judge, chain, top)
        if end.seq is not None and fork > end.seq + 1:
            fork = 0  # it lies where nothing counts anyway: who does not know it is not told
        hollow = self._hollow.get(chain)
        more = ZERO
        if hollow:
            more = digest("hollow", *(n.to_bytes(8) for n in sorted(hollow)))
        elif chain[1] == 0 and (end.seq is not None or fork):
            more = await self._passed_on(chain, end.seq, fork)
        found = ChainEnd(*chain, seq, ident, fork, min(hollow or (), default=0), more)
        if seq or fork or more != ZERO:
            self._ends.put(found)
        else:
            self._ends.drop(*chain)  # nothing of it counts: who never met it lists it neither

    async def _last(
        self, judge: Judge, chain: Chain, top: Standing | None
    ) -> tuple[int, OperationId]:
        """The last operation of a chain that is here and counts."""
        end = judge.end(*chain)
        fork = judge.forks.get(chain, 0)
        if top is None or end.seq == 0:
            return 0, OperationId(ZERO)
        if end.seq is None and not fork:
            return top.seq, top.id
        if chain[1] == 0 and end.seq is not None and end.id is not None:
            return end.seq, end.id  # what a cut names in log 0 is here with its past
        found = await self._reader.last(*chain, end.seq)
        if found is not None and fork and fork <= found[0] and found[2] == Verdict.PENDING:
            # which branch it is will show when the operation that the cut names is here
            found = await self._reader.last(*chain, fork - 1)
        return (found[0], found[1]) if found else (0, OperationId(ZERO))

    async def _passed_on(self, chain: Chain, end: int | None, fork: int) -> bytes:
        """A hash of what is passed on beyond an end, whoever carries it; zeroes if nothing."""
        first = min(n for n in (fork, 0 if end is None else end + 1) if n)
        passed = await self._reader.behind(*chain, first)
        return digest("beyond", *passed) if passed else ZERO

    def digest(self) -> bytes:
        """32 bytes over all ends; see ``Replica``."""
        return self._ends.digest()

    def vector(self) -> Vector:
        """Every end; see ``Replica``."""
        return self._ends.vector()

    def size(self) -> int:
        """How many operations stand up to the ends."""
        return self._ends.size()


def lies_beyond(judge: Judge, header: Header, ident: OperationId, body: object = None) -> bool:
    """True if an operation that is not here lies beyond its chain's end for certain.

    ``body``: its contents in log 0. Coordinators' acts do not end each other: such an act counts
    beyond a removal, or a node that heard of the removal first would never have it.

    Up to just behind the end an operation could be one of two siblings, the proof of a fork: it is
    taken as long as no fork is known at or below it. Which branch of log 1 a cut names shows only
    when the operation that it names is here.
    """
    chain = (DeviceId(header.device), header.log)
    end, fork = judge.end(*chain, body), judge.forks.get(chain)
    if end.seq is None and fork is None:
        return False  # nearly always: it goes on, and has no branches
    branches = judge.branches
    if branches.beside(header, ident):
        return True
    if header.log and header.seq <= branches.awaited(chain[0]):
        return False  # a seal will say which branch it is
    if branches.goes_on(header):
        fork = branches.open_fork(chain[0])  # a seal decided those below, and the chain goes on
    if end.seq is None:
        return False
    if header.seq <= end.seq + 1 and (fork is None or header.seq < fork):
        return False
    return header.seq > end.seq or header.log == 0  # all that counts of log 0 is here


def counts_by_its_bytes(body: object) -> bool:
    """True if such a body of log 0 may count whoever's chain carries it, and wherever that ends."""
    if isinstance(body, Recover | SetGuardians | Pick):
        return not isinstance(body.warrant, Own)
    return isinstance(body, _BY_BYTES)
