"""The strata: one set of log-0 operations, evaluated under one council chain.

(A) council · (B) identities · (C) coordinator acts · (B') identities again · (D) the rest. Each
uses only earlier ones and an operation's own past, so that no cycle exists. A ``Polity`` is the
answer for one set; it is total, and grows by operations that change nothing elsewhere (``extend``).

Source: AUTHORITY.md "Strata", docs/protocol/authority.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from commons_crdt.authority.book import NOWHERE, Book, Entry, View
from commons_crdt.authority.council import Council, State, dismissals_of
from commons_crdt.authority.council_facts import (
    Ballot,
    CouncilAct,
    Endorse,
    Lift,
    Promise,
    Seal,
)
from commons_crdt.authority.cuts import Cut, Cuts, Ground, Shown, by_device
from commons_crdt.authority.endings import Position
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
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.identity import Identities, Means, consents, named
from commons_crdt.authority.identity_facts import (
    AddDevice,
    Close,
    ForkProof,
    GuardianEndorsement,
    Own,
    Pick,
    Readmit,
    Recover,
    SetGuardians,
)
from commons_crdt.authority.proofs import shown
from commons_crdt.authority.roles import Demoting, RoleActs
from commons_crdt.authority.seals import (
    Layer,
    closure,
    highest_tips,
    lists_what_is_cut,
    seal_of,
    tips_of_log_1,
)
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.kinds import Kind
from commons_crdt.roles import Role
from commons_crdt.verdict import ACCEPTED, Judgement, Verdict, contested, rejected

KindOf = Callable[[int, str], Kind | None]
"""The kind of a name in a rules version that this software has."""


@dataclass(slots=True)
class Facts:
    """What is known of log 0 by bytes, shared by all sets that are evaluated."""

    book: Book
    council: Council
    kind_of: KindOf
    proofs: dict[int, tuple[Shown, ...]] = field(default_factory=dict)
    alone: dict[View, Polity] = field(default_factory=dict)
    """The polities of views that somebody had alone; forgotten at will."""
    layers: dict[int, Layer] = field(default_factory=dict)
    """What each seal settles; a fact of bytes."""
    own_past: dict[tuple[int, int], bool] = field(default_factory=dict)
    """By operation and the council's base in its view."""

    def shown(self, n: int) -> tuple[Shown, ...]:
        """What a fork proof shows."""
        if n not in self.proofs:
            self.proofs[n] = shown(self.book, self.book.entries[n])
        return self.proofs[n]

    def __post_init__(self) -> None:
        """Let the council ask about tips."""
        self.council.lists_what_is_cut = self._bad_tip

    def _bad_tip(self, entry: Entry, base: int, seal: Seal) -> bool:
        path = self.council.path(base)
        alone = Polity(self, entry.past, path or [0])
        return lists_what_is_cut(alone, seal)

    def layer(self, act: int) -> Layer:
        """What a seal settles. Ask in the order of the chain: it rests on earlier ones."""
        known = self.layers.get(act)
        seal = seal_of(self.book, act)
        if known is None and seal is not None:
            path = self.council.path(self.council.bases[act]) or [0]
            earlier = [self.layer(one) for one in path if seal_of(self.book, one) is not None]
            own = closure(self.book, seal)
            view = own | (earlier[-1].view if earlier else 0)
            polity = Polity(self, view, path, (seal,)).evaluate()
            known = self.layers[act] = Layer(act, view, own, tips_of_log_1(seal), polity)
        if known is None:
            raise LookupError("no seal")
        return known

    def certifies_itself(self, n: int) -> bool:
        """True if an operation counts by its bytes, whoever's chain carried it."""
        entry = self.book.entries[n]
        match entry.body:
            case CouncilAct() | Promise() | Ballot() | Endorse():
                return n in self.council.messages
            case Admit() | Readmit():
                return not self.book.genuine(n)
            case Genesis():
                return n == 0
            case ForkProof():
                return bool(self.shown(n))
            case Recover() | SetGuardians() | Pick():
                return not isinstance(entry.body.warrant, Own)
            case GuardianEndorsement():
                return True
            case _:
                return False


class Polity:
    """See the module."""

    def __init__(
        self, facts: Facts, view: View, acts: Sequence[int], own: Sequence[Seal] = ()
    ) -> None:
        """``acts`` is the council chain from the genesis; ``view`` the set to evaluate.

        ``own``: the seal that this set is the closure of; its tips are listed already.
        """
        self.facts, self.book, self.council = facts, facts.book, facts.council
        self.view = view
        self.acts = list(acts)
        self.states = [self.council.states[act] for act in self.acts]
        self.newest = self.states[-1]
        self._prefixes: dict[View, int] = {}
        self._council_acts = frozenset(self.acts)
        self._verdicts: dict[int, Judgement] = {}
        self._of_c: dict[int, Judgement] = {}
        self._admissions: dict[int, str] = {}
        self.role_acts = RoleActs(self.book)
        self.demotions: defaultdict[MemberId, list[Demoting]] = defaultdict(list)
        self._roles: dict[tuple[MemberId, View], Role | None] = {}
        seals = [act for act in self.acts if seal_of(self.book, act) is not None]
        self.layers = [facts.layer(act) for act in seals]
        listed = [seal for act in seals if (seal := seal_of(self.book, act)) is not None]
        self.ground = self._grounds([*listed, *own])
        self.lifted = self._lifts()
        self._council_cuts = Cuts(self.book)
        self._stratum_a()
        self.b = Identities(self._means(lambda _n: False), self._council_cuts.copy())
        self._strata: Strata | None = None

    # --- (A) -------------------------------------------------------------------------------------

    def _grounds(self, seals: list[Seal]) -> Ground:
        proofs: defaultdict[DeviceId, list[Shown]] = defaultdict(list)
        for n in self.book.among(self.book.proofs, self.view):
            for one in self.facts.shown(n):
                if one.log == 0:
                    proofs[one.device].append(one)
        return Ground(self.book, self.view, proofs, highest_tips(self.book, seals, self.view))

    def sealed(self, n: int) -> Judgement | None:
        """The verdict that a seal settled, None if none did."""
        for layer in self.layers:
            if layer.view >> n & 1:
                return layer.polity.verdict(n)
        return None

    def _lifts(self) -> frozenset[int]:
        found = set()
        for act in self.acts[1:]:
            body = self.book.entries[act].body
            if isinstance(body, CouncilAct) and isinstance(body.act, Lift):
                found.add(self.book.number(body.act.cut, self.book.entries[act].past))
        return frozenset(found)

    def _stratum_a(self) -> None:
        for before, act in zip(self.states, self.acts[1:], strict=False):
            body = self.book.entries[act].body
            if act in self.lifted or not isinstance(body, CouncilAct):
                continue
            for one in dismissals_of(before, body.act):
                member, endings = MemberId(one.member), by_device(one.endings)
                if one.role == 0:
                    self._council_cuts.add(Cut(act, endings, True, member, whole=True))
                elif one.role == Role.COORDINATOR:
                    self._council_cuts.add(Cut(act, endings, True, member))
                else:
                    self._demote(Demoting(act, member, Role(one.role), endings))

    def _demote(self, demoting: Demoting) -> None:
        self.demotions[demoting.member].append(demoting)
        self.role_acts.acts[demoting.member].append((demoting.act, demoting.role))

    def state_in(self, view: View) -> State:
        """The council's state in a view: the longest prefix of the chain in force there."""
        seen = view & self.council.mask
        known = self._prefixes.get(seen)
        if known is None:
            known = 0
            while known + 1 < len(self.acts):
                following = self.acts[known + 1]
                if not seen >> following & 1 or following not in self.council.in_force(
                    self.acts[known], seen
                ):
                    break
                known += 1
            self._prefixes[seen] = known
        return self.states[known]

    # --- (B) -------------------------------------------------------------------------------------

    def _means(self, picks: Callable[[int], bool]) -> Means:
        return Means(self.book, self.ground, self.lifted, self.own_past, picks, self._settled)

    def _settled(self, n: int) -> bool | None:
        """Whether an operation stands, if a seal settles that."""
        found = self.sealed(n)
        return None if found is None else found is ACCEPTED

    def own_past(self, n: int) -> bool:
        """True if the device was its member's by the operation's own past, and unlimited."""
        entry = self.book.entries[n]
        given = self.book.given[entry.grant]
        if given.root == NOWHERE or given.limit is not None or given.unattended:
            return False
        past = entry.past & self.view
        if not any(self.book.among(self.book.identity_acts.get(given.root, ()), past)):
            return entry.grant == given.root
        base = self.states.index(self.state_in(past))
        key = (n, self.acts[base])
        known = self.facts.own_past.get(key)
        if known is None:
            known = self.facts.own_past[key] = self._own_past(entry, given.root, past, base)
        return known

    def _own_past(self, entry: Entry, root: int, past: View, base: int) -> bool:
        there = self.facts.alone.get(past)
        if there is None or there.acts != self.acts[: base + 1]:
            if len(self.facts.alone) > _ALONE:
                self.facts.alone.clear()
            there = self.facts.alone[past] = Polity(self.facts, past, self.acts[: base + 1])
        return entry.grant in there.b.chain(root).newest.devices

    # --- (C) -------------------------------------------------------------------------------------

    def is_of_c(self, n: int) -> bool:
        """True for the kinds of (C), by a device that a person holds."""
        entry = self.book.entries[n]
        body = entry.body
        of_kind = isinstance(body, RoleAct | Demotion | Removal | Revocation | Branch) or (
            isinstance(body, Pick) and isinstance(body.warrant, Own)
        )
        given = self.book.given.get(entry.grant)
        return of_kind and given is not None and not given.unattended

    def verdict_in_c(self, n: int) -> Judgement:
        """The whole verdict of a coordinator's act, or of a member's own revocation."""
        known = self._of_c.get(n)
        if known is None:
            known = self._of_c[n] = self.sealed(n) or self._judge_c(n)
        return known

    def _judge_c(self, n: int) -> Judgement:
        entry = self.book.entries[n]
        place = self.b.place(n)
        if place:
            return contested(place) if place == "fork" else rejected(place)
        grant = self._granted_in_b(entry)
        if grant is not None:
            return grant
        if self.book.given[entry.grant].limit is not None:
            return rejected("limit")
        reason = self._rule_in_c(entry)
        return rejected(reason) if reason else ACCEPTED

    def _granted_in_b(self, entry: Entry) -> Judgement | None:
        given = self.book.given[entry.grant]
        if given.root == NOWHERE:
            return rejected("grant")
        chain = self.b.chain(given.root)
        if entry.grant in chain.bases:
            return None
        unsure = entry.grant in chain.frozen or self.b.place(entry.grant) == "fork"
        return contested("grant") if unsure else rejected("grant")

    def _rule_in_c(self, entry: Entry) -> str:
        body, author = entry.body, entry.member
        state = self.state_in(entry.past)
        own = False
        subject: MemberId | None = None
        if isinstance(body, Revocation):
            target = self.book.number(body.target, entry.past)
            named_ = self.book.entries[target] if target != NOWHERE else None
            if named_ is not None and isinstance(named_.body, NodeGrant | Invite):
                subject = named_.member
            own = subject is not None and subject == author
        elif isinstance(body, RoleAct | Demotion | Removal | Branch | Pick):
            subject = MemberId(body.member)
        if not own:
            if author not in state.members or self._lowered_by_council(entry):
                return "role"
            if subject is None:
                return "target"
            if not self.book.is_member(subject, entry.past) or subject in state.members:
                return "subject"
            made = self.newest.made_by(subject)
            if made != NOWHERE and not self.book.entries[made].past >> entry.n & 1:
                return "subject"
        return named(entry, subject)

    def _lowered_by_council(self, entry: Entry) -> bool:
        """Called while only the council's demotions are known."""
        if entry.member is None:
            return False
        return any(
            demoting.act in self._council_acts
            and self.beyond_in_log_0(entry, demoting)
            and not self._seated_since(demoting, entry.past)
            for demoting in self.demotions.get(entry.member, ())
        )

    def _seatings(self, member: MemberId) -> list[int]:
        """The acts of the chain that made somebody a coordinator."""
        return [
            act
            for act, state in zip(self.acts[1:], self.states[1:], strict=True)
            if state.made_by(member) == act
        ]

    def _seated_since(self, demoting: Demoting, view: View) -> bool:
        return any(
            view >> act & 1 and self.book.entries[act].past >> demoting.act & 1
            for act in self._seatings(demoting.member)
        )

    def beyond_in_log_0(self, entry: Entry, demoting: Demoting) -> bool:
        """True if an operation of log 0 lies beyond the endings of a demotion."""
        ending = demoting.endings.get(entry.device)
        if ending is None:
            return True
        position = ending.authority
        past = self.book.entries[demoting.act].past
        last = self.book.at(entry.device, position.seq, position.id, past)
        return last == NOWHERE or not self.book.leads(entry.n, last)

    # --- B' and (D) ------------------------------------------------------------------------------

    @property
    def strata(self) -> Strata:
        """The cuts, demotions and identities after (C)."""
        if self._strata is None:
            self._strata = self._after_c()
        return self._strata

    def _after_c(self) -> Strata:
        cuts = self._council_cuts.copy()
        revoked: defaultdict[int, list[int]] = defaultdict(list)
        standing: set[int] = set()
        demoted: list[Demoting] = []
        given_roles: list[tuple[MemberId, int, Role]] = []
        for n in self.book.among(self.book.coordinator_acts, self.view):
            if not self.is_of_c(n) or self.verdict_in_c(n) is not ACCEPTED:
                continue
            standing.add(n)
            if n in self.lifted:
                continue
            entry = self.book.entries[n]
            match entry.body:
                case Removal(member=member, endings=endings):
                    cuts.add(Cut(n, by_device(endings), True, MemberId(member), whole=True))
                case Branch(member=member, ending=ending):
                    cuts.add(Cut(n, by_device((ending,)), True, MemberId(member)))
                case Revocation():
                    self._revoke(entry, entry.body, cuts, revoked)
                case Demotion(member=member, role=role, endings=endings):
                    demoted.append(Demoting(n, MemberId(member), Role(role), by_device(endings)))
                case RoleAct(member=member, role=role):
                    given_roles.append((MemberId(member), n, Role(role)))
                case _:
                    pass
        for demoting in demoted:
            self._demote(demoting)
        for member, n, role in given_roles:
            self.role_acts.acts[MemberId(member)].append((n, role))
        picks = frozenset(n for n in standing if n not in self.lifted)
        again = Identities(self._means(picks.__contains__), cuts)
        return Strata(again, cuts, revoked)

    def _revoke(
        self,
        entry: Entry,
        body: Revocation,
        cuts: Cuts,
        revoked: defaultdict[int, list[int]],
    ) -> None:
        target = self.book.number(body.target, entry.past)
        named_ = self.book.entries[target]
        if isinstance(named_.body, Invite):
            revoked[target].append(entry.n)
        elif named_.member is not None:
            endings = by_device(body.endings)
            names = entry.member != named_.member
            cuts.add(Cut(entry.n, endings, names, named_.member, target=target))

    def evaluate(self) -> Polity:
        """Judge everything, in the order of learning; returns itself.

        Guardians' endorsements first: one may rest on another, thousands deep.
        """
        for n in self.book.among(self.book.endorsements, self.view):
            self.own_past(n)
        for n in range(len(self.book)):
            if self.view >> n & 1:
                self.verdict(n)
        return self

    # --- growing ---------------------------------------------------------------------------------

    def extend(self, entry: Entry) -> bool:
        """Add the newest operation; True if no other verdict changes by it.

        If not, a new polity must be evaluated. The caller looks at the council's chain first.
        """
        fork = self.ground.fork(entry.device)
        doubled = len(self.book.places[entry.device, entry.seq]) > 1
        if doubled and (fork is None or entry.seq < fork):
            return False
        body = entry.body
        match body:
            case RoleAct() if self.is_of_c(entry.n):
                if self.verdict_in_c(entry.n) is ACCEPTED:
                    member = MemberId(body.member)
                    self.role_acts.acts[member].append((entry.n, Role(body.role)))
            case Pick() if isinstance(body.warrant, Own):
                if self.is_of_c(entry.n) and self.verdict_in_c(entry.n) is ACCEPTED:
                    return False
            case Demotion() | Removal() | Revocation() | Branch() if self.is_of_c(entry.n):
                if self.verdict_in_c(entry.n) is ACCEPTED:
                    return False
            case AddDevice() | Recover() | SetGuardians() | Pick():
                if not self._extend_identity(entry, body):
                    return False
            case Close():
                if not self.strata.identities.place(entry.n) or not self.b.place(entry.n):
                    return False
            case ForkProof():
                if any(one.log == 0 for one in self.facts.shown(entry.n)):
                    return False
            case GuardianEndorsement():
                self.own_past(entry.n)
            case _:
                pass
        self.view |= entry.bit
        self.ground.view = self.view
        self.verdict(entry.n)
        return True

    def _extend_identity(
        self, entry: Entry, body: AddDevice | Recover | SetGuardians | Pick
    ) -> bool:
        """True if the act changes nothing, or adds a device at the end of its chain."""
        base = self.book.number(body.base, entry.past)
        root = self.book.root_of(base) if base != NOWHERE else NOWHERE
        if root == NOWHERE or self.b.shape(entry.n):
            return True
        stages = (self.b, self.strata.identities)
        rivals = not isinstance(body, Pick) and len(self.book.identity_acts[base]) > 1
        if rivals:  # whether it stood is asked at its base: not by what the chain cut since then
            return False
        if not any(stage.may(entry.n, root, base) for stage in stages):
            return True
        if not isinstance(body, AddDevice):
            return False
        return all(stage.may(entry.n, root, base) for stage in stages) and all(
            stage.grow(entry.n, root, base) for stage in stages
        )

    def verdict(self, n: int) -> Judgement:
        """The verdict of one log-0 operation of the set."""
        known = self._verdicts.get(n)
        if known is None:
            known = self._verdicts[n] = self._judge(n)
            if known is ACCEPTED and isinstance(self.book.entries[n].body, Admit | Readmit):
                member = self.book.given[n].member
                if member is not None:
                    self.role_acts.roots[member] |= 1 << n
        return known

    def _judge(self, n: int) -> Judgement:
        entry = self.book.entries[n]
        body = entry.body
        strata = self.strata
        sealed = self.sealed(n)
        if sealed is not None:
            return sealed
        if isinstance(body, Genesis) and n == 0:
            return ACCEPTED
        match body:
            case CouncilAct() | Promise() | Ballot() | Endorse():
                return self._judge_message(entry)
            case Admit() | Readmit():
                return _because(self.admission(n))
            case GuardianEndorsement():
                return _because(named(entry, body.member))
            case ForkProof():
                return _because("" if self.facts.shown(n) else "proof")
            case Recover() | SetGuardians() | Pick() if not isinstance(body.warrant, Own):
                reason, unsure = strata.identities.reason(n)
                return contested(reason) if unsure else _because(reason)
            case _:
                pass
        if self.is_of_c(n):
            return self._judge_pick(n) if isinstance(body, Pick) else self.verdict_in_c(n)
        place = strata.identities.place(n)
        if place:
            return contested(place) if place == "fork" else rejected(place)
        return self.granted(entry.grant) or self._permitted(entry)

    def _judge_message(self, entry: Entry) -> Judgement:
        message = self.council.messages.get(entry.n)
        if entry.n in self.council.bad_tips:
            return rejected("tip")
        if message is None or message.base not in self._council_acts:
            return rejected("council")
        return ACCEPTED if message.counts else rejected("ballot")

    def _judge_pick(self, n: int) -> Judgement:
        """A coordinator's pick: by (C), then it must name one of the first acts."""
        stands = self.verdict_in_c(n)
        if stands is not ACCEPTED:
            return stands
        return _because(self.strata.identities.reason(n)[0])

    def granted(self, grant: int) -> Judgement | None:
        """What is wrong with a device's grant and what it rests on; None if nothing."""
        given = self.book.given.get(grant)
        if given is None or given.root == NOWHERE:
            return rejected("grant")
        if grant != given.root:
            own = self.verdict(grant)
            if own.verdict is Verdict.CONTESTED:
                return contested("grant")
            if own is not ACCEPTED:
                return rejected("grant")
        return None if self.root_stands(given.root) else rejected("grant")

    def root_stands(self, root: int) -> bool:
        """True if the admission stands, or an act of the chain that knew it seats the member."""
        if self.verdict(root) is ACCEPTED:
            return True
        member = self.book.given[root].member
        return any(
            member in state.members and self.book.entries[act].past >> root & 1
            for act, state in zip(self.acts, self.states, strict=True)
        )

    def _permitted(self, entry: Entry) -> Judgement:
        kind = self.facts.kind_of(self.state_in(entry.past).rules, entry.kind)
        if kind is None or kind.log != 0:
            return rejected("kind" if kind is None else "log")
        given = self.book.given[entry.grant]
        if given.limit is not None and not isinstance(entry.body, Close):
            return rejected("limit")
        role = self.role_of(entry)
        unfit = kind.unattended is not None and kind.unattended != given.unattended
        if unfit or role is None or role < kind.role:
            return rejected("role")
        if entry.fault:
            return rejected(entry.fault)
        return self._own_rule(entry)

    def _own_rule(self, entry: Entry) -> Judgement:
        match entry.body:
            case NodeGrant(device=keys, consent=consent):
                fault = consents(self.book, entry.member, keys, consent)
                return _because(fault or named(entry, entry.member))
            case AddDevice() | Recover() | SetGuardians():
                reason, unsure = self.strata.identities.reason(entry.n)
                return contested(reason) if unsure else _because(reason)
            case Close():
                return _because(named(entry, entry.member))
            case Genesis():
                return rejected("document")
            case _:
                return ACCEPTED

    # --- admissions ------------------------------------------------------------------------------

    def admission(self, n: int) -> str:
        """Why an admission or readmission does not stand; "" if it does."""
        known = self._admissions.get(n)
        if known is None:
            entry = self.book.entries[n]
            body = entry.body
            sealed = self.sealed(n)
            if sealed is not None:
                known = sealed.reason
            elif isinstance(body, Admit):
                known = self._admitted(entry, body)
            else:
                known = self._readmitted(entry, body) if isinstance(body, Readmit) else entry.fault
            self._admissions[n] = known
        return known

    def _admitted(self, entry: Entry, body: Admit) -> str:
        n = self.book.number(body.invite, entry.past)
        terms = self.book.invites.get(n)
        if terms is None or not self._invited(n):
            return "invite"
        if entry.time_ms > terms.expires_ms:
            return "expired"
        fault = self.book.genuine(entry.n)
        if fault:
            return fault
        if not body.identity.device.usable:
            return "keys"
        if self.admitted_by(n, entry.past) >= terms.uses:
            return "spent"
        fault = named(entry, body.identity.member)
        if fault:
            return fault
        invite = self.book.entries[n]
        cuts = [cut.act for cut in self.strata.cuts.covering(invite.root)]
        ends = (*cuts, *self.strata.revoked.get(n, ()))
        seen = (self.book.entries[act].past >> entry.n & 1 for act in ends)
        return "" if all(seen) else "revoked"

    def _invited(self, invite: int) -> bool:
        """True if an invite is one by its own view: its author's device and role there."""
        entry = self.book.entries[invite]
        if entry.member is None or not self.own_past(invite):
            return False
        role = self.base_role(entry.member, entry.past)
        return role is not None and role >= Role.MEMBER

    def admitted_by(self, invite: int, view: View) -> int:
        """How many members a view sees admitted by an invite, counted by the acts' bytes."""
        acts = self.book.admissions.get(invite, ())
        return len({self.book.given[n].member for n in self.book.among(acts, view)})

    def _readmitted(self, entry: Entry, body: Readmit) -> str:
        fault = self.book.genuine(entry.n)
        if fault:
            return fault
        if not body.device.usable:
            return "keys"
        entries = self.book.entries
        cuts = self.strata.cuts.on_member(MemberId(body.member))
        for cut in cuts:
            if not entry.past >> cut.act & 1:
                continue
            act = entries[cut.act].body
            until = act.until_ms if isinstance(act, Removal) else 0
            if not until or until >= entry.time_ms:
                return "removed"
        fault = named(entry, body.member)
        if fault:
            return fault
        for cut in cuts:
            if not entry.past >> cut.act & 1 and not entries[cut.act].past >> entry.n & 1:
                return "revoked"
        return ""

    # --- roles -----------------------------------------------------------------------------------

    def base_role(self, member: MemberId, view: View) -> Role | None:
        """The member's role as the standing acts in a view give it; None for no member."""
        self.strata  # noqa: B018 - the acts of (C) are known from here on
        key = (member, view)
        if key not in self._roles:
            if len(self._roles) > _ROLES:
                self._roles.clear()
            self._roles[key] = self._find_role(member, view)
        return self._roles[key]

    def _find_role(self, member: MemberId, view: View) -> Role | None:
        state = self.state_in(view)
        if member in state.members:
            return Role.COORDINATOR
        role = self.role_acts.newest(member, view)
        if role is None:
            seated = self.states[: self.states.index(state)]
            return Role.NEWCOMER if any(member in one.members for one in seated) else None
        return role

    def role_of(self, entry: Entry) -> Role | None:
        """The role of an author for one operation of log 0, demotions considered."""
        if entry.member is None:
            return None
        role = self.base_role(entry.member, entry.past)
        return self.lowered(
            role, entry.member, entry.past, lambda one: self.beyond_in_log_0(entry, one)
        )

    def lowered(
        self,
        role: Role | None,
        member: MemberId,
        view: View,
        beyond: Callable[[Demoting], bool],
    ) -> Role | None:
        """A role, lowered by every standing demotion that the operation lies beyond."""
        demotions = self.demotions.get(member)
        if role is None or not demotions:
            return role
        made = self._seatings(member)
        for demoting in demotions:
            if demoting.role >= role or self.role_acts.later(member, demoting.act, view, made):
                continue
            if beyond(demoting):
                role = demoting.role
        return role

    # --- log 1 -----------------------------------------------------------------------------------

    def record_closings(self, device: DeviceId) -> tuple[Position, ...]:
        """Where the standing closings of a device leave its log 1."""
        closings = self.strata.identities.closings(device)
        return tuple(self.ground.closed_record(n) for n in closings)

    def bearing(self, grant: int) -> tuple[object, ...]:
        """All that bears on the log-1 operations of a device, to see whether it changed."""
        given = self.book.given[grant]
        identities = self.strata.identities
        member = given.member
        roles: tuple[object, ...] = ()
        if member is not None:
            roles = (
                tuple(sorted(self.role_acts.acts.get(member, ()))),
                self.role_acts.roots.get(member, 0),
                tuple(one.act for one in self.demotions.get(member, ())),
                tuple(self._seatings(member)),
            )
        rulings = tuple((r.act, r.record, r.names) for r in identities.rulings(grant))
        return (
            self.granted(grant), rulings, self.record_closings(given.device), given.limit, roles
        )  # fmt: skip

    def anchors(self) -> set[Anchor]:
        """Every position of log 1 that something standing names."""
        found = set()
        endings = [cut.endings for cut in self.strata.identities.cuts.all()]
        endings += [one.endings for ones in self.demotions.values() for one in ones]
        for table in endings:
            for device, ending in table.items():
                found.add((device, ending.record))
        for device in self.book.closings:
            found |= {(device, record) for record in self.record_closings(device)}
        return {
            Anchor(device, record.seq, OperationId(record.id))
            for device, record in found
            if record.seq
        }

    # --- explaining ------------------------------------------------------------------------------

    def causes(self, n: int) -> tuple[int, ...]:
        """What a verdict rests on besides the operation itself, by numbers."""
        entry, judged = self.book.entries[n], self.verdict(n)
        stage = self.b if self.is_of_c(n) else self.strata.identities
        match judged.reason:
            case "fork":
                siblings = self.siblings(entry.device)
                return (*siblings, *(r.act for r in stage.rulings(entry.grant) if r.names))
            case "cut":
                return tuple(sorted({r.act for r in stage.rulings(entry.grant)}))
            case "closed":
                return stage.closings(entry.device)
            case "grant":
                return (entry.grant,)
            case "identity" | "base":
                return tuple(one for one in self.rivals(entry) if one != n)
            case _:
                return ()

    def siblings(self, device: DeviceId) -> tuple[int, ...]:
        """The operations of log 0 at the lowest doubled place of a device, and its proofs."""
        fork = self.ground.fork(device)
        if fork is None:
            return ()
        proofs = (
            n
            for n in self.book.proofs
            if any((one.device, one.seq) == (device, fork) for one in self.facts.shown(n))
        )
        return (*self.book.places.get((device, fork), ()), *proofs)

    def rivals(self, entry: Entry) -> tuple[int, ...]:
        """The acts at the base of an identity act."""
        body = entry.body
        if not isinstance(body, AddDevice | Recover | SetGuardians | Pick):
            return ()
        base = self.book.number(body.base, entry.past)
        return tuple(self.book.identity_acts.get(base, ()))


@dataclass(slots=True)
class Strata:
    """What (C) made: identities as of B', all cuts but those of recoveries, revoked invites."""

    identities: Identities
    cuts: Cuts
    revoked: Mapping[int, Sequence[int]]


_ALONE = 256
_ROLES = 100_000


def _because(reason: str) -> Judgement:
    return rejected(reason) if reason else ACCEPTED
