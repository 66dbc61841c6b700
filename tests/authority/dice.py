"""Random sets: after the prologue up to twelve acts on three islands, honest ones and lies.

`random_set(seed)` is a village whose history nobody would write by hand: forks of either log, cuts
at right and wrong places, concurrent and mutual removals, competing ballots, double endorsers,
identity acts on one base, recoveries, picks, readmissions, seals. One seed gives the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from tests.authority.village import (
    ALICE,
    BOB,
    CAROL,
    DAN,
    DAY_MS,
    ERIN,
    EVE,
    LATER,
    METER,
    NOTE,
    NOTICE,
    PEOPLE,
    RULES,
    Island,
    Person,
    Village,
    keys_of,
    prologue,
)
from tests.unit.town import Number, secrets

from commons_crdt.authority.council_facts import (
    Coordinators,
    CouncilContent,
    Dismissal,
    Lift,
    Members,
    RulesVersion,
    Seal,
    Settings,
)
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.facts import RoleAct
from commons_crdt.authority.identity_facts import Limit
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import OperationId, digest
from commons_crdt.roles import Role

Act = Callable[[], object]


@dataclass
class Dice:
    """One random history."""

    dice: random.Random
    village: Village
    islands: list[Island]
    council: Sequence[Person]
    devices: dict[str, list[DeviceSecrets]] = field(default_factory=dict)
    homes: dict[str, Island] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Everybody has a home island, so that most forks are on purpose."""
        for person in PEOPLE:
            self.homes[person.name] = self.dice.choice(self.islands)

    # --- choosing --------------------------------------------------------------------------------

    def at(self, who: Person) -> Island:
        """Where somebody writes: at home, but now and then elsewhere (which may fork them)."""
        if self.dice.random() < 0.03:
            return self.dice.choice(self.islands)
        return self.homes.get(who.name, self.islands[0])

    def person(self) -> Person:
        return self.dice.choice([*PEOPLE, DAN, EVE, EVE])

    def coordinator(self) -> Person:
        """Mostly somebody who may."""
        return self.dice.choice([*self.council] * 4 + [EVE, DAN])

    def subject(self) -> Person:
        return self.dice.choice([DAN, EVE, ERIN, EVE, DAN, BOB, CAROL, ALICE])

    def device(self, who: Person, island: Island) -> DeviceSecrets:
        """One of somebody's devices that the island knows."""
        known = [d for d in self.devices.get(who.name, []) if self.granted(island, d)]
        return self.dice.choice([who.device, who.device, *known, *known])

    def granted(self, island: Island, device: DeviceSecrets) -> bool:
        return any(self.village.grants(i) == keys_of(device) for i in island.known)

    def new_device(self, who: Person) -> DeviceSecrets:
        mine = self.devices.setdefault(who.name, [])
        if mine and self.dice.random() < 0.2:
            return self.dice.choice(mine)
        mine.append(secrets(f"{who.name}'s device {len(mine)}"))
        return mine[-1]

    def known(self, island: Island, prefix: str) -> list[OperationId]:
        every = self.village.all
        return sorted(
            i
            for i in island.known
            if every[i].header.kind.startswith(prefix) and every[i].body is not None
        )

    def chain(self, island: Island, device: DeviceSecrets, log: int) -> list[OperationId]:
        every = self.village.all
        own = [
            i
            for i in island.known
            if (every[i].header.device, every[i].header.log) == (keys_of(device).id, log)
        ]
        return sorted(own, key=lambda i: (every[i].header.seq, i))

    def how(self, island: Island, device: DeviceSecrets, log: int = 0) -> dict[str, Any]:
        """Aware or not, and now and then a fork."""
        how: dict[str, Any] = {"aware": self.dice.random() < 0.8}
        chain = self.chain(island, device, log)
        if chain and self.dice.random() < 0.12:
            before = [OperationId(self.village.all[i].header.prev) for i in chain]
            before = [i for i in before if i in self.village.all]
            if before:
                how["after"] = self.dice.choice(before)
        return how

    def place(self, island: Island, device: DeviceSecrets, log: int) -> Position:
        """The tip, some place, a place elsewhere, one that nobody has, or nothing."""
        chain = self.chain(island, device, log)
        everywhere = self.chain(self.islands[0], device, log)
        roll = self.dice.random()
        if roll < 0.5:
            return island.position(device, log)
        if roll < 0.75 and chain:
            return self.village.position(self.dice.choice(chain))
        if roll < 0.8 and everywhere:
            return self.village.position(self.dice.choice(everywhere))
        if roll < 0.86:
            return Position(self.dice.randrange(1, 4), digest("t-none", bytes([len(chain)])))
        if roll < 0.9:
            other = self.dice.choice(sorted(self.village.all))
            return Position(self.village.all[other].header.seq, other)
        return NOTHING

    def endings(self, island: Island, who: Person, chance: float = 0.8) -> list[Ending]:
        listed = [who.device, *self.devices.get(who.name, [])[:2]]
        if self.granted(island, who.node):
            listed.append(who.node)
        return [
            Ending(bytes(keys_of(d).id), self.place(island, d, 0), self.place(island, d, 1))
            for d in listed
            if self.dice.random() < chance
        ]

    # --- log 1 -----------------------------------------------------------------------------------

    def speak(self) -> None:
        who = self.person()
        island = self.at(who)
        device = self.device(who, island)
        if self.dice.random() < 0.2 and self.granted(island, who.node):
            device = who.node
        kind = self.dice.choice([NOTE, NOTE, NOTE, NOTICE, METER, LATER, "town.party.1"])
        refs = []
        if self.dice.random() < 0.2:
            refs = [self.dice.choice(sorted(island.known))]
        how = self.how(island, device, 1)
        island.write(device, kind, Number(1), log=1, refs=refs, **how)

    def babble(self) -> None:
        """What no kind of log 0 allows."""
        who = self.person()
        island = self.at(who)
        device = self.device(who, island)
        how = self.how(island, device)
        if self.dice.random() < 0.4:
            island.write(device, "council.party.1", b"later", **how)
        elif self.dice.random() < 0.5:
            kinds = [k.name for k in RULES[1].kinds.values() if k.log == 0]
            kinds.remove("council.genesis.1")
            island.write(device, self.dice.choice(kinds), b"garbage", **how)
        else:
            island.write(device, NOTE, Number(1), log=0, **how)

    # --- (A) -------------------------------------------------------------------------------------

    def base(self, island: Island) -> OperationId:
        """The newest act that the island might build on."""
        acts = self.known(island, "council.act")
        if acts and self.dice.random() < 0.3:
            return self.dice.choice(acts)
        return (
            self.village.base if self.village.base in island.known else self.village.roots["alice"]
        )

    def propose(self) -> None:
        who = self.coordinator()
        island = self.at(who)
        base = self.base(island)
        turn = self.dice.choice([0, 0, 0, 1, 1, 2])
        act = island.act(who, self.content(island), base, turn, **self.how(island, who.device))
        if self.dice.random() < 0.5:
            self.endorse_here(act)

    def content(self, island: Island) -> CouncilContent:
        """What a council may decide, and some of what it may not."""
        roll, village = self.dice.random(), self.village
        if roll < 0.3:
            people = self.dice.sample([ALICE, BOB, CAROL, DAN, ERIN], self.dice.choice([1, 2, 3]))
            gone = [p for p in self.council if p not in people and self.dice.random() < 0.6]
            return village.seat(*people, dismissals=[self.dismissal(island, p) for p in gone])
        if roll < 0.5:
            return Members((self.dismissal(island, self.subject()),))
        if roll < 0.55:
            return Settings((("timezone", "UTC"),))
        if roll < 0.62:
            return RulesVersion(2)
        cuts = [
            *self.known(island, "membership.removal"),
            *self.known(island, "membership.demotion"),
            *self.known(island, "council.act"),
            *self.known(island, "identity.recover"),
            *self.known(island, "membership.branch"),
        ]
        if roll < 0.75 and cuts:
            return Lift(self.dice.choice(cuts))
        if roll < 0.78:
            return Settings((("b", 1), ("a", 1)))
        return self.some_seal(island)

    def dismissal(self, island: Island, who: Person) -> Dismissal:
        role = self.dice.choice([0, 0, 0, 2, 3, 5])
        return Dismissal(who.member, role, tuple(self.endings(island, who)))

    def some_seal(self, island: Island) -> Seal:
        """Tips as known here, not always the newest."""
        chains = {
            (self.village.all[i].header.device, self.village.all[i].header.log)
            for i in island.known
        }
        tips = []
        for device, log in sorted(chains):
            if self.dice.random() < 0.8:
                every = self.village.all
                own = [
                    i
                    for i in island.known
                    if (every[i].header.device, every[i].header.log) == (device, log)
                ]
                own.sort(key=lambda i: (every[i].header.seq, i))
                tips.append(own[-1] if self.dice.random() < 0.85 else self.dice.choice(own))
        if self.dice.random() < 0.1:
            tips.append(self.dice.choice(sorted(self.village.all)))
        unique = {
            (self.village.all[i].header.device, self.village.all[i].header.log): i for i in tips
        }
        return island.seal(list(unique.values()) or [self.village.roots["alice"]])

    def tell(self, island: Island, x: OperationId) -> None:
        """Somebody carries one operation with its past to an island."""
        island.learn(self.village.seen(x) | {x})

    def endorse_here(self, act: OperationId) -> None:
        """Some of the council endorse, wherever they are."""
        base = OperationId(self.village.all[act].body.base)
        for who in self.dice.sample([*self.council], self.dice.randrange(len(self.council) + 1)):
            island = self.at(who)
            self.tell(island, act)
            island.endorse(who, act, base, **self.how(island, who.device))

    def endorse(self) -> None:
        """Somebody endorses what there is, some of it twice."""
        who = self.coordinator()
        island = self.at(who)
        ballots = [*self.known(island, "council.act"), *self.known(island, "council.ballot")]
        ballots = [b for b in ballots if b != self.village.base] or ballots
        if not ballots:
            return self.propose()
        ballot = self.dice.choice(ballots)
        base = OperationId(self.village.all[ballot].body.base)
        island.endorse(who, ballot, base, **self.how(island, who.device))
        return None

    def decide(self, content: CouncilContent | None = None) -> None:
        """The council decides without a quarrel, as it mostly does, and later acts build on it."""
        base, first = self.village.base, self.council[0]
        island = self.at(first)
        if content is None:
            content = self.content(island)
        quarrelled = any(
            getattr(self.village.all[x].body, "base", None) == base
            for x in self.chain(island, first.device, 0)
        )
        act = island.act(first, content, base)
        for who in self.council[1 : len(self.council) // 2 + 1]:
            place = self.at(who)
            self.tell(place, act)
            self.tell(island, place.endorse(who, act, base))
        if not quarrelled:
            self.village.base = act
            if isinstance(content, Coordinators):
                seats = [member for member, _ in content.seats]
                self.council = [p for m in seats for p in PEOPLE if p.member == m]

    def settle(self) -> None:
        """The council seals what the first coordinator knows."""
        island = self.at(self.council[0])
        if self.dice.random() < 0.7:
            for other in self.islands:
                if other is not island:
                    island.meet(other)
        self.decide(self.some_seal(island))

    def prepare(self) -> None:
        """A turn of promises, and mostly a ballot that repeats something."""
        base = self.village.base
        turn, index = self.dice.choice([1, 1, 2]), self.dice.randrange(len(self.council))
        author = self.council[index]
        at_home = self.at(author)
        for who in self.dice.sample([*self.council], self.dice.randrange(1, len(self.council) + 1)):
            island = self.at(who)
            self.tell(at_home, island.promise(who, turn, index, base))
        acts = [
            i
            for i in self.known(at_home, "council.act")
            if self.village.all[i].body is not None and self.village.all[i].body.base == base
        ]
        if acts and self.dice.random() < 0.8:
            ballot = at_home.ballot(author, turn, self.dice.choice(acts), base)
        else:
            ballot = at_home.act(author, self.content(at_home), base, turn)
        self.endorse_here(ballot)

    # --- (B) -------------------------------------------------------------------------------------

    def identity_base(self, island: Island, who: Person) -> OperationId:
        kinds = (
            "identity.device",
            "identity.recover",
            "identity.guardians",
            "membership.readmit",
        )
        bases = [
            self.village.roots[who.name],
            *(
                i
                for kind in kinds
                for i in self.known(island, kind)
                if self.village.all[i].header.document == who.member
            ),
        ]
        if len(bases) > 1 and self.dice.random() < 0.7:
            bases.sort(key=lambda i: self.village.all[i].header.lamport)
            return bases[-1]
        return self.dice.choice(bases)

    def add_device(self) -> None:
        who = self.dice.choice([DAN, ERIN, EVE, BOB])
        island = self.at(who)
        by = self.device(who, island)
        if self.dice.random() < 0.1 and self.granted(island, who.node):
            by = who.node
        limit = (Limit((NOTE,), 1, self.village.now_ms + DAY_MS),)
        island.add_device(
            who,
            self.new_device(who),
            self.identity_base(island, who),
            by=by,
            limit=limit if self.dice.random() < 0.25 else (),
            **self.how(island, by),
        )

    def recover(self) -> None:
        who = self.dice.choice([DAN, DAN, ERIN, EVE, BOB])
        island = self.at(who)
        carrier = self.dice.choice([who, EVE, ALICE])
        there = self.at(carrier)
        there.learn(island.known)
        island = there
        by = self.device(carrier, island)
        base = self.identity_base(island, who)
        roll = self.dice.random()
        new = self.new_device(who) if self.dice.random() < 0.8 else None
        endings = self.endings(island, who, 0.6)
        if roll < 0.6 or who is not DAN:
            warrant = "recovery" if roll < 0.4 else "wrong" if roll < 0.45 else "own"
            if warrant == "own":
                island = self.at(who)
                by = self.device(who, island)
                if self.dice.random() < 0.5:
                    endings = [e for e in endings if e.device == keys_of(by).id]
            island.recover(who, base, new, endings, warrant, by=by, **self.how(island, by))
            return
        draft = self.village.recovery(who, base, new, endings)
        statement = self.village.statement("identity.recover.1", draft)
        guardians = self.dice.sample([BOB, CAROL, ERIN, EVE], self.dice.choice([1, 2, 2, 3]))
        notes = []
        for g in guardians:
            place = self.at(g)
            notes.append(place.stand_for(self.device(g, place), who, statement))
            self.tell(island, notes[-1])
        island.recover(who, base, new, endings, notes, by=by, **self.how(island, by))

    def guard(self) -> None:
        who = self.dice.choice([DAN, ERIN, EVE, BOB])
        island = self.at(who)
        by = self.device(who, island)
        warrant = self.dice.choice(["own", "own", "recovery"])
        island.set_guardians(
            who,
            self.identity_base(island, who),
            self.dice.sample([ALICE, BOB, CAROL], 2),
            self.dice.choice([1, 2]),
            warrant,
            by=by,
            **self.how(island, by),
        )

    def pick(self) -> None:
        island = self.dice.choice(self.islands)
        acts = [
            *self.known(island, "identity.device"),
            *self.known(island, "identity.recover"),
            *self.known(island, "identity.guardians"),
        ]
        if not acts:
            return self.add_device()
        act = self.dice.choice(acts)
        signed = self.village.all[act]
        who = next((p for p in PEOPLE if p.member == signed.header.document), EVE)
        warrant = self.dice.choice(["own", "own", "recovery"])
        picker = self.coordinator() if warrant == "own" else self.person()
        island = self.at(picker)
        self.tell(island, act)
        island.pick(who, OperationId(signed.body.base), act, warrant, picker.device)
        return None

    def twins(self) -> None:
        """Two acts on one base, and sometimes somebody who decides."""
        who = self.dice.choice([DAN, ERIN])
        one, two = self.islands[1], self.islands[2]
        base = self.village.roots[who.name]
        if self.dice.random() < 0.5:
            first = one.recover(who, base, self.new_device(who), [], by=BOB.device)
            second = two.recover(who, base, self.new_device(who), [], by=CAROL.device)
        else:
            home, tablet = self.at(who), self.new_device(who)
            base = home.add_device(who, tablet, base)
            self.tell(one, base)
            self.tell(two, base)
            first = one.add_device(who, self.new_device(who), base)
            second = two.add_device(who, self.new_device(who), base, by=tablet)
        one.meet(two)
        if self.dice.random() < 0.6:
            choice = self.dice.choice([first, second])
            decider, warrant = self.dice.choice([(self.coordinator(), "own"), (ALICE, "recovery")])
            island = self.at(decider)
            self.tell(island, choice)
            island.pick(who, base, choice, warrant, decider.device)

    def kiosk(self) -> None:
        """A device that may write one note, and what it tries."""
        who = self.dice.choice([DAN, ERIN, EVE])
        island = self.at(who)
        device = self.new_device(who)
        until = self.village.now_ms + self.dice.choice([DAY_MS, 1500])
        limit = (Limit((NOTE,), self.dice.choice([1, 2]), until),)
        island.add_device(who, device, self.identity_base(island, who), limit=limit)
        for _ in range(self.dice.randrange(1, 4)):
            if self.dice.random() < 0.7:
                island.note(device)
            elif self.dice.random() < 0.5:
                island.write(device, NOTICE, Number(1), log=1)
            else:
                island.invite(device, f"ticket {len(self.village.tickets)}")

    def close(self) -> None:
        who = self.person()
        island = self.at(who)
        device = self.device(who, island)
        if self.dice.random() < 0.2 and self.granted(island, who.node):
            device = who.node
        island.close(device, who.member, self.place(island, device, 1), **self.how(island, device))

    # --- (C) -------------------------------------------------------------------------------------

    def remove(self) -> None:
        by, who = self.coordinator(), self.subject()
        island = self.at(by)
        until = self.village.now_ms + self.dice.choice([500, 5000, 10 * DAY_MS])
        island.remove(
            by,
            who,
            self.endings(island, who),
            until if self.dice.random() < 0.4 else 0,
            **self.how(island, by.device),
        )

    def demote(self) -> None:
        by, who = self.coordinator(), self.subject()
        island = self.at(by)
        role = self.dice.choice([1, 1, 2, 3])
        island.demote(by, who, role, self.endings(island, who), **self.how(island, by.device))

    def give(self) -> None:
        by = self.coordinator()
        island = self.at(by)
        role = Role(self.dice.randrange(1, 5))
        island.give(by, self.subject(), role, **self.how(island, by.device))

    def branch(self) -> None:
        """Somebody names a branch of a device, forked or not."""
        by, who = self.coordinator(), self.subject()
        island = self.at(by)
        device = self.device(who, island)
        ending = Ending(
            bytes(keys_of(device).id), self.place(island, device, 0), self.place(island, device, 1)
        )
        island.branch(by, who, ending, **self.how(island, by.device))

    def revoke(self) -> None:
        island = self.dice.choice(self.islands)
        targets = [*self.known(island, "membership.node"), *self.known(island, "membership.invite")]
        target = self.dice.choice([*targets, self.dice.choice(sorted(island.known))])
        every = self.village.all
        device = every[target].header.device
        owner = next((p for p in PEOPLE if keys_of(p.device).id == device), EVE)
        by = self.dice.choice([owner, self.coordinator()])
        island = self.at(by)
        self.tell(island, target)
        granted = self.village.grants(target)
        endings: list[Ending] = []
        for who in PEOPLE:
            if granted == keys_of(who.node):
                endings = [island.ending(who.node)]
        island.revoke(by, target, owner, endings, **self.how(island, by.device))

    # --- (D) -------------------------------------------------------------------------------------

    def invite_and_admit(self) -> None:
        by = self.person()
        island = self.at(by)
        device = self.device(by, island)
        label = f"ticket {len(self.village.tickets)}"
        days = self.dice.choice([30, 30, 30, 0])
        invite = island.invite(device, label, 1, days, **self.how(island, device))
        islands = self.islands if self.dice.random() < 0.3 else [island]
        for place in islands:
            place.learn(self.village.all[invite].view | {invite})
        for number, place in enumerate(islands):
            if self.dice.random() < 0.8:
                newcomer = Person(f"guest {len(self.village.tickets)} {number}")
                here = [p for p in (ALICE, BOB, EVE) if self.homes[p.name] is place] or [ALICE]
                who = self.dice.choice(here)
                carrier = who.node if self.dice.random() < 0.9 else who.device
                self.admit(place, carrier, invite, newcomer)

    def admit(
        self, island: Island, node: DeviceSecrets, invite: OperationId, newcomer: Person
    ) -> None:
        if not self.granted(island, node):
            return
        island.admit(node, invite, newcomer, **self.how(island, node))
        if self.dice.random() < 0.5:
            island.note(newcomer.device)

    def grant_node(self) -> None:
        who = self.person()
        island = self.at(who)
        device = self.device(who, island)
        node = secrets(f"{who.name}'s node {self.dice.randrange(2)}")
        self.devices.setdefault(f"{who.name} nodes", []).append(node)
        island.grant_node(device, who.member, node, **self.how(island, device))
        if self.dice.random() < 0.6:
            island.write(node, METER, Number(1), log=1)

    def readmit(self) -> None:
        """Somebody who was suspended comes back, or tries to."""
        who = self.dice.choice([DAN, EVE, ERIN, EVE])
        island = self.at(who)
        removals = [
            i
            for i in self.known(island, "membership.removal")
            if self.village.all[i].header.document == who.member
        ]
        if not removals and self.dice.random() < 0.8:
            by = self.dice.choice([*self.council])
            until = self.village.now_ms + self.dice.choice([500, 5000])
            ending = island.ending(who.device)
            there = self.at(by)
            there.learn(island.known)
            self.tell(island, there.remove(by, who, [ending], until))
        new = self.new_device(who)
        old = who.device if self.dice.random() < 0.9 else EVE.device
        later = self.dice.choice([0, 6000, 20 * DAY_MS])
        sponsor = self.dice.choice([ALICE, EVE])
        carrier = sponsor.node if sponsor is ALICE else sponsor.device
        for removal in self.known(island, "membership.removal"):
            self.tell(self.at(sponsor), removal)
        island = self.at(sponsor)
        island.readmit(carrier, who, new, old, later_ms=later, **self.how(island, carrier))
        if self.dice.random() < 0.6:
            island.note(new)

    def prove(self) -> None:
        """Somebody shows a fork to people who have not seen both sides, or no fork at all."""
        by = self.person()
        island = self.at(by)
        every = self.village.all
        places: dict[tuple[bytes, int, int], list[OperationId]] = {}
        for i in sorted(every):
            h = every[i].header
            places.setdefault((h.device, h.log, h.seq), []).append(i)
        pairs = [ids[:2] for ids in places.values() if len(ids) > 1]
        if pairs and self.dice.random() < 0.8:
            one, two = self.dice.choice(pairs)
        else:
            one, two = self.dice.sample(sorted(every), 2)
        device = self.device(by, island)
        if not any(
            self.village.grants(i) is not None
            and self.village.grants(i).id == every[one].header.device  # type: ignore[union-attr]
            for i in island.known
        ):
            return
        island.prove(device, one, two, **self.how(island, device))

    def botch(self) -> None:
        """Signatures, documents and shapes that are not right, each by itself."""
        who = self.person()
        island, device = self.at(who), who.device
        guest, label = Person(f"guest {len(self.village.all)}"), f"t {len(self.village.all)}"
        match self.dice.randrange(8):
            case 0:
                wrong = RoleAct(EVE.member, 2)
                self.at(ALICE).write(ALICE.device, "membership.role.1", wrong, document=DAN.member)
            case 1:
                member = self.dice.choice([p for p in PEOPLE if p is not who]).member
                island.grant_node(device, member, secrets(f"{who.name}'s botched node"))
            case 2:
                weak = island.village.weak_node(who.member)
                island.write(device, "membership.node.1", weak, document=who.member)
            case 3:
                invite = island.invite(ALICE.device, label)
                island.admit(ALICE.node, invite, guest, ticket_of="another")
            case 4:
                invite = island.invite(ALICE.device, label)
                island.admit(ALICE.node, invite, guest, signed_by=EVE.device)
            case 5:
                invite = island.invite(ALICE.device, label)
                island.admit(ALICE.node, invite, guest)
                island.admit(ALICE.node, invite, Person(f"{guest.name} again"))
            case 6:
                island.give(ALICE, EVE, Role.STEWARD, parts=[("text", b"hello")])
            case _:
                island.write(device, "membership.invite.1", b"x" * 45_000)

    def meet(self) -> None:
        one, two = self.dice.sample(self.islands, 2)
        one.meet(two)

    # --- all of it -------------------------------------------------------------------------------

    def step(self) -> None:
        acts: list[tuple[int, Act]] = [
            (4, self.speak),
            (1, self.babble),
            (3, self.propose),
            (2, self.endorse),
            (2, self.prepare),
            (3, self.decide),
            (2, self.settle),
            (1, self.kiosk),
            (3, self.add_device),
            (3, self.recover),
            (1, self.guard),
            (1, self.pick),
            (2, self.twins),
            (3, self.close),
            (5, self.remove),
            (2, self.demote),
            (2, self.give),
            (2, self.branch),
            (2, self.revoke),
            (3, self.invite_and_admit),
            (2, self.grant_node),
            (3, self.readmit),
            (2, self.prove),
            (2, self.botch),
            (5, self.meet),
        ]
        (act,) = self.dice.choices([a for _, a in acts], [w for w, _ in acts])
        act()


COUNCILS: tuple[tuple[Person, ...], ...] = (
    (ALICE,),
    (ALICE, BOB),
    (ALICE, BOB, CAROL),
    (ALICE, BOB, CAROL),
)


def random_set(seed: int, acts: int = 12) -> Village:
    """The village after a random history of at most ``acts`` steps."""
    dice = random.Random(seed)
    council = dice.choice(COUNCILS)
    village, home = settled(council)
    islands = [home, village.island("left", home.known), village.island("right", home.known)]
    told = Dice(dice, village, islands, council)
    for _ in range(dice.randrange(1, acts + 1)):
        told.step()
    return village


@cache
def _prologue(council: tuple[Person, ...]) -> tuple[Village, Island]:
    return prologue(council)


def settled(council: tuple[Person, ...]) -> tuple[Village, Island]:
    """A copy of the prologue."""
    village, home = _prologue(council)
    copy = replace(
        village, all={**village.all}, tickets={**village.tickets}, roots={**village.roots}
    )
    return copy, Island(copy, "home", {*home.known}, {**home.tips})
