"""(A) The council's stratum: which of its acts are in force, and what they cut and demote.

Source: docs/protocol/authority.md "(A) The council", "Cuts and ends".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from commons_crdt.authority.book import NOWHERE, Entry, View
from commons_crdt.authority.council import State, dismissals_of
from commons_crdt.authority.council_facts import CouncilAct, Lift
from commons_crdt.authority.cuts import Cut, Cuts, Ground, Shown, by_device
from commons_crdt.authority.identity import Identities, Means
from commons_crdt.authority.ledger import Ledger
from commons_crdt.authority.roles import Demoting, RoleActs
from commons_crdt.authority.seals import highest_tips, seal_of
from commons_crdt.ids import DeviceId, MemberId
from commons_crdt.roles import Role
from commons_crdt.verdict import ACCEPTED, Judgement

_ALONE = 256


class CouncilStratum:
    """One set of log 0 under one council chain, as far as the council alone decides."""

    def __init__(
        self, ledger: Ledger, view: View, acts: Sequence[int], own: Sequence[int] = ()
    ) -> None:
        """``acts`` is the council chain from the genesis; ``view`` the set to evaluate.

        ``own``: the seal that this set is the closure of; its tips are listed already.
        """
        self.ledger, self.book, self.council = ledger, ledger.book, ledger.council
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
        self.layers = [ledger.layer(act) for act in seals]
        self.ground = self._grounds([*seals, *own])
        self.lifted = self._lifts()
        self._council_cuts = Cuts(self.book)
        self._stratum_a()
        self.b = Identities(self._means(lambda _n: False), self._council_cuts.copy())

    # --- (A) -------------------------------------------------------------------------------------

    def _grounds(self, seals: Sequence[int]) -> Ground:
        proofs: defaultdict[DeviceId, list[Shown]] = defaultdict(list)
        for n in self.book.among(self.book.proofs, self.view):
            for one in self.ledger.shown(n):
                if one.log == 0:
                    proofs[one.device].append(one)
        return Ground(self.book, self.view, proofs, highest_tips(self.book, seals, self.view))

    def sealed(self, n: int) -> Judgement | None:
        """The verdict that a seal settled, None if none did."""
        for layer in self.layers:
            if layer.view >> n & 1:
                return layer.polity.verdict(n)
        return None

    @property
    def settled_view(self) -> View:
        """The operations of log 0 that a seal settles."""
        return self.layers[-1].view if self.layers else 0

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
        known = self.ledger.own_past.get(key)
        if known is None:
            known = self.ledger.own_past[key] = self._own_past(entry, given.root, past, base)
        return known

    def _own_past(self, entry: Entry, root: int, past: View, base: int) -> bool:
        there = self.ledger.alone.get(past)
        if there is None or there.acts != self.acts[: base + 1]:
            if len(self.ledger.alone) > _ALONE:
                self.ledger.alone.clear()
            there = self.ledger.alone[past] = self.ledger.polity(
                self.ledger, past, self.acts[: base + 1], ()
            )
        return entry.grant in there.b.chain(root).newest.devices

    def seatings(self, member: MemberId) -> list[int]:
        """The acts of the chain that made somebody a coordinator."""
        return [
            act
            for act, state in zip(self.acts[1:], self.states[1:], strict=True)
            if state.made_by(member) == act
        ]

    def seated_since(self, demoting: Demoting, view: View) -> bool:
        return any(
            view >> act & 1 and self.book.entries[act].past >> demoting.act & 1
            for act in self.seatings(demoting.member)
        )

    def verdict(self, n: int) -> Judgement:
        """The verdict of one log-0 operation of the set."""
        raise NotImplementedError
