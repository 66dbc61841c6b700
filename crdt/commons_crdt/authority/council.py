"""(A) The council: single-decree Paxos for each base, as facts of bytes.

A message's own past decides whether it counts, so each is looked at once, when it is learned, and
never again. What is in force then is a count over those that count: in the whole set, or in any
view.

Source: docs/protocol/authority.md "(A) The council".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from commons_crdt.authority.book import NOWHERE, Book, Entry, View
from commons_crdt.authority.council_facts import (
    Ballot,
    Coordinators,
    CouncilAct,
    CouncilContent,
    Dismissal,
    Endorse,
    Lift,
    Members,
    Promise,
    RulesVersion,
    Seal,
    Settings,
)
from commons_crdt.authority.facts import Genesis
from commons_crdt.authority.settings import Constitution
from commons_crdt.ids import DeviceId, MemberId

Rank = tuple[int, int]
"""A ballot: (round, index of its author in the list)."""


@dataclass(frozen=True, slots=True)
class State:
    """The council after an act: ``seats`` are (member, endorsing device) in the list's order.

    ``base`` is the number of the act, ``made`` the act at the beginning of each member's seat.
    """

    base: int
    seats: tuple[tuple[MemberId, DeviceId], ...]
    settings: tuple[tuple[str, int | str], ...]
    rules: int
    made: tuple[tuple[MemberId, int], ...]
    members: frozenset[MemberId]

    @property
    def constitution(self) -> Constitution:
        """The settings with their defaults."""
        return Constitution.of(self.settings)

    def index(self, device: DeviceId) -> int:
        """The place of a device in the list, or ``NOWHERE``."""
        return next((i for i, (_, d) in enumerate(self.seats) if d == device), NOWHERE)

    def made_by(self, member: MemberId) -> int:
        """The act that made the member a coordinator, or ``NOWHERE``."""
        return next((act for m, act in self.made if m == member), NOWHERE)


class Highest(NamedTuple):
    """The highest ballot that a log shows at a base, and the acts it is about there."""

    rank: Rank = (-1, -1)
    acts: frozenset[int] = frozenset()

    def with_(self, rank: Rank, act: int) -> Highest:
        """The same with one more message."""
        acts = frozenset() if act == NOWHERE else frozenset({act})
        if rank == self.rank:
            return Highest(rank, self.acts | acts)
        return Highest(rank, acts) if rank > self.rank else self


@dataclass(frozen=True, slots=True)
class Message:
    """A message at a base: its ballot, and the act that it stands for (none for a promise).

    ``said`` and ``endorsed`` sum up its log at this base up to and with it: all messages, and
    those that count and stand for an act.
    """

    base: int
    device: DeviceId
    rank: Rank
    act: int
    counts: bool
    said: Highest
    endorsed: Highest


@dataclass(slots=True)
class Council:
    """The messages of all bases. ``learn`` every entry of the book once, in order."""

    book: Book
    states: dict[int, State] = field(default_factory=dict)
    """The state after each act whose bases lead to the genesis, whether or not it counts."""
    bases: dict[int, int] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    acts: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The acts proposed at each base."""
    bad_tips: set[int] = field(default_factory=set)
    """Seals that list what does not stand; no messages."""
    lists_what_is_cut: Callable[[Entry, int, Seal], bool] = lambda _entry, _base, _seal: False
    mask: View = 0
    """Every operation that bears on what is in force."""
    _support: defaultdict[int, dict[tuple[Rank, int], dict[DeviceId, list[int]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _lines: defaultdict[tuple[int, DeviceId], list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _promises: defaultdict[tuple[int, Rank], list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def learn(self, entry: Entry) -> None:
        """Take note of an entry if it is a genesis or a message."""
        body = entry.body
        if isinstance(body, Genesis):
            seat = (body.identity.member, entry.device)
            made = ((body.identity.member, entry.n),)
            self.states[entry.n] = State(
                entry.n, (seat,), body.constitution, body.rules, made, frozenset({seat[0]})
            )
            self.mask |= entry.bit
        elif isinstance(body, CouncilAct | Promise | Ballot | Endorse):
            self._message(entry, body)

    def _message(self, entry: Entry, body: CouncilAct | Promise | Ballot | Endorse) -> None:
        base = self.book.number(body.base, entry.past)
        state = self.states.get(base)
        if state is None:
            return
        if isinstance(body, CouncilAct):
            self.states[entry.n] = _after(state, entry.n, body.act)
            self.bases[entry.n] = base
        index = state.index(entry.device)
        if index < 0:
            return
        rank: Rank = (0, 0)
        act = NOWHERE
        match body:
            case CouncilAct():
                if not self._well_formed(entry, body.act):
                    return
                if isinstance(body.act, Seal) and self.lists_what_is_cut(entry, base, body.act):
                    self.bad_tips.add(entry.n)
                    return
                rank, act = (body.round, index), entry.n
            case Promise():
                rank, act = (body.round, body.index), NOWHERE
            case Ballot():
                act = self.book.number(body.act, entry.past)
                found = self.messages.get(act)
                if found is None or found.base != base or found.act != act:
                    return
                rank = (body.round, index)
            case Endorse():
                named = self.book.number(body.ballot, entry.past)
                put = self.messages.get(named)
                if put is None or put.base != base or not self._puts(named):
                    return
                rank, act = put.rank, put.act
        before = self._before(base, entry.device, entry.n)
        said = before.said if before else Highest()
        endorsed = before.endorsed if before else Highest()
        counts = rank > said.rank or (rank == said.rank and (act == NOWHERE or said.acts <= {act}))
        counts = counts and self._counts(entry, body, base, state, rank, act)
        if counts and act != NOWHERE:
            endorsed = endorsed.with_(rank, act)
        self.messages[entry.n] = Message(
            base, entry.device, rank, act, counts, said.with_(rank, act), endorsed
        )
        if counts and isinstance(body, Promise):
            self._promises[base, rank].append(entry.n)
        self._lines[base, entry.device].append(entry.n)
        self.mask |= entry.bit
        if isinstance(body, CouncilAct):
            self.acts[base].append(entry.n)
        if counts and act != NOWHERE:
            of_ballot = self._support[base].setdefault((rank, act), {})
            of_ballot.setdefault(entry.device, []).append(entry.n)

    def _puts(self, n: int) -> bool:
        """True for an act or a ballot operation: what can be endorsed."""
        return isinstance(self.book.entries[n].body, CouncilAct | Ballot)

    def _before(self, base: int, device: DeviceId, n: int) -> Message | None:
        """The last message at ``base`` in the log of ``device`` before operation n of that log."""
        line = self.book.entries[n].line & ~(1 << n)
        for m in reversed(self._lines.get((base, device), ())):
            if line >> m & 1:
                return self.messages[m]
        return None

    def _counts(
        self,
        entry: Entry,
        body: CouncilAct | Promise | Ballot | Endorse,
        base: int,
        state: State,
        rank: Rank,
        act: int,
    ) -> bool:
        """What a message asks of others' logs."""
        if isinstance(body, Endorse):
            return self.messages[self.book.number(body.ballot, entry.past)].counts
        if isinstance(body, Promise) or rank == (0, 0):
            return True
        keys = {entry.device}
        before = [entry.n]
        for m in self.book.among(self._promises.get((base, rank), ()), entry.past):
            keys.add(self.book.entries[m].device)
            before.append(m)
        if 2 * len(keys) <= len(state.seats):
            return False
        shown = [
            earlier.endorsed
            for m in before
            if (earlier := self._before(base, self.book.entries[m].device, m)) is not None
        ]
        highest = max((one.rank for one in shown), default=(-1, -1))
        acts = {act for one in shown if one.rank == highest for act in one.acts}
        return not acts or (isinstance(body, Ballot) and act in acts)

    def _well_formed(self, entry: Entry, content: CouncilContent) -> bool:
        """What the types cannot say, by the bytes of the act's view."""
        match content:
            case Coordinators(seats=seats, dismissals=dismissals):
                members = [member for member, _ in seats]
                devices = [device for _, device in seats]
                return (
                    len({*members}) == len(members)
                    and len({*devices}) == len(devices)
                    and all(self._has(MemberId(m), DeviceId(d), entry.past) for m, d in seats)
                    and _differ(dismissals)
                )
            case Members(dismissals=dismissals):
                return _differ(dismissals)
            case Settings(settings=settings):
                return all(a[0] < b[0] for a, b in pairwise(settings))
            case Lift(cut=cut):
                return self.book.number(cut, entry.past) >= 0
            case Seal(tips=tips):
                return all(a < b for a, b in pairwise(tips))
            case RulesVersion():
                return True

    def _has(self, member: MemberId, device: DeviceId, view: View) -> bool:
        grants = self.book.among(self.book.grants.get(device, ()), view)
        return any(self.book.given[n].member == member for n in grants)

    # --- what is in force ------------------------------------------------------------------------

    def in_force(self, base: int, view: View | None = None) -> list[int]:
        """The acts that more than half endorse in one ballot, in a view or in all that is here."""
        state, found = self.states[base], []
        for (_, act), endorsers in self._support.get(base, {}).items():
            if view is None:
                count = len(endorsers)
            elif not view >> act & 1:
                continue
            else:
                count = sum(any(view >> n & 1 for n in of) for of in endorsers.values())
            if 2 * count > len(state.seats) and act not in found:
                found.append(act)
        return found

    def path(self, pin: int) -> list[int] | None:
        """The acts from the genesis to an act, by their bases; None if they do not lead there."""
        acts = [pin]
        while acts[-1] != 0:
            base = self.bases.get(acts[-1])
            if base is None:
                return None
            acts.append(base)
        return acts[::-1]

    def chain(self, pinned: Sequence[int] = (), view: View | None = None) -> tuple[list[int], bool]:
        """The acts in force from the genesis on, and whether the community is split beyond."""
        acts = list(pinned) or [0]
        while True:
            found = self.in_force(acts[-1], view)
            if len(found) != 1:
                return acts, len(found) > 1
            acts.append(found[0])

    def forked_keys(self, base: int) -> frozenset[DeviceId]:
        """The keys that endorse two acts in force on one base."""
        in_force = self.in_force(base)
        of_act: dict[int, set[DeviceId]] = {act: set() for act in in_force}
        for (_, act), endorsers in self._support.get(base, {}).items():
            if act in of_act:
                of_act[act] |= set(endorsers)
        seen: set[DeviceId] = set()
        twice: set[DeviceId] = set()
        for devices in of_act.values():
            twice |= seen & devices
            seen |= devices
        return frozenset(twice)

    def ballots(self, base: int) -> dict[tuple[Rank, int], frozenset[DeviceId]]:
        """Who endorsed which act in which ballot at a base."""
        return {key: frozenset(of) for key, of in self._support.get(base, {}).items()}


def _differ(dismissals: Iterable[Dismissal]) -> bool:
    members = [one.member for one in dismissals]
    return len({*members}) == len(members)


def _after(state: State, n: int, content: CouncilContent) -> State:
    """The state that an act makes of its base's."""
    match content:
        case Coordinators(seats=seats):
            listed = tuple((MemberId(m), DeviceId(d)) for m, d in seats)
            known = dict(state.made)
            made = tuple((member, known.get(member, n)) for member, _ in listed)
            members = frozenset(member for member, _ in listed)
            return replace(state, base=n, seats=listed, made=made, members=members)
        case Settings(settings=settings):
            table = {**dict(state.settings), **dict(settings)}
            return replace(state, base=n, settings=tuple(sorted(table.items())))
        case RulesVersion(version=version):
            return replace(state, base=n, rules=version)
        case _:
            return replace(state, base=n)


def dismissals_of(before: State, content: CouncilContent) -> tuple[Dismissal, ...]:
    """What an act on this state does to members, those included whom it silently drops."""
    match content:
        case Coordinators(seats=seats, dismissals=dismissals):
            kept = {member for member, _ in seats} | {one.member for one in dismissals}
            dropped = [member for member, _ in before.seats if member not in kept]
            return (*dismissals, *(Dismissal(member, 0, ()) for member in dropped))
        case Members(dismissals=dismissals):
            return dismissals
        case _:
            return ()
