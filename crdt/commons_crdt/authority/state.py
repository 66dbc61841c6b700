"""What log 0 amounts to, for reading: members, roles, grants, invites, epochs, the council.

A view is a set of log-0 operations, kept as an integer whose bit n stands for the n-th log-0
operation that this replica learned. The numbers are local and stand in no hash; the answers do
not depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from commons_crdt.authority.book import Given, View
from commons_crdt.authority.council_facts import CouncilContent
from commons_crdt.authority.facts import Admit, Epoch, Invite, Removal, Revocation
from commons_crdt.authority.identity_facts import Limit, Recover
from commons_crdt.authority.settings import Constitution
from commons_crdt.budget import Rate
from commons_crdt.device import DeviceKeys
from commons_crdt.ids import DeviceId, MemberId, OperationId, RealmId
from commons_crdt.roles import Role
from commons_crdt.verdict import ACCEPTED, Verdict

if TYPE_CHECKING:
    from commons_crdt.authority.budgets import Budgets
    from commons_crdt.authority.strata import Polity

__all__ = ["Authority", "Council", "Grant", "IdentityOf", "Proposal", "StandingCut", "View"]


@dataclass(frozen=True, slots=True)
class Grant:
    """A device as granted by one log-0 operation; ``unattended`` is a node's own device.

    ``verdict`` is ACCEPTED if the grant and the membership behind it stand, CONTESTED if either
    waits for a decision, otherwise REJECTED. ``limit``: all that the device may write.
    """

    id: OperationId
    keys: DeviceKeys
    member: MemberId
    unattended: bool
    verdict: Verdict
    limit: Limit | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """An act proposed at the council's base; ``ballots``: (round, index) with who endorsed."""

    id: OperationId
    act: CouncilContent
    ballots: Mapping[tuple[int, int], frozenset[DeviceId]]


@dataclass(frozen=True, slots=True)
class Council:
    """The council now. ``seats`` are (member, endorsing device) in the order of the list.

    ``split``: the acts in force on this base, if there are two; ``forked`` the keys that endorsed
    both. ``made``: the act that made each coordinator one.
    """

    base: OperationId
    seats: tuple[tuple[MemberId, DeviceId], ...]
    rules: int
    proposals: tuple[Proposal, ...]
    split: frozenset[OperationId]
    forked: frozenset[DeviceId]
    made: Mapping[MemberId, OperationId]
    chain: tuple[OperationId, ...]

    @property
    def majority(self) -> int:
        """How many keys must endorse an act in one ballot."""
        return len(self.seats) // 2 + 1


@dataclass(frozen=True, slots=True)
class IdentityOf:
    """A member's identity now, from one root.

    ``devices`` maps each device to its grant and limit. ``rivals``: the acts of which somebody
    must pick one, if the identity is frozen.
    """

    root: OperationId
    base: OperationId
    devices: Mapping[DeviceId, tuple[OperationId, Limit | None]]
    guardians: tuple[MemberId, ...]
    threshold: int
    recovery: bytes
    rivals: tuple[OperationId, ...]

    @property
    def frozen(self) -> bool:
        """True if two acts on one base contradict each other."""
        return bool(self.rivals)


@dataclass(frozen=True, slots=True)
class StandingCut:
    """An act that takes away and stands. ``until_ms`` is 0 for good."""

    id: OperationId
    member: MemberId
    kind: Literal["removal", "suspension", "dismissal", "branch", "revocation", "recovery"]
    until_ms: int = 0


@dataclass(slots=True)
class Authority:
    """The log-0 state of one realm as a judge has it; the judge keeps it up to date."""

    realm: RealmId
    budgets: Budgets
    polity: Polity | None = None
    founder: MemberId | None = None
    bits: dict[OperationId, int] = field(default_factory=dict)
    grants: dict[OperationId, Grant] = field(default_factory=dict)
    devices: dict[DeviceId, Grant] = field(default_factory=dict)
    invites: dict[OperationId, tuple[Invite, bool]] = field(default_factory=dict)
    epochs: dict[OperationId, Epoch] = field(default_factory=dict)
    heads: dict[OperationId, View] = field(default_factory=dict)

    # --- kept by the judge -----------------------------------------------------------------------

    def beside(self, polity: Polity) -> Authority:
        """The same realm by another polity, such as a sealed set of its own; it is not kept."""
        found = Authority(self.realm, self.budgets, bits=self.bits)
        found.polity = polity
        return found

    def follow(self, polity: Polity) -> None:
        """Read everything from another polity."""
        self.polity = polity
        for table in (self.grants, self.devices, self.invites, self.epochs):
            table.clear()
        for n in range(len(polity.book)):
            self.note(n)

    def note(self, n: int) -> None:
        """Read one judged operation."""
        polity = self._known
        entry = polity.book.entries[n]
        given = polity.book.given.get(n)
        if given is not None:
            self._grant(entry.id, given, n)
        if isinstance(entry.body, Invite):
            self.invites[entry.id] = (entry.body, polity.verdict(n) == ACCEPTED)
        elif isinstance(entry.body, Epoch) and polity.verdict(n) == ACCEPTED:
            self.epochs[entry.id] = entry.body

    def _grant(self, ident: OperationId, given: Given, n: int) -> None:
        polity = self._known
        wrong = polity.granted(n)
        grant = Grant(
            ident,
            given.keys,
            given.member if given.member is not None else MemberId(bytes(32)),
            given.unattended,
            Verdict.ACCEPTED if wrong is None else wrong.verdict,
            given.limit,
        )
        self.grants[ident] = grant
        known = self.devices.get(given.device)
        if known is None or known.id == ident or _rank(grant) < _rank(known):
            self.devices[given.device] = grant

    @property
    def _known(self) -> Polity:
        if self.polity is None:
            raise LookupError("nothing is known of this realm yet")
        return self.polity

    # --- views and roles -------------------------------------------------------------------------

    def bit(self, operation: OperationId) -> View:
        """The view that holds this log-0 operation alone."""
        return 1 << self.bits[operation]

    @property
    def whole(self) -> View:
        """The view of somebody who knows every log-0 operation that is here."""
        return (1 << len(self.bits)) - 1

    def news(self, view: View) -> tuple[OperationId, ...]:
        """The log-0 heads outside ``view``: what an author's next operation cites, at most 16.

        Void ones are passed over, and what counts before them is cited instead.
        The heads left out are cited by the operation after it.
        """
        if all(self._counts(self.bits[head]) for head in self.heads):
            return tuple(sorted(i for i, bit in self.heads.items() if not bit & view)[:16])
        entries, found = self._known.book.entries, []
        rest = self.whole & ~view
        while rest:
            last = rest.bit_length() - 1  # nothing that is left comes after it
            rest &= ~(1 << last)
            if self._counts(last):
                found.append(entries[last].id)
                rest &= ~entries[last].past
        return tuple(sorted(found)[:16])

    def _counts(self, n: int) -> bool:
        """False for what lies beyond its chain's end: others do not get it, nor what cites it."""
        polity = self.polity
        return polity is None or polity.ledger.certifies_itself(n) or not polity.place(n)

    def role(self, member: MemberId, view: View) -> Role | None:
        """The member's role as the standing acts in ``view`` give it; None for no member."""
        return self.polity.base_role(member, view) if self.polity else None

    def body(self, operation: OperationId) -> object:
        """The body of a log-0 operation; None where it is not here, or has no effect."""
        n = self.bits.get(operation)
        return None if n is None else self._known.book.entries[n].body

    def rate(self, grant: Grant, view: View) -> Rate:
        """The budget of a device's chains: by the acts in ``view``, as their authors saw them."""
        return self.budgets.rate(grant.member, grant.unattended, view)

    @property
    def constitution(self) -> Constitution:
        """The settings in force."""
        return self.polity.newest.constitution if self.polity else Constitution.of(())

    def admissions(self, invite: OperationId, view: View) -> int:
        """How many members ``view`` sees admitted by this invite, counted by the acts' bytes.

        Members, not acts: somebody who copies an admission into a chain of theirs spends nothing.
        """
        return self._known.admitted_by(self.bits[invite], view)

    # --- members ---------------------------------------------------------------------------------

    def members(self) -> dict[MemberId, Role]:
        """Every standing member with the role that the whole set gives to what they write next.

        Who was removed or is suspended is none: no admission of theirs is beyond the cut.
        """
        if self.polity is None:
            return {}
        roles = ((member, self.role_now(member)) for member in self.polity.book.roots)
        return {member: role for member, role in roles if role is not None}

    def role_now(self, member: MemberId) -> Role | None:
        """The role of one of them; None for who is none."""
        if self.polity is None:
            return None
        polity, whole = self.polity, self.polity.view
        here = (
            root
            for root in polity.book.among(polity.book.roots.get(member, ()), whole)
            if polity.root_stands(root) and not any(polity.strata.cuts.covering(root))
        )
        role = polity.base_role(member, whole) if any(True for _ in here) else None
        return polity.lowered(role, member, whole, lambda _demotion: True)

    def flagged(self) -> set[MemberId]:
        """Members admitted beyond an invite's uses, found when islands met.

        They stay flagged until somebody who sees all of these admissions gives them a role.
        """
        if self.polity is None:
            return set()
        polity, found = self.polity, set()
        standing: dict[int, set[MemberId]] = {}
        for n, given in polity.book.given.items():
            body = polity.book.entries[n].body if polity.view >> n & 1 else None
            if isinstance(body, Admit) and given.member and polity.verdict(n) == ACCEPTED:
                invite = polity.book.numbers[OperationId(body.invite)]
                standing.setdefault(invite, set()).add(given.member)
        for invite, members in standing.items():
            if len(members) <= polity.book.invites[invite].uses:
                continue
            for member in members:
                acts = polity.role_acts.acts.get(member, ())  # those of the view
                seen = (
                    polity.admitted_by(invite, polity.book.entries[act].past) for act, _ in acts
                )
                if not any(count >= len(members) for count in seen):
                    found.add(member)
        return found

    def standing_devices(self) -> dict[DeviceId, Grant]:
        """The devices that get epoch keys: their grants stand, and no act ended their chains."""
        devices = self.devices.items()
        return {device: grant for device, grant in devices if self.stands(device, grant)}

    def stands(self, device: DeviceId, grant: Grant) -> bool:
        """True for a device whose grant stands and whose chains no act ended; a fork is no act."""
        if self.polity is None or grant.verdict is not Verdict.ACCEPTED:
            return False
        identities = self.polity.strata.identities
        return not identities.rulings(self.bits[grant.id]) and not identities.closings(device)

    # --- the council -----------------------------------------------------------------------------

    @property
    def council(self) -> Council:
        """The council's state, and what is proposed at its base."""
        polity = self._known
        entries, ledger = polity.book.entries, polity.council
        base = polity.acts[-1]
        ballots = ledger.ballots(base)
        proposals = tuple(
            Proposal(
                entries[act].id,
                entries[act].body.act,  # type: ignore[union-attr]  # only council acts are listed
                {rank: who for (rank, of), who in ballots.items() if of == act},
            )
            for act in ledger.acts.get(base, ())
        )
        in_force = ledger.in_force(base)
        split = in_force if len(in_force) > 1 else []
        return Council(
            entries[base].id,
            polity.newest.seats,
            polity.newest.rules,
            proposals,
            frozenset(entries[act].id for act in split),
            ledger.forked_keys(base) if split else frozenset(),
            {member: entries[act].id for member, act in polity.newest.made},
            tuple(entries[act].id for act in polity.acts),
        )

    # --- identities and cuts ---------------------------------------------------------------------

    def identities_of(self, member: MemberId) -> tuple[IdentityOf, ...]:
        """The member's identities, one a root, in the order of learning."""
        polity = self._known
        book, entries = polity.book, polity.book.entries
        found = []
        for root in book.roots.get(member, ()):
            chain = polity.strata.identities.chain(root)
            now = chain.newest
            devices = {
                book.given[n].device: (entries[n].id, limit) for n, limit in now.devices.items()
            }
            found.append(
                IdentityOf(
                    entries[root].id,
                    entries[now.base].id,
                    devices,
                    tuple(MemberId(guardian) for guardian in now.guardians),
                    now.threshold,
                    now.recovery,
                    tuple(sorted(entries[n].id for n in chain.frozen)),
                )
            )
        return tuple(found)

    @property
    def identities(self) -> dict[MemberId, IdentityOf]:
        """The identity of every member: of the newest root that stands, else of the newest."""
        polity = self._known
        found = {}
        for member, roots in polity.book.roots.items():
            ranked = max(roots, key=lambda root: (polity.root_stands(root), root))
            found[member] = self.identities_of(member)[roots.index(ranked)]
        return found

    @property
    def cuts(self) -> tuple[StandingCut, ...]:
        """Every standing act that ends chains, in the order of learning."""
        polity = self._known
        found = []
        for cut in polity.strata.identities.cuts.all():
            entry = polity.book.entries[cut.act]
            kind, until = _word(entry.body, whole=cut.whole)
            found.append((cut.act, StandingCut(entry.id, cut.member, kind, until)))
        return tuple(cut for _, cut in sorted(found, key=lambda one: one[0]))


def _word(
    body: object, *, whole: bool
) -> tuple[Literal["removal", "suspension", "dismissal", "branch", "revocation", "recovery"], int]:
    match body:
        case Removal(until_ms=until):
            return ("suspension" if until else "removal"), until
        case Revocation():
            return "revocation", 0
        case Recover():
            return "recovery", 0
        case _:
            return ("dismissal" if whole else "branch"), 0


def _rank(grant: Grant) -> tuple[bool, bytes]:
    """Of several grants of one device the first of these names it: standing, then lowest id."""
    return grant.verdict is not Verdict.ACCEPTED, grant.id
