"""The judge: one function that gives every operation its verdict, on every path.

Three outcomes: *refused* (the envelope breaks a rule that all nodes check alike; nothing is
stored), *missing* (an antecedent is not here yet), or a *standing* with its verdict. The outcome
depends on the operation and what it builds on, never on the order of arrival.

Source: AUTHORITY.md "When an operation stands", ARCHITECTURE §§2, 3, 5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from commons_crdt.authority.facts import Erasure, Genesis
from commons_crdt.authority.settings import Constitution
from commons_crdt.authority.state import Authority, Grant, View
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO, DeviceId, DocumentId, OperationId, RealmId
from commons_crdt.kinds import Antecedent, Claim, Kind, Rules, own_document
from commons_crdt.operation import Header
from commons_crdt.roles import Role
from commons_crdt.verdict import ACCEPTED, Judgement, Verdict, rejected

GENESIS = "council.genesis.1"
ERASURE = "record.erasure.1"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operation whose signature and contents were checked, ready to be judged.

    ``body`` is the parsed fact (None for edits and absent bodies); ``fault`` is "" or
    "malformed" (a fact that is not of its type, an edit that is not one Automerge change).
    """

    id: OperationId
    header: Header
    body: msgspec.Struct | None
    present: bool
    fault: str = ""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A judged operation, as much of it as later ones need.

    ``view``: the log-0 operations in its past, itself included if it is one; ``left``: the
    milli-tokens that its chain has left; ``grant``: the operation that its chain starts from.
    """

    id: OperationId
    device: DeviceId
    log: int
    seq: int
    lamport: int
    time_ms: int
    kind: str
    document: DocumentId
    grant: OperationId
    view: View
    left: int
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Missing:
    """The operation cannot be judged before these are here."""

    ids: tuple[OperationId, ...]


Lookup = Callable[[OperationId], Standing | None]


@dataclass(slots=True)
class Judge:
    """Judges the operations of one realm, in any causal order.

    ``forks`` holds the lowest doubled seq of each forked chain, ``erased`` the facts and
    documents that an accepted erasure names.
    """

    realm: RealmId
    rules: Rules
    authority: Authority = field(init=False)
    forks: dict[tuple[DeviceId, int], int] = field(default_factory=dict)
    erased: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Start from nothing."""
        self.authority = Authority(self.realm)

    def judge(self, candidate: Candidate, lookup: Lookup) -> Standing | Missing:
        """Judge one operation and learn it; ``Refused`` if its envelope breaks a rule.

        ``lookup`` finds the standings of antecedents. An operation that is already learned
        must not be given again; ``rejudge`` is for those.
        """
        header = candidate.header
        if candidate.header.kind == GENESIS:
            return self._genesis(candidate)
        if header.realm != self.realm:
            raise Refused("realm")
        past: dict[bytes, Standing] = {}
        missing: dict[OperationId, None] = {}
        for ident in header.antecedents:
            found = lookup(OperationId(ident))
            if found is None:
                missing[OperationId(ident)] = None
            else:
                past[ident] = found
        if missing:
            return Missing(tuple(missing))
        grant, left, view = self._envelope(candidate, past)
        judgement = self._verdict(candidate, grant, view, past)
        if header.log == 0:
            body = self._tells(candidate)
            view = self.authority.adopt(candidate.id, grant.id, body, view, judgement.verdict)
        self._learn_erasure(candidate, past, judgement)
        return self._standing(candidate, grant.id, view, left, judgement)

    def rejudge(self, candidate: Candidate, standing: Standing, lookup: Lookup) -> Standing:
        """The verdict of a log-1 operation again, after its contents came or were erased."""
        header = candidate.header
        past = {i: s for i in header.antecedents if (s := lookup(OperationId(i))) is not None}
        grant = self.authority.grants[standing.grant]
        judgement = self._verdict(candidate, grant, standing.view, past)
        self._learn_erasure(candidate, past, judgement)
        return msgspec.structs.replace(standing, judgement=judgement)

    def restore(self, candidate: Candidate, standing: Standing) -> None:
        """Learn a stored log-0 operation again as it was judged, in the order of storing."""
        past = standing.view & ~(1 << len(self.authority.bits))
        body, verdict = self._tells(candidate), standing.judgement.verdict
        self.authority.adopt(candidate.id, standing.grant, body, past, verdict)

    def restore_erasure(self, target: Standing) -> None:
        """Learn again what a stored, accepted erasure names."""
        self.erased.add(target.document if self._is_edit(target) else target.id)

    def forked(self, device: DeviceId, log: int, seq: int) -> bool:
        """Learn that ``seq`` is doubled; True if everything must be judged again from nothing."""
        known = self.forks.get((device, log))
        if known is not None and known <= seq:
            return False
        self.forks[device, log] = seq
        return True

    def is_erased(self, kind: Kind, identity: OperationId, document: DocumentId) -> bool:
        """True if an accepted erasure takes the body: of one fact, or of a document's edits."""
        return kind.erased == "body" and (document if kind.schema else identity) in self.erased

    def _standing(
        self, candidate: Candidate, grant: OperationId, view: View, left: int, judgement: Judgement
    ) -> Standing:
        header = candidate.header
        return Standing(
            candidate.id,
            DeviceId(header.device),
            header.log,
            header.seq,
            header.lamport,
            header.time_ms,
            header.kind,
            own_document(candidate.id, header),
            grant,
            view,
            left,
            judgement,
        )

    def _genesis(self, candidate: Candidate) -> Standing:
        header, body = candidate.header, candidate.body
        if bytes(candidate.id) != bytes(self.realm):
            raise Refused("realm")
        alone = (
            header.realm == header.prev == header.document == ZERO
            and header.log == 0
            and header.seq == header.lamport == 1
            and not header.refs
            and not header.authority
            and not header.parts
        )
        if not alone or not isinstance(body, Genesis):
            raise Refused("genesis")
        keys = body.identity.device
        names = [name for name, _ in body.constitution]
        if keys.id != header.device or not keys.usable or names != sorted(set(names)):
            raise Refused("genesis")
        if body.rules != self.rules.version:
            raise Refused("rules")
        rate = Constitution.of(body.constitution).rates[Role.COORDINATOR]
        left = rate.after(None, 0, header.body_length)
        if left is None:
            raise Refused("budget")
        view = self.authority.adopt(candidate.id, candidate.id, body, 0, Verdict.ACCEPTED)
        return self._standing(candidate, candidate.id, view, left, ACCEPTED)

    def _envelope(
        self, candidate: Candidate, past: dict[bytes, Standing]
    ) -> tuple[Grant, int, View]:
        """Check how the operation is linked; its grant, what its budget leaves, its view."""
        header = candidate.header
        prev = past[header.prev]
        first = header.seq == 1
        grant = self.authority.grants.get(prev.id if first else prev.grant)
        if grant is None or grant.keys.id != header.device:
            raise Refused("chain")
        if not first and (prev.device, prev.log, prev.seq) != (
            header.device,
            header.log,
            header.seq - 1,
        ):
            raise Refused("chain")
        if first and header.log == 0 and header.prev == self.realm:
            raise Refused("chain")  # the genesis itself is the founder's first
        if header.log == 0 and any(past[ref].log for ref in header.refs):
            raise Refused("log")
        if any(past[i].log or self.authority.bit(past[i].id) & prev.view for i in header.authority):
            raise Refused("authority")
        if header.lamport != 1 + max(s.lamport for s in past.values()):
            raise Refused("lamport")
        if header.time_ms < prev.time_ms:
            raise Refused("time")
        view = 0
        for standing in past.values():
            view |= standing.view
        if view == prev.view:
            view = prev.view  # share one integer along a chain
        length = header.body_length + sum(part.length for part in header.parts)
        rate = self.authority.rate(grant, view)
        left = rate.after(None if first else prev.left, header.time_ms - prev.time_ms, length)
        if left is None:
            raise Refused("budget")
        return grant, left, view

    def _verdict(
        self, candidate: Candidate, grant: Grant, view: View, past: dict[bytes, Standing]
    ) -> Judgement:
        """In the order of AUTHORITY.md: contested, grant, kind, role, the kind's own rule."""
        header = candidate.header
        if header.seq >= self.forks.get((DeviceId(header.device), header.log), header.seq + 1):
            return Judgement(Verdict.CONTESTED, "fork")
        if grant.verdict is not Verdict.ACCEPTED:
            contested = grant.verdict is Verdict.CONTESTED
            return Judgement(Verdict.CONTESTED, "grant") if contested else rejected("grant")
        kind = self.rules.kinds.get(header.kind)
        if kind is None:
            return Judgement(Verdict.UNKNOWN, "unlisted") if header.log else rejected("kind")
        if kind.log != header.log:
            return rejected("log")
        role = self.authority.role(grant.member, view)
        if kind.unattended != grant.unattended or role is None or role < kind.role:
            return rejected("role")
        return self._own_rule(candidate, kind, grant, role, view, past)

    def _own_rule(
        self,
        candidate: Candidate,
        kind: Kind,
        grant: Grant,
        role: Role,
        view: View,
        past: dict[bytes, Standing],
    ) -> Judgement:
        header = candidate.header
        if any(part.length > kind.parts.get(part.name, 0) for part in header.parts):
            return rejected("part")
        document = own_document(candidate.id, header)
        if self.is_erased(kind, candidate.id, document):
            return ACCEPTED  # by its header alone: the bytes may be gone elsewhere
        if header.body_length > kind.max_body:
            return rejected("oversize")
        if not candidate.present:
            return Judgement(Verdict.PENDING, "contents")
        if candidate.fault:
            return rejected(candidate.fault)
        refs = {i: self._antecedent(past[i]) for i in header.refs}
        claim = Claim(
            candidate.id, header, candidate.body, grant.member, role, view, self.authority, refs
        )
        reason = kind.rule(claim)
        return rejected(reason) if reason else ACCEPTED

    def _antecedent(self, standing: Standing) -> Antecedent:
        grant = self.authority.grants.get(standing.grant)
        member = grant.member if grant else None
        return Antecedent(
            standing.id,
            standing.kind,
            member,
            standing.document,
            standing.log,
            self._is_edit(standing),
        )

    def _is_edit(self, standing: Standing) -> bool:
        kind = self.rules.kinds.get(standing.kind)
        return kind is not None and kind.schema is not None

    def _tells(self, candidate: Candidate) -> msgspec.Struct | None:
        """What a log-0 operation gives to learn, the same on every node and for every verdict.

        ``Refused("contents")`` without the body: log 0 always travels with its bodies, save the
        ones that nobody reads.
        """
        header = candidate.header
        kind = self.rules.kinds.get(header.kind)
        if kind is None or kind.log or header.body_length > kind.max_body:
            return None
        if not candidate.present:
            raise Refused("contents")
        return candidate.body

    def _learn_erasure(
        self, candidate: Candidate, past: dict[bytes, Standing], judgement: Judgement
    ) -> None:
        if judgement.verdict is Verdict.ACCEPTED and isinstance(candidate.body, Erasure):
            self.restore_erasure(past[candidate.body.target])  # its rule holds: it is there
