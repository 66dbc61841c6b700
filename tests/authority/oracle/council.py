"""(A) The council: ballots, what is in force, and the state that a view shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from tests.authority.oracle.archive import COUNCIL, Archive, Id, remembered

from commons_crdt.authority.council_facts import (
    Ballot,
    Coordinators,
    CouncilAct,
    Endorse,
    Lift,
    Members,
    Promise,
    RulesVersion,
    Seal,
    Settings,
)
from commons_crdt.authority.facts import Genesis
from commons_crdt.ids import MemberId

BallotNumber = tuple[int, int]


@dataclass(frozen=True)
class State:
    """The state at a base: seats in order, who made whom a coordinator, settings, rules."""

    chain: tuple[Id, ...]
    seats: tuple[tuple[MemberId, bytes], ...]
    made: tuple[tuple[MemberId, Id], ...]
    settings: tuple[tuple[str, int | str], ...]
    rules: int

    @property
    def base(self) -> Id:
        return self.chain[-1]

    @property
    def members(self) -> frozenset[MemberId]:
        return frozenset(member for member, _ in self.seats)

    @property
    def majority(self) -> int:
        return len(self.seats) // 2 + 1

    def made_by(self, member: MemberId) -> Id | None:
        return dict(self.made).get(member)

    def index(self, device: bytes) -> int | None:
        devices = [d for _, d in self.seats]
        return devices.index(device) if device in devices else None


class Council:
    """What can be said of council operations by their pasts alone."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.memo: dict[Any, Any] = {}

    # --- states ----------------------------------------------------------------------------------

    @remembered
    def state(self, base: Id) -> State | None:
        """The state at a base, by the links of the acts; None if they do not reach the genesis."""
        archive = self.archive
        body = archive.body(base)
        if isinstance(body, Genesis):
            founder = body.identity.member
            seat = (founder, bytes(body.identity.device.id))
            return State((base,), (seat,), ((founder, base),), body.constitution, body.rules)
        if not isinstance(body, CouncilAct) or Id(body.base) not in archive.past(base):
            return None
        before = self.state(Id(body.base))
        if before is None:
            return None
        after = replace(before, chain=(*before.chain, base))
        match body.act:
            case Coordinators(seats=seats):
                now = tuple((MemberId(m), d) for m, d in seats)
                made = tuple((m, before.made_by(m) or base) for m, _ in now)
                return replace(after, seats=now, made=made)
            case Settings(settings=settings):
                changed = tuple(sorted({**dict(before.settings), **dict(settings)}.items()))
                return replace(after, settings=changed)
            case RulesVersion(version=version):
                return replace(after, rules=version)
        return after

    # --- messages --------------------------------------------------------------------------------

    def fault(self, x: Id) -> str:
        """Why x is no message at its base: "council", "tip", or nothing."""
        return self.message(x) if isinstance(self.message(x), str) else ""  # type: ignore[return-value]

    @remembered
    def message(self, x: Id) -> tuple[Id, BallotNumber, Id | None] | str:
        """Base, ballot and act (a promise has none) of a message; or why x is none."""
        archive, body = self.archive, self.archive.body(x)
        if not isinstance(body, COUNCIL) or not self.listed(x):
            return "council"
        base = Id(body.base)
        state = self.state(base) if base in archive.past(x) else None
        own = state.index(archive.ops[x].header.device) if state else None
        if state is None or own is None:
            return "council"
        match body:
            case Promise():
                return base, (body.round, body.index), None
            case CouncilAct():
                fault = self.ill_formed(x, state)
                return fault or (base, (body.round, own), x)
            case Ballot(act=named):
                put = self._message_before(x, Id(named), base)
                if put is None or put[2] != named:
                    return "council"
                return base, (body.round, own), Id(named)
            case Endorse(ballot=named):
                put = self._message_before(x, Id(named), base)
                votable = isinstance(archive.body(Id(named)), CouncilAct | Ballot) if put else False
                return (base, put[1], put[2]) if put and votable else "council"
        raise AssertionError(x)

    def _message_before(self, x: Id, y: Id, base: Id) -> tuple[Id, BallotNumber, Id | None] | None:
        if y not in self.archive.past(x):
            return None
        message = self.message(y)
        return None if isinstance(message, str) or message[0] != base else message

    def listed(self, x: Id) -> bool:
        """Its kind is listed by the rules version of its own view."""
        version = self.last_in(self.archive.view(x)).rules
        rules = self.archive.rules.get(version)
        return rules is not None and self.archive.ops[x].header.kind in rules.kinds

    def ill_formed(self, x: Id, state: State) -> str:
        from tests.authority.oracle.seals import bad_tip

        archive = self.archive
        match archive.body(x).act:
            case Coordinators(seats=seats, dismissals=dismissals):
                if any(len(set(column)) < len(seats) for column in zip(*seats, strict=True)):
                    return "council"
                view = archive.view(x)
                if not all(self.belongs(d, m, view) for m, d in seats):
                    return "council"
                return "" if distinct(dismissals) else "council"
            case Members(dismissals=dismissals):
                return "" if distinct(dismissals) else "council"
            case Settings(settings=settings):
                names = [name for name, _ in settings]
                return "" if all(a < b for a, b in pairwise(names)) else "council"
            case Lift(cut=cut):
                return "" if Id(cut) in archive.past(x) else "council"
            case Seal(tips=tips):
                if not all(a < b for a, b in pairwise(tips)):
                    return "council"
                return "tip" if bad_tip(self, x, state.chain) else ""
        return ""

    def belongs(self, device: bytes, member: bytes, view: frozenset[Id]) -> bool:
        """The device is the member's, by some grant in the view."""
        archive = self.archive
        return any(
            keys.id == device
            and (root := archive.root_of(g)) is not None
            and archive.member_of(root) == member
            for g in view
            if (keys := archive.granted(g)) is not None
        )

    # --- counting --------------------------------------------------------------------------------

    @remembered
    def counts(self, x: Id) -> bool:
        message = self.message(x)
        if isinstance(message, str):
            return False
        base, ballot, act = message
        state = self.state(base)
        assert state is not None
        earlier = [self._at(y, base) for y in self.archive.line(x)[:-1]]
        for seen in earlier:
            if seen is not None and (
                seen[1] > ballot
                or (seen[1] == ballot and None not in (seen[2], act) and seen[2] != act)
            ):
                return False
        body = self.archive.body(x)
        if isinstance(body, Promise):
            return True
        if isinstance(body, Endorse):
            return self.counts(Id(body.ballot))
        return ballot == (0, 0) or self._prepared(x, state, ballot)

    def _at(self, y: Id, base: Id) -> tuple[Id, BallotNumber, Id | None] | None:
        message = self.message(y)
        return None if isinstance(message, str) or message[0] != base else message

    def _prepared(self, x: Id, state: State, ballot: BallotNumber) -> bool:
        """Promises of more than half are in x's past, and x repeats what they show."""
        archive = self.archive
        device = archive.ops[x].header.device
        promises = [
            y
            for y in archive.of(archive.past(x), Promise)
            if (m := self._at(y, state.base)) is not None and m[1] == ballot and self.counts(y)
        ]
        keys = {archive.ops[y].header.device for y in promises} | {device}
        if len(keys) < state.majority:
            return False
        shown: dict[BallotNumber, set[Id]] = {}
        for y in [*promises, x]:
            for z in archive.line(y)[:-1]:
                m = self._at(z, state.base)
                if m is not None and m[2] is not None and self.counts(z):
                    shown.setdefault(m[1], set()).add(m[2])
        if not shown:
            return True
        mine = self.message(x)
        assert not isinstance(mine, str)
        return isinstance(archive.body(x), Ballot) and mine[2] in shown[max(shown)]

    def in_force(self, state: State, view: frozenset[Id]) -> list[Id]:
        """The acts that more than half endorse in one ballot, by the messages in ``view``."""
        votes: dict[tuple[BallotNumber, Id], set[bytes]] = {}
        for x in self.archive.of(view, CouncilAct, Ballot, Endorse):
            m = self._at(x, state.base)
            if m is not None and m[2] is not None and self.counts(x):
                votes.setdefault((m[1], m[2]), set()).add(self.archive.ops[x].header.device)
        return sorted({act for (_, act), keys in votes.items() if len(keys) >= state.majority})

    @remembered
    def chain(self, view: frozenset[Id], first: Id, last: Id | None) -> tuple[Id, frozenset[Id]]:
        """The newest base that ``view`` shows from ``first`` on, not beyond ``last``; the split."""
        base = first
        while base != last:
            state = self.state(base)
            assert state is not None
            acts = self.in_force(state, view)
            if len(acts) > 1:
                return base, frozenset(acts)
            if not acts:
                break
            (base,) = acts
        return base, frozenset()

    def last_in(self, view: frozenset[Id]) -> State:
        """The state of somebody who knows ``view`` and nothing else."""
        state = self.state(self.chain(view, self.archive.genesis, None)[0])
        assert state is not None
        return state

    @remembered
    def prefix(self, view: frozenset[Id], chain: tuple[Id, ...]) -> State:
        """The longest prefix of ``chain`` whose acts are in force by the messages in ``view``."""
        reached = self.state(chain[0])
        assert reached is not None
        for act in chain[1:]:
            if act not in self.in_force(reached, view):
                break
            following = self.state(act)
            assert following is not None
            reached = following
        return reached


def distinct(dismissals: tuple[Any, ...]) -> bool:
    return len({d.member for d in dismissals}) == len(dismissals)
