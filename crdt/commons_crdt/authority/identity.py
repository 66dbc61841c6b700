"""(B) Identities: the chain of acts on one member's devices, guardians and recovery key.

Each root (an admission) has a chain of its own. An act names its base; of several at one base the
strongest warrant comes first, and where that does not decide, picks do.

Source: docs/protocol/authority.md "(B) Identities".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from commons_crdt.authority.book import NOWHERE, Book, Entry
from commons_crdt.authority.cuts import Cut, Cuts, Ground, Ruling, by_device
from commons_crdt.authority.facts import Admit, Genesis
from commons_crdt.authority.identity_facts import (
    AddDevice,
    GuardianEndorsement,
    Guardians,
    Limit,
    Own,
    Pick,
    Recover,
    Recovery,
    SetGuardians,
)
from commons_crdt.authority.warrants import recovery_hash, signed_by, stated, statement
from commons_crdt.ids import ZERO, DeviceId, MemberId

BY_SEAL, BY_KEY, BY_GUARDIANS, BY_DEVICE = range(4)
"""What an act stands by, the strongest first; a coordinator's pick ranks as ``BY_DEVICE``."""


@dataclass(frozen=True, slots=True)
class IdentityState:
    """An identity at ``base`` (a number): its devices by their grants, with their limits."""

    base: int
    devices: Mapping[int, Limit | None]
    guardians: tuple[bytes, ...]
    threshold: int
    recovery: bytes


@dataclass(slots=True)
class IdentityChain:
    """The chain of one root. ``frozen``: the acts beyond it of which nobody has picked one."""

    root: int
    newest: IdentityState
    frozen: tuple[int, ...] = ()
    bases: dict[int, IdentityState] = field(default_factory=dict)
    first: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """The strongest acts at each base that has any."""

    def pass_on(self, state: IdentityState) -> None:
        """One more base."""
        self.newest = self.bases[state.base] = state

    def at(self, base: int) -> IdentityState | None:
        """The identity at a base of this chain."""
        return self.bases.get(base)


@dataclass(slots=True)
class Means:
    """What an evaluation of identities needs to know from outside.

    ``own_past``: whether a device was of its member by an operation's own past. ``picks``:
    whether an operation is a coordinator's standing pick. ``sealed``: True or False if a seal
    settles that an act stands or not.
    """

    book: Book
    ground: Ground
    lifted: frozenset[int]
    own_past: Callable[[int], bool]
    picks: Callable[[int], bool]
    sealed: Callable[[int], bool | None]


class Identities:
    """The identity chains of one set, for one stage: B or B'."""

    def __init__(self, means: Means, cuts: Cuts) -> None:
        """``cuts`` are the standing ones; those of recoveries are added as chains are followed."""
        self.cuts = cuts
        self._means = means
        self._book = means.book
        self._chains: dict[int, IdentityChain] = {}
        self._closings: dict[DeviceId, tuple[int, ...]] = {}

    def chain(self, root: int) -> IdentityChain:
        """The chain of a root."""
        known = self._chains.get(root)
        if known is None:
            known = self._follow(root)
            self._chains[root] = known
        return known

    def may(self, n: int, root: int, base: int) -> bool:
        """True if the act has a warrant at a base of the chain, or could be picked by hand."""
        state = self.chain(root).at(base)
        return state is not None and self.rank(n, root, state) is not None

    def grow(self, n: int, root: int, base: int) -> bool:
        """Add a device act that is alone at the end of the chain; False if it is not the end."""
        chain = self.chain(root)
        if chain.frozen or chain.newest.base != base:
            return False
        chain.first[base] = (n,)
        chain.pass_on(self._after(root, chain.newest, n))
        return True

    def rulings(self, grant: int) -> tuple[Ruling, ...]:
        """What all cuts of this stage say of the operations that start from a grant."""
        given = self._book.given.get(grant)
        if given is not None and given.root != NOWHERE:
            self.chain(given.root)
        return self.cuts.on(grant)

    def closings(self, device: DeviceId) -> tuple[int, ...]:
        """The standing closings of a device."""
        if device not in self._book.closings:
            return ()
        if device not in self._closings:
            for grant in self._book.grants.get(device, ()):
                self.rulings(grant)
            self._closings[device] = self._means.ground.closings(device, self.cuts)
        return self._closings[device]

    def place(self, n: int) -> str:
        """Where an operation of log 0 is in its chain, by all cuts of this stage."""
        entry = self._book.entries[n]
        closings = self.closings(entry.device)
        return self._means.ground.place(n, self.rulings(entry.grant), closings)

    # --- following a chain -----------------------------------------------------------------------

    def _follow(self, root: int) -> IdentityChain:
        state = _initial(self._book, root)
        chain = IdentityChain(root, state, bases={root: state})
        while True:
            first = self._first(root, state)
            if not first:
                return chain
            chain.first[state.base] = first
            chosen = first if len(first) == 1 else self._picked(root, state, first)
            if len(chosen) != 1:
                chain.frozen = first
                return chain
            state = self._after(root, state, chosen[0])
            chain.pass_on(state)

    def _first(self, root: int, state: IdentityState) -> tuple[int, ...]:
        """The acts with the strongest warrant of those at this base that stand."""
        ranks: dict[int, int] = {}
        acts = self._book.identity_acts.get(state.base, ())
        for n in self._book.among(acts, self._means.ground.view):
            settled = self._means.sealed(n)
            rank = BY_SEAL if settled else self.rank(n, root, state)
            if rank is not None and settled is not False and not self.shape(n):
                ranks[n] = rank
        strongest = min(ranks.values(), default=None)
        return tuple(n for n, rank in ranks.items() if rank == strongest)

    def _picked(self, root: int, state: IdentityState, first: Sequence[int]) -> tuple[int, ...]:
        named: dict[int, set[int]] = {}
        ids = {self._book.entries[n].id: n for n in first}
        picks = self._book.picks.get(state.base, ())
        for n in self._book.among(picks, self._means.ground.view):
            body = self._book.entries[n].body
            if not isinstance(body, Pick) or self._means.sealed(n) is False:
                continue
            if isinstance(body.warrant, Own):
                by_hand = self._means.picks(n) and not self.covered(n, root)
                rank = BY_DEVICE if by_hand else None
            else:
                rank = self.rank(n, root, state)
            act = next((a for i, a in ids.items() if i == body.act), None)
            if rank is not None and act is not None:
                named.setdefault(rank, set()).add(act)
        return tuple(named[min(named)]) if named else ()

    def _after(self, root: int, state: IdentityState, n: int) -> IdentityState:
        """The identity with the act as its next base; a recovery's endings cut from here on."""
        body = self._book.entries[n].body
        devices = dict(state.devices)
        match body:
            case AddDevice():
                devices[n] = self._book.given[n].limit
            case SetGuardians():
                return IdentityState(n, devices, body.guardians, body.threshold, body.recovery)
            case Recover():
                endings = by_device(body.endings)
                member = self._book.given[root].member
                if n not in self._means.lifted and member is not None:
                    own = isinstance(body.warrant, Own)
                    self.cuts.add(Cut(n, endings, False, member, root=root, own=own))
                devices = {
                    grant: limit
                    for grant, limit in devices.items()
                    if self._book.given[grant].device not in endings
                }
                if body.device:
                    devices[n] = None
        return replace(state, base=n, devices=devices)

    # --- what one act is -------------------------------------------------------------------------

    def covered(self, n: int, root: int) -> bool:
        """True if a member cut ended the identity and does not have the act in its past."""
        entries = self._book.entries
        return any(not entries[cut.act].past >> n & 1 for cut in self.cuts.covering(root))

    def rank(self, n: int, root: int, state: IdentityState) -> int | None:
        """What the act stands by at this base of the chain; None if it may not be done."""
        entry = self._book.entries[n]
        body, member = entry.body, self._book.given[root].member
        if self.covered(n, root):
            return None
        if isinstance(body, AddDevice):
            return BY_DEVICE if self._own(entry, state) else None
        if not isinstance(body, Recover | SetGuardians | Pick) or body.member != member:
            return None
        match body.warrant:
            case Own():
                if isinstance(body, Recover):
                    may = all(ending.device == entry.device for ending in body.endings)
                else:
                    free = not state.guardians and state.recovery == ZERO
                    may = isinstance(body, SetGuardians) and free
                return BY_DEVICE if may and self._own(entry, state) else None
            case Recovery() as warrant:
                if recovery_hash(warrant.key) != state.recovery:
                    return None
                said = stated(self._book.realm, entry.kind, body)
                verify = partial(signed_by, warrant, said)
                return BY_KEY if self._book.signatures.warrant(n, verify) else None
            case Guardians(endorsements=endorsements):
                who = {self._guardian(entry, body, end, state) for end in endorsements} - {None}
                enough = state.threshold and len(who) >= state.threshold
                return BY_GUARDIANS if enough else None

    def _own(self, entry: Entry, state: IdentityState) -> bool:
        """True if an unlimited device of the identity wrote it, inside its chain so far."""
        if state.devices.get(entry.grant, _NO_DEVICE) is not None:
            return False
        ground = self._means.ground
        closings = ground.closings(entry.device, self.cuts)
        return not ground.place(entry.n, self.cuts.on(entry.grant), closings)

    def _guardian(
        self, act: Entry, body: Recover | SetGuardians | Pick, ident: bytes, state: IdentityState
    ) -> MemberId | None:
        """The guardian who endorses the act, by the endorsement's own past."""
        n = self._book.number(ident, act.past)
        if n == NOWHERE:
            return None
        entry = self._book.entries[n]
        endorsed = entry.body
        fits = (
            isinstance(endorsed, GuardianEndorsement)
            and entry.document == endorsed.member == body.member
            and endorsed.statement == statement(self._book.realm, act.kind, body)
            and entry.member in state.guardians
        )
        return entry.member if fits and self._means.own_past(n) else None

    def shape(self, n: int) -> str:
        """The rules of an identity act that are about its own bytes."""
        entry = self._book.entries[n]
        body = entry.body
        if isinstance(body, AddDevice | Recover):
            fault = self._book.signatures.consents(self._book, entry)
            if fault:
                return fault
        if isinstance(body, AddDevice):
            return named(entry, entry.member)
        if isinstance(body, Recover | SetGuardians | Pick):
            return named(entry, body.member)
        return "malformed"

    def reason(self, n: int) -> tuple[str, bool]:
        """Why an act on an identity does not stand ("": it does), and whether it is contested."""
        entry = self._book.entries[n]
        body = entry.body
        if not isinstance(body, AddDevice | Recover | SetGuardians | Pick):
            return "malformed", False
        fault = self.shape(n)
        if fault:
            return fault, False
        base = self._book.number(body.base, entry.past)
        root = self._book.root_of(base) if base >= 0 else NOWHERE
        if root == NOWHERE:
            return "base", False
        chain = self.chain(root)
        if not isinstance(body, Pick):
            if n in chain.bases:
                return "", False
            if n in chain.frozen:
                return "identity", True
        if self.covered(n, root):
            return "cut", False
        state = chain.at(base)
        if state is None:
            return "base", False
        own_pick = isinstance(body, Pick) and isinstance(body.warrant, Own)
        if not own_pick and self.rank(n, root, state) is None:
            return "warrant", False
        if isinstance(body, Pick):
            first = {self._book.entries[one].id for one in chain.first.get(base, ())}
            return ("" if body.act in first else "base"), False
        return "base", False


_NO_DEVICE = Limit(("none.none.1",), 1, 0)


def _initial(book: Book, root: int) -> IdentityState:
    body = book.entries[root].body
    if isinstance(body, Genesis | Admit):
        who = body.identity
        return IdentityState(root, {root: None}, who.guardians, who.threshold, who.recovery)
    return IdentityState(root, {root: None}, (), 0, ZERO)


def named(entry: Entry, member: bytes | None) -> str:
    """Whether the document of an operation about a member is the member."""
    return "" if entry.document == member else "document"
