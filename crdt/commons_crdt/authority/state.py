"""What log 0 amounts to: grants, roles, invites, admissions, epochs, as seen from any view.

A view is a set of log-0 operations, kept as an integer whose bit n stands for the n-th log-0
operation that this replica learned. The numbers are local and stand in no hash; the answers do
not depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from commons_crdt.authority.facts import Admit, Epoch, Genesis, Invite, NodeGrant, RoleAct
from commons_crdt.authority.settings import Constitution
from commons_crdt.budget import Rate
from commons_crdt.device import DeviceKeys, verify_claim
from commons_crdt.ids import DeviceId, MemberId, OperationId, RealmId
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict

View = int


@dataclass(frozen=True, slots=True)
class Grant:
    """A device as granted by one log-0 operation; ``unattended`` is a node's own device."""

    id: OperationId
    keys: DeviceKeys
    member: MemberId
    unattended: bool
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Act:
    """One standing role act (or the genesis), with the view that its author had."""

    bit: View
    past: View
    role: Role


@dataclass(slots=True)
class Authority:
    """The log-0 state of one realm; grows by ``adopt``, in any causal order."""

    realm: RealmId
    constitution: Constitution = field(default_factory=lambda: Constitution.of(()))
    founder: MemberId | None = None
    bits: dict[OperationId, int] = field(default_factory=dict)
    grants: dict[OperationId, Grant] = field(default_factory=dict)
    devices: dict[DeviceId, Grant] = field(default_factory=dict)
    invites: dict[OperationId, tuple[Invite, bool]] = field(default_factory=dict)
    epochs: dict[OperationId, Epoch] = field(default_factory=dict)
    heads: dict[OperationId, View] = field(default_factory=dict)
    _acts: dict[MemberId, list[_Act]] = field(default_factory=dict)
    _entries: dict[MemberId, View] = field(default_factory=dict)
    _admissions: dict[OperationId, list[tuple[View, MemberId]]] = field(default_factory=dict)
    _standing: dict[OperationId, set[MemberId]] = field(default_factory=dict)
    _roles: dict[tuple[MemberId, View], Role | None] = field(default_factory=dict)

    def bit(self, operation: OperationId) -> View:
        """The view that holds this log-0 operation alone."""
        return 1 << self.bits[operation]

    def adopt(
        self,
        operation: OperationId,
        grant: OperationId,
        body: msgspec.Struct | None,
        past: View,
        verdict: Verdict,
    ) -> View:
        """Learn a judged log-0 operation; returns the view of whoever has it in the past.

        ``grant`` is what its chain starts from (a genesis: itself). Also those that do not
        stand are learned: their chain goes on, and admissions are counted by their bytes.
        """
        self.bits[operation] = len(self.bits)
        own = self.bit(operation)
        stands = verdict is Verdict.ACCEPTED
        self.heads = {i: bit for i, bit in self.heads.items() if not bit & past} | {operation: own}
        match body:
            case Genesis():
                self._adopt_genesis(operation, body, own)
            case Admit():
                self._adopt_admit(operation, body, past, own, verdict)
            case NodeGrant():
                member = self.grants[grant].member
                self._grant(Grant(operation, body.device, member, unattended=True, verdict=verdict))
            case Invite():
                self.invites[operation] = (body, stands)
            case RoleAct() if stands:
                self._act(MemberId(body.member), _Act(own, past, Role(body.role)))
            case Epoch() if stands:
                self.epochs[operation] = body
            case _:
                pass
        return past | own

    def _adopt_genesis(self, operation: OperationId, body: Genesis, own: View) -> None:
        self.constitution = Constitution.of(body.constitution)
        self.founder = body.identity.member
        self._grant(Grant(operation, body.identity.device, self.founder, False, Verdict.ACCEPTED))
        self._act(self.founder, _Act(own, 0, Role.COORDINATOR))

    def _adopt_admit(
        self, operation: OperationId, body: Admit, past: View, own: View, verdict: Verdict
    ) -> None:
        member = body.identity.member
        invite = OperationId(body.invite)
        self._grant(Grant(operation, body.identity.device, member, False, verdict))
        if invite in self.invites and self.bit(invite) & past and self.genuine(body):
            self._admissions.setdefault(invite, []).append((own, member))
        if verdict is Verdict.ACCEPTED:
            self._standing.setdefault(invite, set()).add(member)
            self._entries[member] = self._entries.get(member, 0) | own
            self._roles.clear()

    def _grant(self, grant: Grant) -> None:
        self.grants[grant.id] = grant
        known = self.devices.get(grant.keys.id)
        if known is None or _rank(grant) < _rank(known):
            self.devices[grant.keys.id] = grant

    def _act(self, member: MemberId, act: _Act) -> None:
        self._acts.setdefault(member, []).append(act)
        self._roles.clear()

    def genuine(self, admit: Admit) -> bool:
        """True if both signatures of an admission hold: a fact about its bytes."""
        found = self.invites.get(OperationId(admit.invite))
        if found is None:
            return False
        claim = (self.realm, admit.invite, admit.identity.member)
        return verify_claim("possess", found[0].key, admit.possession, *claim) and verify_claim(
            "consent", admit.identity.device.signing, admit.consent, *claim
        )

    def role(self, member: MemberId, view: View) -> Role | None:
        """The member's role as folded from the standing acts in ``view``; None for no member.

        Acts in another act's past are replaced by it; of concurrent ones the lowest counts. An
        admission makes a newcomer and is no role act: a second one takes nothing away.
        """
        key = (member, view)
        if key not in self._roles:
            acts = [act for act in self._acts.get(member, ()) if act.bit & view]
            newest = [act for act in acts if not any(act.bit & later.past for later in acts)]
            entered = Role.NEWCOMER if self._entries.get(member, 0) & view else None
            self._roles[key] = min((act.role for act in newest), default=entered)
        return self._roles[key]

    def rate(self, grant: Grant, view: View) -> Rate:
        """The budget of a device's chains, by its member's role in ``view``."""
        if grant.unattended:
            return self.constitution.node_rate
        return self.constitution.rates[self.role(grant.member, view) or Role.NEWCOMER]

    def admissions(self, invite: OperationId, view: View) -> int:
        """How many members ``view`` sees admitted by this invite, counted by the acts' bytes.

        Members, not acts: somebody who copies an admission into a chain of theirs spends nothing.
        """
        return len({member for bit, member in self._admissions.get(invite, ()) if bit & view})

    def news(self, view: View) -> tuple[OperationId, ...]:
        """The log-0 heads outside ``view``: what an author's next operation cites, at most 16.

        The heads left out are cited by the operation after it.
        """
        return tuple(sorted(i for i, bit in self.heads.items() if not bit & view)[:16])

    @property
    def whole(self) -> View:
        """The view of somebody who knows every log-0 operation that is here."""
        return (1 << len(self.bits)) - 1

    def members(self) -> dict[MemberId, Role]:
        """Every standing member with the role that the whole set gives."""
        roles = {m: self.role(m, self.whole) for m in (*self._entries, *self._acts)}
        return {member: role for member, role in roles.items() if role is not None}

    def flagged(self) -> set[MemberId]:
        """Members admitted beyond an invite's uses, found when islands met.

        They stay flagged until somebody who sees all of these admissions gives them a role.
        """
        return {
            member
            for invite, members in self._standing.items()
            if len(members) > self.invites[invite][0].uses
            for member in members
            if not any(
                self.admissions(invite, act.past) >= len(members)
                for act in self._acts.get(member, ())
            )
        }


def _rank(grant: Grant) -> tuple[bool, bytes]:
    """Of several grants of one device the first of these names it: standing, then lowest id."""
    return grant.verdict is not Verdict.ACCEPTED, grant.id
