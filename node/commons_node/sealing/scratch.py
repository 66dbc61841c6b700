"""What a seal would settle, worked out from bytes alone: a judge and folds of its own, no store.

Runs in a worker process, as it takes seconds where ten thousands of operations are sealed. The
judge is told that the seal is in force (it is its pin), so that the sealed verdicts are those that
every node would give, and the folds see the sealed operations alone.

Source: docs/protocol/authority.md "Seals".
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec

from commons_crdt.authority.council_facts import CouncilAct, Seal, Tip
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.judge import ERASURE, Candidate, Judge, Missing, Standing
from commons_crdt.authority.kinds_council import ACT
from commons_crdt.folds import Fact, Subject, Value, View, state_hash
from commons_crdt.ids import ZERO, DeviceId, DocumentId, OperationId, RealmId, digest
from commons_crdt.kinds import Rules
from commons_crdt.operation import VERSION, Header, decode_header
from commons_crdt.verdict import Verdict
from commons_node.realm.documents import Documents
from commons_node.realm.erasing import is_edit
from commons_node.realm.folding import Fields, fact_of
from commons_node.realm.memory import candidate_of
from commons_node.store.reading import EditRow
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_node.verifier.work import form

_TURNS = 100
_MOST = 64


class Given(NamedTuple):
    """One stored operation: its bytes, and (verdict, reason, role) as they are at the node."""

    id: bytes
    header: bytes
    body: bytes | None
    verdict: int
    reason: str
    role: int


class Unsigned(NamedTuple):
    """A seal that nobody has signed: its tips, its base, and where its author would write it.

    ``grant`` is what the author's chain starts from, ``heads`` what the seal would cite.
    """

    tips: tuple[Tip, ...]
    base: bytes
    device: bytes
    grant: bytes
    heads: tuple[bytes, ...]


class Worth(NamedTuple):
    """What a seal is worth here.

    ``state``: the hash of the views of the sealed set; ``operations`` how many are sealed,
    ``pending`` how many of them wait for something, ``missing`` how many tips are not here.
    ``differ``: the sealed operations that stand otherwise at this node, at most 64.
    ``erased_ms``: the time of the newest sealed erasure, 0 if there is none. ``bad_tip``: it lists
    what lies beyond a cut in its own view, or is not in it.
    """

    state: bytes = ZERO
    operations: int = 0
    pending: int = 0
    missing: int = 0
    differ: tuple[bytes, ...] = ()
    erased_ms: int = 0
    bad_tip: bool = False


def worth(realm: bytes, operations: Sequence[Given], seal: bytes | Unsigned) -> Worth:
    """What a seal is worth, by the product's own rules; see ``Scratch``."""
    from commons_node.domains import RULES, VIEWS  # noqa: PLC0415 - workers load it for this only

    return Scratch(RealmId(realm), RULES, VIEWS).worth(operations, seal)


@dataclass(slots=True)
class _Known:
    given: Given
    candidate: Candidate
    standing: Standing


class Scratch:
    """One realm in memory, for one question."""

    def __init__(self, realm: RealmId, rules: Rules, views: Sequence[View]) -> None:
        """Nothing is known."""
        self._realm = realm
        self._rules = rules
        self._views = views
        self._judge = Judge(realm, rules)
        self._known: dict[OperationId, _Known] = {}

    def worth(self, operations: Sequence[Given], seal: bytes | Unsigned) -> Worth:
        """What a seal would settle of these, which are in a causal order.

        ``seal``: the id of one among them, or one that nobody has signed yet. Of log 0 all that is
        in the seal's past must be given, and nothing else; of log 1 more may be.
        """
        unsigned = seal if isinstance(seal, Unsigned) else None
        ident = OperationId(digest("scratch", seal.base) if isinstance(seal, Unsigned) else seal)
        self._judge = Judge(self._realm, self._rules, pin=ident)
        later: list[tuple[Given, Header]] = []
        for given in operations:
            header = decode_header(given.header)
            if header.log:
                later.append((given, header))
            else:
                self._learn(given)
        if unsigned is not None:
            self._imagine(ident, unsigned)
        tips = set(self._tips_of(ident))
        missing = tips - self._known.keys() - {OperationId(given.id) for given, _ in later}
        if missing or not tips:
            return Worth(missing=len(missing))
        self._doubled(later)
        earlier = {tip for one in self._judge.seals() for tip in self._tips_of(one.seal)}
        wanted = _closure(later, tips | earlier)
        for given, _ in later:
            if given.id in wanted:
                self._learn(given)
        self._rest()
        return self._sum_up(ident)

    # --- learning --------------------------------------------------------------------------------

    def _learn(self, given: Given) -> None:
        ident = OperationId(given.id)
        candidate = candidate_of(self._rules, ident, given.header, given.body)
        standing = self._judge.judge(candidate, self._standing)
        if not isinstance(standing, Missing):  # what sees more than the seal is not sealed
            self._known[ident] = _Known(given, candidate, standing)

    def _imagine(self, ident: OperationId, seal: Unsigned) -> None:
        """Learn the seal as its author would write it, next in their chain."""
        own = [
            one.standing
            for one in self._known.values()
            if one.standing.device == seal.device and one.standing.log == 0
        ]
        grant = self._known[OperationId(seal.grant)].standing
        prev = max(own, key=lambda standing: standing.seq, default=grant)
        seen = [prev, *(self._known[OperationId(head)].standing for head in seal.heads)]
        header = Header(
            VERSION, self._realm, seal.device, 0, prev.seq + 1 if own else 1, prev.id,
            1 + max(one.lamport for one in seen), max(one.time_ms for one in seen), ACT, ZERO,
            (), tuple(sorted(seal.heads)), ZERO, 32, (),
        )  # fmt: skip
        body = CouncilAct(seal.base, 0, Seal(seal.tips, ZERO))
        candidate = Candidate(ident, header, body, present=True)
        standing = self._judge.judge(candidate, self._standing)
        assert not isinstance(standing, Missing), "its heads are among what was given"
        given = Given(ident, b"", None, 0, "", 0)
        self._known[ident] = _Known(given, candidate, standing)

    def _standing(self, ident: OperationId) -> Standing | None:
        found = self._known.get(ident)
        return found.standing if found else None

    def _doubled(self, later: Iterable[tuple[Given, Header]]) -> None:
        places: dict[tuple[bytes, int], bytes] = {}
        for given, header in later:
            if places.setdefault((header.device, header.seq), given.id) != given.id:
                self._judge.forked(DeviceId(header.device), 1, header.seq)

    def _tips_of(self, seal: OperationId) -> list[OperationId]:
        body = self._known[seal].candidate.body
        content = body.act if isinstance(body, CouncilAct) else None
        return [OperationId(tip.id) for tip in content.tips] if isinstance(content, Seal) else []

    def _rest(self) -> None:
        """Answer what the judge asks, and judge again what it tells, until nothing changes."""
        for _ in range(_TURNS):
            flips = self._judge.flips()
            if not flips:
                return
            for ident, judgement in flips.operations.items():
                one = self._known[ident]
                one.standing = msgspec.structs.replace(one.standing, judgement=judgement)
            for anchor in flips.wanted:
                self._judge.anchor(anchor, self._line(anchor))
            for seal, tips in flips.closures.items():
                self._judge.closure(seal, {top: self._line(top) or () for top in self._tops(tips)})
            moved = [
                one
                for one in self._known.values()
                if (one.standing.device, one.standing.log) in flips.chains
                or one.standing.id in flips.erasures
                or one.standing.document in flips.erasures
            ]
            for one in sorted(moved, key=lambda one: one.standing.seq):
                one.standing = self._judge.rejudge(one.candidate, one.standing, self._standing)
        raise RuntimeError("the judge never rests")

    def _line(self, anchor: Anchor) -> tuple[OperationId, ...] | None:
        """What is here of a chain up to a position; see ``Anchor``."""
        found = self._known.get(anchor.id)
        if found is None:
            return None
        here = found.standing
        if (here.device, here.log, here.seq) != (anchor.device, 1, anchor.seq):
            return ()
        lowest = self._judge.forks.get((anchor.device, 1), anchor.seq)
        line = [anchor.id]
        while self._known[line[-1]].standing.seq > lowest:
            line.append(OperationId(self._known[line[-1]].candidate.header.prev))
        return tuple(reversed(line))

    def _tops(self, tips: Iterable[Anchor]) -> list[Anchor]:
        """The last operations of each branch of log 1 in the closure of these tips."""
        closed: dict[OperationId, Header] = {}
        queue = [tip.id for tip in tips]
        while queue:
            ident = queue.pop()
            known = self._known.get(ident)
            if ident not in closed and known is not None and known.standing.log == 1:
                closed[ident] = known.candidate.header
                queue.extend(OperationId(i) for i in closed[ident].antecedents)
        last = closed.keys() - {OperationId(header.prev) for header in closed.values()}
        ends = [self._known[ident].standing for ident in sorted(last)]
        return [Anchor(one.device, one.seq, one.id) for one in ends]

    # --- what it amounts to ----------------------------------------------------------------------

    def _sum_up(self, seal: OperationId) -> Worth:
        judge = self._judge
        sealed = [one for one in self._known.values() if judge.settled(one.standing)]
        pending = sum(one.standing.judgement.verdict is Verdict.PENDING for one in sealed)
        differ = [one.standing.id for one in sealed if _differs(one)]
        erasures = (
            one.standing.time_ms
            for one in sealed
            if one.standing.kind == ERASURE and one.standing.judgement.verdict is Verdict.ACCEPTED
        )
        bad = self._known[seal].standing.judgement.reason == "tip"
        return Worth(
            state_hash(self._rows(seal, sealed)), len(sealed), pending, 0, tuple(differ[:_MOST]),
            max(erasures, default=0), bad,
        )  # fmt: skip

    def _rows(
        self, seal: OperationId, sealed: Sequence[_Known]
    ) -> list[tuple[str, bytes, Sequence[Value]]]:
        found = (fact_of(self._rules, self._judge, o.standing, o.given.body) for o in sealed)
        facts = [fact for fact in found if fact is not None]
        documents = _finish(self._documents(sealed))
        rows: list[tuple[str, bytes, Sequence[Value]]] = []
        for view in self._views:
            subjects = _of_documents(view, documents) if view.document else _of_facts(view, facts)
            folded = ((subject.key, view.fold(subject)) for subject in subjects)
            rows += [(view.name, key, row) for key, row in folded if row is not None]
        authority = self._judge.sealed_by(seal)
        if authority is not None:
            flagged = authority.flagged()
            rows += [
                ("members", member, (int(role), int(member in flagged)))
                for member, role in authority.members().items()
            ]
        return rows

    async def _documents(self, sealed: Sequence[_Known]) -> Mapping[DocumentId, Fields | None]:
        stored: dict[DocumentId, list[EditRow]] = {}
        for n, one in enumerate(sealed):
            standing, given = one.standing, one.given
            if is_edit(self._rules.kinds.get(standing.kind)):
                change = form(given.body).change if given.body is not None else None
                row = EditRow(
                    n, standing.id, standing.device, standing, given.header, given.body, change, ""
                )
                stored.setdefault(standing.document, []).append(row)
        nowhere, here = cast("RealmStore", None), cast("VerifierPool", _Here())
        outcome = await Documents(nowhere, self._rules, here).read(self._judge, stored)
        return outcome.fields


def _finish(
    work: Coroutine[Any, Any, Mapping[DocumentId, Fields | None]],
) -> Mapping[DocumentId, Fields | None]:
    """Run what waits for nobody but ``_Here``; no loop is needed for that."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("Mapping[DocumentId, Fields | None]", done.value)
    raise RuntimeError("it waits for somebody else")


class _Here:
    """The work of workers, done in this process: it is one of them."""

    async def map(
        self, work: Callable[[Sequence[Any]], list[Any]], items: Sequence[Any], _slice: int
    ) -> list[Any]:
        """``work`` over all items."""
        return work(items) if items else []


def _closure(later: Sequence[tuple[Given, Header]], tips: set[OperationId]) -> set[bytes]:
    """What of log 1, given in a causal order, is at or before these tips."""
    wanted = set[bytes](tips)
    for given, header in reversed(later):
        if given.id in wanted:
            wanted.update(header.antecedents)
    return wanted


def _differs(one: _Known) -> bool:
    judgement, given = one.standing.judgement, one.given
    there = (int(judgement.verdict), judgement.reason, one.standing.role)
    return (given.verdict, given.reason, given.role) != there


def _of_documents(view: View, documents: Mapping[DocumentId, Fields | None]) -> list[Subject]:
    return [
        Subject(key, (), None if read is None else read.values)
        for key, read in documents.items()
        if read is None or read.kind in view.kinds
    ]


def _of_facts(view: View, facts: Sequence[Fact]) -> list[Subject]:
    of_key: dict[bytes, list[Fact]] = {}
    for fact in facts:
        if fact.kind in view.kinds:
            for key in view.keys(fact):
                of_key.setdefault(key, []).append(fact)
    return [
        Subject(key, sorted(found, key=lambda f: (f.lamport, f.id)))
        for key, found in of_key.items()
    ]
