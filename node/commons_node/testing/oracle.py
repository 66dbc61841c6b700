"""The judge and the folds once more, without a store, a network or a queue: what should come out.

Shares with the daemon only what is pure: verifying, the judge, documents, the rules, the view
specifications. Everything between them (batches, SQL, re-judging, crashes) is left out, so that
two answers that agree agree for a reason.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from commons_crdt.authority.facts import Genesis
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.judge import GENESIS, Candidate, Judge, Missing, Standing
from commons_crdt.device import DeviceKeys
from commons_crdt.document.apply import apply
from commons_crdt.document.change import MalformedChange, parse_change
from commons_crdt.document.values import Applied, Fields
from commons_crdt.document.values import Candidate as Change
from commons_crdt.errors import Refused
from commons_crdt.folds import Fact, Subject, Value, View, set_hash, state_hash
from commons_crdt.ids import DeviceId, DocumentId, OperationId, RealmId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import (
    Header,
    Operation,
    check_contents,
    content,
    decode_header,
    operation_id,
    verify,
)
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.domains import RULES, VIEWS
from commons_node.store.reading import VOID

_TURNS = 100


def replay(realm: RealmId, operations: Sequence[Operation], seed: int) -> tuple[bytes, bytes]:
    """(set_hash, state_hash) of these operations, learned in an order that follows from a seed."""
    memory = Oracle(realm)
    memory.learn(shuffled(operations, random.Random(f"order {seed}")))  # noqa: S311 - seeded
    return memory.hashes()


def shuffled(operations: Sequence[Operation], rng: random.Random) -> list[Operation]:
    """A causal order by chance."""
    headers = {operation_id(o.header): decode_header(o.header) for o in operations}
    bodies = {operation_id(o.header): o for o in operations}
    waits = {
        i: {OperationId(a) for a in h.antecedents} & headers.keys() for i, h in headers.items()
    }
    next_of: dict[OperationId, list[OperationId]] = {}
    for ident, past in waits.items():
        for before in sorted(past):
            next_of.setdefault(before, []).append(ident)
    ready = sorted(ident for ident, past in waits.items() if not past)
    order: list[Operation] = []
    while ready:
        ident = ready.pop(rng.randrange(len(ready)))
        order.append(bodies[ident])
        for after in sorted(next_of.get(ident, ())):
            waits[after].discard(ident)
            if not waits[after]:
                ready.append(after)
    return order


@dataclass(slots=True)
class _Known:
    header: Header
    operation: Operation
    standing: Standing
    candidate: Candidate
    change: bytes | None
    deps: tuple[bytes, ...]


@dataclass(slots=True)
class Oracle:
    """One realm in memory."""

    realm: RealmId
    judge: Judge = field(init=False)
    known: dict[OperationId, _Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is known."""
        self.judge = Judge(self.realm, RULES)

    def learn(self, operations: Sequence[Operation]) -> None:
        """Judge operations in this order; forks are looked up first, flips followed last."""
        places: dict[tuple[bytes, int, int], OperationId] = {}
        for operation in operations:
            header = decode_header(operation.header)
            place = (header.device, header.log, header.seq)
            ident = operation_id(operation.header)
            if places.setdefault(place, ident) != ident:
                self.judge.forked(DeviceId(header.device), header.log, header.seq)
        for operation in operations:
            self._learn(operation)
        self._judge_again(one for one in self.known.values() if self._is_gone(one))
        self._settle()

    def _settle(self) -> None:
        """Ask the judge what else has changed, until nothing does."""
        for _ in range(_TURNS):
            flips = self.judge.flips()
            if not flips:
                return
            for ident, judgement in flips.operations.items():
                one = self.known[ident]
                one.standing = msgspec.structs.replace(one.standing, judgement=judgement)
            for anchor in flips.wanted:
                self.judge.anchor(anchor, self._line(anchor))
            for seal, tips in flips.closures.items():
                self.judge.closure(seal, {top: self._line(top) or () for top in self._tops(tips)})
            self._judge_again(
                one
                for one in self.known.values()
                if (one.standing.device, one.standing.log) in flips.chains
                or one.standing.id in flips.erasures
                or one.standing.document in flips.erasures
            )
        raise AssertionError("the judge never rests")

    def _judge_again(self, some: Iterable[_Known]) -> None:
        for one in sorted(some, key=lambda one: one.standing.seq):
            gone = Candidate(one.standing.id, one.header, None, present=False)
            candidate = gone if self._is_gone(one) else one.candidate
            one.standing = self.judge.rejudge(candidate, one.standing, self._standing)

    def _is_gone(self, one: _Known) -> bool:
        """Whether an erasure takes its body."""
        kind = RULES.kinds.get(one.header.kind)
        return kind is not None and self.judge.is_erased(
            kind, one.standing.id, one.standing.document
        )

    def _line(self, anchor: Anchor) -> tuple[OperationId, ...] | None:
        """What is here of a chain up to a position; see ``Anchor``."""
        found = self.known.get(anchor.id)
        if found is None:
            return None
        here = found.standing
        if (here.device, here.log, here.seq) != (anchor.device, 1, anchor.seq):
            return ()
        lowest = self.judge.forks.get((anchor.device, 1), anchor.seq)
        line = [anchor.id]
        while self.known[line[-1]].standing.seq > lowest:
            line.append(OperationId(self.known[line[-1]].header.prev))
        return tuple(reversed(line))

    def _tops(self, tips: Iterable[Anchor]) -> list[Anchor]:
        """The last operations of each branch of log 1 in the closure of a seal's tips."""
        closed: set[OperationId] = set()
        queue = [tip.id for tip in tips]
        while queue:
            ident = queue.pop()
            if ident not in closed and ident in self.known:
                closed.add(ident)
                queue.extend(OperationId(i) for i in self.known[ident].header.antecedents)
        ones = {ident for ident in closed if self.known[ident].standing.log == 1}
        inner = {OperationId(self.known[ident].header.prev) for ident in ones}
        last = [self.known[ident].standing for ident in sorted(ones - inner)]
        return [Anchor(one.device, one.seq, one.id) for one in last]

    def _learn(self, operation: Operation) -> None:
        ident = operation_id(operation.header)
        header = decode_header(operation.header)
        kind = RULES.kinds.get(header.kind)
        edit = kind is not None and kind.schema is not None
        body, fault = None, ""
        if kind is not None and not edit and operation.body is not None:
            try:
                body = decode_fact(kind.body, content(operation.body), kind.max_body)  # type: ignore[arg-type]  # a fact
            except Refused:
                fault = "malformed"
        keys = self._keys(header, body)
        if keys is None:
            return
        checked = _verified(header, operation, keys.signing, edit)
        if checked is None:
            return
        change, deps, broken = checked
        present = operation.body is not None
        candidate = Candidate(ident, header, body, present, fault or broken)
        try:
            standing = self.judge.judge(candidate, self._standing)
        except Refused:
            return
        if not isinstance(standing, Missing):
            self.known[ident] = _Known(header, operation, standing, candidate, change, deps)

    def _keys(self, header: Header, body: object) -> DeviceKeys | None:
        if header.kind == GENESIS and isinstance(body, Genesis):
            return body.identity.device
        grant = self.judge.authority.devices.get(DeviceId(header.device))
        return grant.keys if grant else None

    def _standing(self, ident: OperationId) -> Standing | None:
        found = self.known.get(ident)
        return found.standing if found else None

    # --- what it amounts to ---

    def hashes(self) -> tuple[bytes, bytes]:
        """(set_hash, state_hash)."""
        counted = [
            (ident, int(one.standing.judgement.verdict))
            for ident, one in self.known.items()
            if one.standing.judgement.reason not in VOID
            or one.standing.judgement.verdict is Verdict.PENDING
        ]
        rows: list[tuple[str, bytes, Sequence[Value]]] = []
        facts = [fact for ident, one in self.known.items() if (fact := self._fact(ident, one))]
        fields = self._documents()
        for view in VIEWS:
            rows += self._rows(view, facts, fields)
        authority = self.judge.authority
        flagged = authority.flagged()
        rows += [
            ("members", member, (int(role), int(member in flagged)))
            for member, role in authority.members().items()
        ]
        return set_hash(counted), state_hash(rows)

    def _rows(
        self,
        view: View,
        facts: Sequence[Fact],
        documents: Mapping[DocumentId, tuple[str, Fields]],
    ) -> list[tuple[str, bytes, Sequence[Value]]]:
        of_key: dict[bytes, list[Fact]] = {}
        for fact in facts:
            if fact.kind in view.kinds:
                for key in view.keys(fact):
                    of_key.setdefault(key, []).append(fact)
        rows: list[tuple[str, bytes, Sequence[Value]]] = []
        for key, found in of_key.items():
            if view.document:
                kind, fields = documents.get(DocumentId(key), ("", None))
                subject = Subject(key, (), fields if kind in view.kinds else None)
            else:
                subject = Subject(key, sorted(found, key=lambda f: (f.lamport, f.id)))
            row = view.fold(subject)
            if row is not None:
                rows.append((view.name, key, row))
        return rows

    def _fact(self, ident: OperationId, one: _Known) -> Fact | None:
        standing = one.standing
        kind = RULES.kinds.get(standing.kind)
        if kind is None or standing.judgement.verdict is not Verdict.ACCEPTED:
            return None
        authority = self.judge.authority
        member = authority.grants[standing.grant].member
        gone = self.judge.is_erased(kind, ident, standing.document)
        body = None if gone or kind.schema is not None else one.candidate.body
        return Fact(
            ident, standing.kind, member, _role(standing), standing.device, standing.log,
            standing.seq, standing.lamport, standing.time_ms, standing.document, body, gone,
        )  # fmt: skip

    def _documents(self) -> dict[DocumentId, tuple[str, Fields]]:
        """Every document that stands: the kind of its creation, and its fields."""
        edits: dict[DocumentId, list[_Known]] = {}
        for one in self.known.values():
            standing = one.standing
            if standing.judgement.verdict is not Verdict.ACCEPTED or one.change is None:
                continue
            if not self.judge.is_erased(RULES.kinds[standing.kind], standing.id, standing.document):
                edits.setdefault(standing.document, []).append(one)
        return {
            document: read
            for document, history in edits.items()
            if (read := self._read(document, history)) is not None
        }

    def _read(self, document: DocumentId, edits: Sequence[_Known]) -> tuple[str, Fields] | None:
        """Only the operation that the document is named after creates it, and gives its kind."""
        creation = next((one for one in edits if bytes(one.standing.id) == bytes(document)), None)
        if creation is None:
            return None
        kind = RULES.kinds[creation.header.kind]
        assert kind.schema is not None
        applied: list[bytes] = []
        hashes: dict[bytes, bytes | None] = {}
        fields: Fields = {}
        for one in edits:
            builds_on = {hashes.get(ref) for ref in one.header.refs}
            if one.header.kind != kind.name or builds_on != set(one.deps):
                continue
            if not one.deps and one is not creation:
                continue
            change = content(one.operation.body or b"")
            editor = kind.editor(_role(one.standing))
            done = apply(applied, [Change(change, one.standing.device, editor)], kind.schema)
            fields = done.fields
            if isinstance(done.results[0], Applied):
                applied.append(change)
                hashes[one.standing.id] = one.change
        return kind.name, fields


def _verified(
    header: Header, operation: Operation, key: bytes, edit: bool
) -> tuple[bytes | None, tuple[bytes, ...], str] | None:
    """The hash and dependencies of an edit's change, and its fault; None: not to be stored."""
    if not verify(operation.header, operation.signature, key):
        return None
    try:
        check_contents(header, operation)
    except Refused:
        return None
    if not edit or operation.body is None:
        return None, (), ""
    try:
        change = parse_change(content(operation.body))
    except MalformedChange:
        return None, (), "malformed"
    return change.hash, tuple(change.deps), ""


def _role(standing: Standing) -> Role:
    """The author's role, as it counted for this operation."""
    return Role(standing.role or Role.NEWCOMER)
