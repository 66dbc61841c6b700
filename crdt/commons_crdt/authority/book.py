"""The book: every operation of log 0 that is here, as facts of bytes, whatever its verdict.

Operations are numbered in the order of learning, which is causal. A view is an integer whose bit
n stands for the n-th operation. The numbers are local and stand in no hash; no answer depends on
them. The book only grows, and nothing in it is ever taken back.

Source: docs/protocol/authority.md "Words".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from commons_crdt.authority.facts import (
    Admit,
    Branch,
    Demotion,
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
    Limit,
    NewDevice,
    Own,
    Pick,
    Readmit,
    Recover,
    SetGuardians,
)
from commons_crdt.authority.signatures import Signatures
from commons_crdt.device import DeviceKeys
from commons_crdt.ids import DeviceId, MemberId, OperationId, RealmId
from commons_crdt.operation import Header

View = int
NOWHERE = -1
"""The number of an operation that is not in the book."""


@dataclass(slots=True)
class Entry:
    """One operation of log 0.

    ``prev`` is the number of the operation before it in its chain (none at seq 1), ``grant`` that
    of what its chain starts from; ``past`` its view, ``line`` its chain up to and with it.
    ``member`` and ``root`` are its author's, by bytes. ``body`` is None where it has no effect;
    ``fault`` then says why: "kind", "log", "part", "oversize" or "malformed".
    """

    n: int
    id: OperationId
    device: DeviceId
    seq: int
    prev: int
    grant: int
    past: View
    line: View
    kind: str
    time_ms: int
    document: bytes
    body: msgspec.Struct | None
    fault: str
    root: int
    member: MemberId | None

    @property
    def bit(self) -> View:
        """The view that holds this operation alone."""
        return 1 << self.n


@dataclass(frozen=True, slots=True)
class Given:
    """A device as an operation grants it, by bytes: whose, since which root, how limited.

    ``root`` is ``NOWHERE`` and ``member`` None for a recovery that leads to no root.
    """

    keys: DeviceKeys
    device: DeviceId
    member: MemberId | None
    root: int
    unattended: bool = False
    limit: Limit | None = None


@dataclass(slots=True)
class Book:
    """See the module. ``add`` in causal order; the rest are indexes."""

    realm: RealmId
    entries: list[Entry] = field(default_factory=list)
    numbers: dict[OperationId, int] = field(default_factory=dict)
    given: dict[int, Given] = field(default_factory=dict)
    """Grants, by the granting operation."""
    grants: defaultdict[DeviceId, list[int]] = field(default_factory=lambda: defaultdict(list))
    roots: defaultdict[MemberId, list[int]] = field(default_factory=lambda: defaultdict(list))
    lines: defaultdict[DeviceId, list[int]] = field(default_factory=lambda: defaultdict(list))
    places: defaultdict[tuple[DeviceId, int], list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )
    doubled: defaultdict[DeviceId, set[int]] = field(default_factory=lambda: defaultdict(set))
    """The seqs of log 0 at which a device wrote two operations that are here."""
    identity_acts: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Device, recover and guardians acts, by their base."""
    picks: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    coordinator_acts: list[int] = field(default_factory=list)
    role_acts: defaultdict[MemberId, list[int]] = field(default_factory=lambda: defaultdict(list))
    closings: defaultdict[DeviceId, list[int]] = field(default_factory=lambda: defaultdict(list))
    invites: dict[int, Invite] = field(default_factory=dict)
    admissions: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Admissions whose signatures hold, by their invite."""
    proofs: list[int] = field(default_factory=list)
    endorsements: list[int] = field(default_factory=list)
    """Guardians' endorsements."""
    signatures: Signatures = field(default_factory=Signatures)

    def __len__(self) -> int:
        """How many operations of log 0 are here."""
        return len(self.entries)

    @property
    def whole(self) -> View:
        """The view of somebody who knows everything that is here."""
        return (1 << len(self.entries)) - 1

    def add(
        self,
        ident: OperationId,
        header: Header,
        document: bytes,
        grant: int,
        past: View,
        body: msgspec.Struct | None,
        fault: str,
    ) -> Entry:
        """Learn an operation whose past is here; ``grant`` is ``NOWHERE`` for the genesis."""
        n = len(self.entries)
        prev = NOWHERE
        if header.seq > 1:
            prev = self.numbers[OperationId(header.prev)]
        line = (self.entries[prev].line if prev >= 0 else 0) | 1 << n
        started = self.given.get(grant)
        entry = Entry(
            n, ident, DeviceId(header.device), header.seq, prev, n if grant < 0 else grant, past,
            line, header.kind, header.time_ms, document, body, fault,
            started.root if started else NOWHERE, started.member if started else None,
        )  # fmt: skip
        if isinstance(body, Genesis):
            entry.root, entry.member = n, body.identity.member
        self.entries.append(entry)
        self.numbers[ident] = n
        self.lines[entry.device].append(n)
        place = self.places[entry.device, entry.seq]
        place.append(n)
        if len(place) > 1:
            self.doubled[entry.device].add(entry.seq)
        if body is not None:
            self._index(entry, body)
        return entry

    def _index(self, entry: Entry, body: msgspec.Struct) -> None:
        n = entry.n
        match body:
            case Genesis() | Admit():
                self._root(n, body.identity.device, body.identity.member)
                invite = (
                    self.number(body.invite, entry.past) if isinstance(body, Admit) else NOWHERE
                )
                if invite in self.invites and not self.signatures.genuine(self, entry):
                    self.admissions[invite].append(n)
            case Readmit():
                self._root(n, body.device, MemberId(body.member))
            case NodeGrant():
                self._give(n, Given(body.device, body.device.id, entry.member, entry.root, True))
            case AddDevice():
                limit = body.limit[0] if body.limit else None
                known = Given(body.device, body.device.id, entry.member, entry.root, limit=limit)
                self._give(n, known)
                self._based(self.identity_acts, entry, body.base)
            case Recover():
                for new in body.device:
                    self._recovered(entry, body, new)
                self._based(self.identity_acts, entry, body.base)
            case SetGuardians():
                self._based(self.identity_acts, entry, body.base)
            case Pick():
                self._based(self.picks, entry, body.base)
                if isinstance(body.warrant, Own):
                    self.coordinator_acts.append(n)
            case RoleAct() | Demotion() | Removal() | Revocation() | Branch():
                self.coordinator_acts.append(n)
                if isinstance(body, RoleAct):
                    self.role_acts[MemberId(body.member)].append(n)
            case Close():
                self.closings[entry.device].append(n)
            case Invite():
                self.invites[n] = body
            case ForkProof():
                self.proofs.append(n)
            case GuardianEndorsement():
                self.endorsements.append(n)
            case _:
                pass

    def _root(self, n: int, keys: DeviceKeys, member: MemberId) -> None:
        self.roots[member].append(n)
        self._give(n, Given(keys, keys.id, member, n))

    def _give(self, n: int, given: Given) -> None:
        self.given[n] = given
        self.grants[given.device].append(n)

    def _recovered(self, entry: Entry, body: Recover, new: NewDevice) -> None:
        root = self.root_of(entry.n)
        found = self.given[root].member if root >= 0 else None
        if found != body.member:
            root, found = NOWHERE, None
        self._give(entry.n, Given(new.keys, new.keys.id, found, root))

    def _based(self, index: defaultdict[int, list[int]], entry: Entry, base: bytes) -> None:
        n = self.numbers.get(OperationId(base), NOWHERE)
        if n >= 0 and entry.past >> n & 1:
            index[n].append(entry.n)

    def root_of(self, act: int) -> int:
        """The root that an act on an identity leads to by its bases, or ``NOWHERE``."""
        while True:
            entry = self.entries[act]
            match entry.body:
                case Genesis() | Admit() | Readmit():
                    return act
                case AddDevice():
                    return entry.root
                case Recover(base=base) | SetGuardians(base=base):
                    n = self.numbers.get(OperationId(base), NOWHERE)
                    if n < 0 or not entry.past >> n & 1:
                        return NOWHERE
                    act = n
                case _:
                    return NOWHERE

    # --- facts of bytes --------------------------------------------------------------------------

    def number(self, ident: bytes, view: View) -> int:
        """The number of an operation if it is in ``view``, otherwise ``NOWHERE``."""
        n = self.numbers.get(OperationId(ident), NOWHERE)
        return n if n >= 0 and view >> n & 1 else NOWHERE

    def among(self, numbers: Iterable[int], view: View) -> Iterator[int]:
        """Those of ``numbers`` that are in ``view``."""
        return (n for n in numbers if view >> n & 1)

    def is_member(self, member: MemberId, view: View) -> bool:
        """True if ``view`` holds an admission of the member, by bytes."""
        return any(view >> n & 1 for n in self.roots.get(member, ()))

    def leads(self, x: int, y: int) -> bool:
        """True if x is y, or before it in y's own chain (x ⊑ y)."""
        return bool(self.entries[y].line >> x & 1)

    def at(self, device: DeviceId, seq: int, ident: bytes, view: View) -> int:
        """The number of a position of log 0 that must be in ``view``; else ``NOWHERE``."""
        n = self.number(ident, view)
        if n < 0:
            return NOWHERE
        entry = self.entries[n]
        return n if entry.device == device and entry.seq == seq else NOWHERE
