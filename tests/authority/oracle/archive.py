"""Facts about bytes: pasts, chains, grants, roots, members. No verdict is looked at here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, TypeVar

import msgspec

from commons_crdt import canonical
from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse, Promise
from commons_crdt.authority.endings import Position
from commons_crdt.authority.facts import (
    Admit,
    Branch,
    Demotion,
    Epoch,
    Genesis,
    Invite,
    NodeGrant,
    Removal,
    Revocation,
    RoleAct,
)
from commons_crdt.authority.identity_facts import (
    AddDevice,
    Close,
    ForkProof,
    GuardianEndorsement,
    Pick,
    Readmit,
    Recover,
    SetGuardians,
)
from commons_crdt.authority.judge import Candidate
from commons_crdt.device import DeviceKeys
from commons_crdt.ids import MemberId, OperationId, RealmId, digest
from commons_crdt.kinds import Rules

Id = OperationId
F = TypeVar("F", bound=Callable[..., Any])
_UNKNOWN: Any = object()

STRUCTS: dict[str, type[msgspec.Struct]] = {
    "council.genesis.1": Genesis,
    "council.act.1": CouncilAct,
    "council.promise.1": Promise,
    "council.ballot.1": Ballot,
    "council.endorse.1": Endorse,
    "identity.device.1": AddDevice,
    "identity.recover.1": Recover,
    "identity.guardians.1": SetGuardians,
    "identity.pick.1": Pick,
    "identity.endorse.1": GuardianEndorsement,
    "identity.close.1": Close,
    "membership.role.1": RoleAct,
    "membership.demotion.1": Demotion,
    "membership.removal.1": Removal,
    "membership.revocation.1": Revocation,
    "membership.branch.1": Branch,
    "membership.readmit.1": Readmit,
    "membership.invite.1": Invite,
    "membership.admit.1": Admit,
    "membership.node.1": NodeGrant,
    "membership.epoch.1": Epoch,
    "fork.proof.1": ForkProof,
}
COUNCIL = (CouncilAct, Promise, Ballot, Endorse)
ROOTS = (Genesis, Admit, Readmit)


def remembered(method: F) -> F:
    """Compute once for each argument; the answers live as long as the object."""

    name = method.__name__

    @wraps(method)
    def call(self: Any, *args: Any) -> Any:
        key = (name, *args)
        found = self.memo.get(key, _UNKNOWN)
        if found is _UNKNOWN:
            found = self.memo[key] = method(self, *args)
        return found

    return call  # type: ignore[return-value]


def _parsed(op: Candidate) -> Any:
    """The body of a log-0 operation, None if it is none of its kind."""
    struct = STRUCTS.get(op.header.kind)
    if struct is None or op.header.log or op.fault or not op.present:
        return None
    if op.header.parts or not isinstance(op.body, struct):
        return None
    return op.body


class Archive:
    """All operations with a complete past, and what their bytes say."""

    def __init__(
        self, realm: RealmId, candidates: Iterable[Candidate], rules: Mapping[int, Rules]
    ) -> None:
        self.realm = realm
        self.genesis = OperationId(realm)
        self.rules = rules
        self.memo: dict[Any, Any] = {}
        waiting = {c.id: c for c in candidates}
        self.ops: dict[Id, Candidate] = {}
        while True:
            found = [
                i
                for i, c in waiting.items()
                if i == self.genesis
                or (c.header.realm == realm and all(a in self.ops for a in c.header.antecedents))
            ]
            if not found:
                break
            for i in found:
                self.ops[i] = waiting.pop(i)
        self.ids: frozenset[Id] = frozenset(self.ops)
        self.bodies: dict[Id, Any] = {x: _parsed(op) for x, op in self.ops.items()}
        self.kinds: dict[type, set[Id]] = {}
        for x, body in self.bodies.items():
            self.kinds.setdefault(type(body), set()).add(x)

    # --- where it stands -------------------------------------------------------------------------

    def log(self, x: Id) -> int:
        return self.ops[x].header.log

    def seq(self, x: Id) -> int:
        return self.ops[x].header.seq

    def chain(self, x: Id) -> tuple[bytes, int]:
        return self.ops[x].header.device, self.ops[x].header.log

    @remembered
    def past(self, x: Id) -> frozenset[Id]:
        """Closure over prev, refs, authority, without x."""
        if x == self.genesis:
            return frozenset()
        near = [Id(a) for a in self.ops[x].header.antecedents]
        return frozenset(near).union(*(self.past(a) for a in near))

    @remembered
    def view(self, x: Id) -> frozenset[Id]:
        return frozenset(y for y in self.past(x) if self.log(y) == 0)

    def before(self, x: Id, y: Id) -> bool:
        """x < y"""
        return x in self.past(y)

    @remembered
    def line(self, x: Id) -> tuple[Id, ...]:
        """The operations of x's own chain up to x."""
        prev = Id(self.ops[x].header.prev)
        if self.seq(x) == 1:
            return (x,)
        return (*self.line(prev), x)

    def upto(self, x: Id, y: Id) -> bool:
        """x ⊑ y"""
        return x in self.line(y)

    def at(self, device: bytes, log: int, position: Position) -> Id | None:
        """The operation at that position, if it is known and what the position says."""
        op = self.ops.get(Id(position.id))
        if op is None:
            return None
        h = op.header
        return op.id if (h.device, h.log, h.seq) == (device, log, position.seq) else None

    # --- what it says ----------------------------------------------------------------------------

    def body(self, x: Id) -> Any:
        """The parsed body of a log-0 operation, None if it is none of its kind."""
        return self.bodies[x]

    def of(self, within: frozenset[Id], *structs: type) -> list[Id]:
        """The operations of these kinds, in an order that decides nothing."""
        return sorted(x for one in structs for x in within & self.kinds.get(one, set()))

    @remembered
    def granted(self, x: Id) -> DeviceKeys | None:
        """The device that this operation's body grants."""
        match self.body(x):
            case Genesis(identity=identity) | Admit(identity=identity):
                return identity.device
            case Readmit(device=device) | NodeGrant(device=device) | AddDevice(device=device):
                return device
            case Recover(device=(new,)):
                return new.keys
        return None

    @remembered
    def grant(self, x: Id) -> Id:
        """What x's chain starts from; the genesis: itself."""
        if x == self.genesis:
            return x
        first = self.line(x)[0]
        return first if first == self.genesis else Id(self.ops[first].header.prev)

    def unattended(self, x: Id) -> bool:
        return isinstance(self.body(self.grant(x)), NodeGrant)

    def limit(self, x: Id) -> Any:
        """The limit of the device that wrote x, None if it has none."""
        body = self.body(self.grant(x))
        return body.limit[0] if isinstance(body, AddDevice) and body.limit else None

    def limited_grant(self, g: Id) -> bool:
        body = self.body(g)
        return isinstance(body, AddDevice) and bool(body.limit)

    @remembered
    def root_of(self, g: Id) -> Id | None:
        """The admission behind a grant, or behind a base of an identity."""
        body = self.body(g)
        if isinstance(body, ROOTS):
            return g
        if isinstance(body, NodeGrant | AddDevice):
            return self.root_of(self.grant(g))
        if isinstance(body, Recover | SetGuardians):
            base = Id(body.base)
            if base not in self.past(g):
                return None
            root = self.root_of(base) if self.is_base(base) else None
            return root if root is not None and self.member_of(root) == body.member else None
        return None

    def is_base(self, x: Id) -> bool:
        return isinstance(self.body(x), (*ROOTS, AddDevice, Recover, SetGuardians))

    @remembered
    def member_of(self, root: Id) -> MemberId:
        match self.body(root):
            case Genesis(identity=identity) | Admit(identity=identity):
                return identity.member
            case Readmit(member=member):
                return MemberId(member)
        raise AssertionError(root)

    def root(self, x: Id) -> Id | None:
        return self.root_of(self.grant(x))

    def member(self, x: Id) -> MemberId | None:
        root = self.root(x)
        return None if root is None else self.member_of(root)

    def statement(self, x: Id) -> bytes:
        """What the warrant of a recover, guardians or pick act stands over."""
        return digest("warrant", self.stated(x))

    @remembered
    def stated(self, x: Id) -> bytes:
        """The bytes that a statement is the digest of."""
        body = self.body(x)
        plain = msgspec.to_builtins(body, builtin_types=(bytes,))
        names = [f.name for f in msgspec.structs.fields(type(body))]
        kept = [v for n, v in zip(names, plain, strict=True) if n not in {"warrant", "epochs"}]
        return canonical.encode([self.realm, self.ops[x].header.kind, kept])
