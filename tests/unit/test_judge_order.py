"""The law of the house: verdicts depend on the set of operations, never on how it came.

Random histories of a small town, written on three islands that meet now and then, with forks,
bad bodies, erasures, spent invites and unknown kinds; then told in any order to nodes that were
not there. Everybody has one island, so that a fork is on purpose.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.town import (
    DAY_MS,
    LOAN,
    METER,
    NOTE,
    NOTICE,
    PAGE,
    Number,
    Outcome,
    Person,
    Replica,
    Ticket,
    erasure,
    invitation,
    person,
    replica,
    role_act,
    secrets,
    ticket_seed,
    town,
)

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Standing
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import OperationId
from commons_crdt.operation import Operation
from commons_crdt.roles import Role

ALICE = person("alice")


@dataclass
class History:
    """Three islands, and somebody who throws the dice."""

    dice: random.Random
    islands: list[Replica] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    homes: dict[str, Replica] = field(default_factory=dict)
    forking: float = 0.03

    def __post_init__(self) -> None:
        home = town((("budget.newcomer.capacity", 12),))
        self.people = [
            ALICE,
            home.welcome("bob", Role.MEMBER),
            home.welcome("carol", Role.STEWARD),
            home.welcome("eve"),
        ]
        for owner in self.people[1:3]:
            home.grant_node(owner, secrets(f"{owner.name}'s node"))
        self.islands = [home, home.island("left"), home.island("right")]
        self.homes = {who.name: self.islands[i] for i, who in enumerate(self.people[:3])}
        self.homes["eve"] = self.islands[1]

    def step(self) -> None:
        """Something happens somewhere."""
        who = self.dice.choice([*self.people, *self.people[:3]])
        where = self.homes[who.name]
        if who.device.keys.id not in where.judge.authority.devices:
            return
        acts = (
            self.speak,
            self.speak,
            self.speak,
            self.edit,
            self.edit,
            self.erase,
            self.erase,
            self.invite,
            self.invite,
            self.admit,
            self.admit,
            self.give,
            self.give,
            self.grant,
            self.meter,
            self.meet,
            self.meet,
        )
        where.now_ms += self.dice.randrange(1, 1000)
        if self.dice.random() < self.forking:
            self.dice.choice((self.double, self.double_authority))(where, who)
        else:
            self.dice.choice(acts)(where, who)

    def put(
        self,
        where: Replica,
        device: DeviceSecrets,
        draft: Draft,
        after: OperationId | None = None,
    ) -> Outcome:
        """Write, aware of the newest authority or not; a refusal is an answer too."""
        aware = self.dice.random() < 0.8
        return where.receive(where.draw(device, draft, after=after, aware=aware))

    def some(self, where: Replica) -> Standing:
        """Something newer rather than older."""
        return self.dice.choice(list(where.standings.values())[-12:])

    def place(self, where: Replica, device: DeviceSecrets, log: int) -> OperationId | None:
        """Some place of a chain, the end included."""
        own = [
            standing.id
            for standing in where.standings.values()
            if (standing.device, standing.log) == (device.keys.id, log)
        ]
        return self.dice.choice(own) if own else None

    def speak(self, where: Replica, who: Person) -> None:
        drafts = [
            Draft.fact(NOTE, Number(self.dice.randrange(9))),
            Draft(NOTE, b"garbage"),
            Draft.fact(LOAN, Number(1), refs=[self.some(where).id]),
            Draft.fact(LOAN, Number(-1)),
            Draft(NOTICE, b"x" * self.dice.randrange(0, 80)),
            Draft("town.party.1", b"later"),
            Draft("council.party.1", b"later", log=0),
            Draft.fact(NOTE, Number(1), parts=[("text", b"x" * self.dice.choice((5, 600)))]),
        ]
        self.put(where, who.device, self.dice.choice(drafts))

    def double(self, where: Replica, who: Person) -> None:
        """Somebody writes at an old place of their log 1."""
        draft = Draft.fact(NOTE, Number(2))
        self.put(where, who.device, draft, self.place(where, who.device, 1))

    def double_authority(self, where: Replica, who: Person) -> None:
        """The same in log 0, by somebody's device or by the island's node."""
        device = self.dice.choice([who.device, self.node(where)])
        draft = where.node_grant(who, secrets(f"node {self.dice.randrange(3)}"))
        self.put(where, device, draft, self.place(where, device, 0))

    def edit(self, where: Replica, who: Person) -> None:
        body = self.dice.choice((b"change", b"bad"))
        pages = [standing for standing in where.standings.values() if standing.kind == PAGE]
        draft = Draft(PAGE, body)
        if pages and self.dice.random() < 0.7:
            page = self.dice.choice(pages)
            draft = Draft(PAGE, body, document=page.document, refs=[page.id])
        self.put(where, who.device, draft)

    def erase(self, where: Replica, who: Person) -> None:
        own = [s for s in where.standings.values() if s.device == who.device.keys.id and s.log]
        others = [standing for standing in where.standings.values() if standing.log]
        some = own if own and self.dice.random() < 0.6 else others
        self.put(where, who.device, erasure(self.dice.choice(some or [self.some(where)])))

    def invite(self, where: Replica, who: Person) -> None:
        label = f"{where.name} {len(self.tickets)}"
        expires = where.now_ms + self.dice.choice((1, 1, 8)) * DAY_MS
        outcome = self.put(
            where, who.device, invitation(label, self.dice.choice((1, 1, 2)), expires)
        )
        if isinstance(outcome, Standing):
            self.tickets.append(Ticket(outcome.id, ticket_seed(label)))

    def admit(self, where: Replica, who: Person) -> None:
        if not self.tickets:
            return self.invite(where, who)
        if self.dice.random() < 0.6:
            self.people.append(person(f"guest {len(self.people)}"))
            self.homes[self.people[-1].name] = where
        if self.dice.random() < 0.05:
            where.now_ms += 2 * DAY_MS
        newcomer = self.dice.choice(self.people[1:])
        draft = where.admission(self.dice.choice(self.tickets[-3:]), newcomer)
        device = self.node(where) if self.dice.random() < 0.9 else who.device
        self.put(where, device, draft)
        return None

    def node(self, where: Replica) -> DeviceSecrets:
        """The node's own device of an island."""
        return secrets(f"{self.people[self.islands.index(where)].name}'s node")

    def give(self, where: Replica, who: Person) -> None:
        if self.dice.random() < 0.8:
            giver, where = ALICE, self.islands[0]
        else:
            giver = who
        role = Role(self.dice.randrange(1, 5))
        self.put(where, giver.device, role_act(self.dice.choice(self.people), role))

    def grant(self, where: Replica, who: Person) -> None:
        """A node, or now and then somebody's own device as if it were one."""
        devices = [secrets(f"node {self.dice.randrange(3)}"), self.dice.choice(self.people).device]
        self.put(where, who.device, where.node_grant(who, self.dice.choice(devices)))

    def meter(self, where: Replica, who: Person) -> None:
        third = secrets(f"node {self.islands.index(where)}")
        known = where.judge.authority.devices
        nodes = [third] if third.keys.id in known else []
        device = self.dice.choice([*nodes, self.node(where), who.device])
        self.put(where, device, Draft.fact(METER, Number(1)))

    def meet(self, where: Replica, _who: Person) -> None:
        where.meet(self.dice.choice([other for other in self.islands if other is not where]))

    def heal(self) -> Replica:
        """Everybody meets everybody, until nobody learns anything."""

        def talk() -> None:
            for here in self.islands:
                for there in self.islands:
                    if here is not there:
                        here.meet(there)

        return quiet(talk, self.islands[0])


def quiet(talk: Callable[[], object], node: Replica) -> Replica:
    """Anti-entropy: talk until it changes nothing.

    What was refused may be taken later: a demotion that does not stand any more gives its
    subject's chain the budget back, so peers offer it again.
    """
    for _ in range(6):
        before = node.verdicts()
        talk()
        if node.verdicts() == before:
            break
    return node


def told(node: Replica, operations: Sequence[Operation]) -> Replica:
    """A new node that hears ``operations`` in this order, again until nothing changes."""
    late = replica(node.realm, "late")
    return quiet(lambda: [late.receive(operation) for operation in operations], late)


def truth(node: Replica) -> dict[str, object]:
    """All that must not depend on how a node learned what it knows."""
    authority = node.judge.authority
    ids = {bit: ident for ident, bit in authority.bits.items()}
    return {
        "verdicts": node.verdicts(),
        "set_hash": node.set_hash(),
        "members": authority.members(),
        "flagged": authority.flagged(),
        "grants": authority.grants,
        "devices": authority.devices,
        "heads": set(authority.heads),
        "epochs": authority.epochs,
        "erased": node.judge.erased,
        "forks": node.judge.forks,
        "budgets": {ident: standing.left for ident, standing in node.standings.items()},
        "views": {
            ident: {name for bit, name in ids.items() if standing.view >> bit & 1}
            for ident, standing in node.standings.items()
        },
    }


@given(st.integers(0, 2**32), st.integers(5, 30))
@settings(deadline=None, max_examples=60)
def test_every_order_gives_one_truth(seed: int, steps: int) -> None:
    history = History(random.Random(seed))
    for _ in range(steps):
        history.step()
    home = history.heal()
    expected = truth(home)
    for island in history.islands[1:]:
        assert truth(island) == expected, "islands that have met agree"
    operations = list(home.operations.values())
    for _ in range(2):
        history.dice.shuffle(operations)
        assert truth(told(home, operations)) == expected, "and whoever hears it in any order"
    home.rejudge_from_nothing()
    assert truth(home) == expected, "and judging from nothing says the same"


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_log_0_alone_decides_log_0(seed: int) -> None:
    history = History(random.Random(seed))
    for _ in range(20):
        history.step()
    home = history.heal()
    authority = [o for ident, o in home.operations.items() if home.standings[ident].log == 0]
    alone = told(home, authority)
    alone.judge.forks.update({c: s for c, s in home.judge.forks.items() if c[1] == 0})
    for ident, verdict in alone.verdicts().items():
        assert verdict == home.says(ident), "a removal never waits behind an import"


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_more_operations_of_log_1_change_no_verdict(seed: int) -> None:
    """Unless they fork or erase: what others write does not touch what stands."""
    history = History(random.Random(seed))
    for _ in range(15):
        history.step()
    home = history.heal()
    before = home.verdicts()
    for who in history.people[:2]:
        for body in (Draft.fact(NOTE, Number(1)), Draft(NOTE, b"garbage"), Draft(PAGE, b"x")):
            home.receive(home.draw(who.device, body))
    after = home.verdicts()
    assert {ident: after[ident] for ident in before} == before


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_bytes_that_an_erasure_took_change_nothing(seed: int) -> None:
    history = History(random.Random(seed))
    for _ in range(12):
        history.step()
    home = history.heal()
    for who in history.people[:4]:
        own = [
            standing
            for standing in home.standings.values()
            if standing.device == who.device.keys.id and standing.kind in {NOTE, PAGE}
        ]
        for standing in own[:2]:
            home.receive(home.draw(who.device, erasure(standing)))
    expected = truth(home)
    for ident, standing in list(home.standings.items()):
        kind = home.rules.kinds.get(standing.kind)
        if kind is not None and home.judge.is_erased(kind, ident, standing.document):
            home.lose(ident)
    assert truth(home) == expected, "erased on one node only: the same verdicts and hash"
    operations = list(home.operations.values())
    assert truth(told(home, operations)) == expected, "also for whoever never saw the bytes"
