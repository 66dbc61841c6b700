"""Alice, bob and eve coordinate the street, each at a node of their own; seals are due soon."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.street import Home, agree, homes, open_realm
from tests.unit.town import DAY_MS, START_MS, erasure, person

from commons_crdt.author import Draft
from commons_crdt.authority.ballots import Step, propose
from commons_crdt.authority.council_facts import Coordinators, CouncilAct, CouncilContent, Seal, Tip
from commons_crdt.authority.facts import Removal
from commons_crdt.authority.kinds import REMOVAL
from commons_crdt.authority.kinds_council import ACT
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.operation import Operation
from commons_crdt.roles import Role
from commons_node.community import Community
from commons_node.realm.authoring import Written
from commons_node.sealing.due import prepare
from commons_node.sealing.keeper import TURN_MS, Keeper
from commons_node.store.database import fetch
from commons_node.verifier.pool import VerifierPool

DUE = 12
"""How many operations make a seal due in this street."""


@dataclass(slots=True)
class Three:
    """Alice's, bob's and eve's nodes."""

    alice: Home
    bob: Home
    eve: Home
    pool: VerifierPool
    born: int = START_MS

    @property
    def all(self) -> tuple[Home, Home, Home]:
        return self.alice, self.bob, self.eve

    async def meet(self) -> None:
        """Everybody learns what the others know."""
        await agree(*self.all)

    async def borrow(self, number: str = "7") -> str:
        """Cia adds a drill at alice's, dan asks for it: operations to be sealed; the loan."""
        self.alice.people |= {"cia": person("cia"), "dan": person("dan")}
        await self.alice.do("cia", "resource.add", name=f"Drill {number}", number=number)
        asked = await self.alice.do("dan", "loan.request", resource=number, days=3)
        for n in range(DUE):
            await self.alice.do("cia", "resource.edit", resource=number, notice=f"note {n}")
        return str(asked["loan"])

    async def write_as(self, home: Home, name: str, draft: Draft) -> Written:
        """Somebody writes past the verbs."""
        grant = home.realm.judge.authority.devices[person(name).device.keys.id].id
        home.now += 1000
        (written,) = await home.realm.write([draft], person(name).device, grant)
        assert written.judgement.reason == ""
        return written

    async def remove(self, name: str) -> None:
        """Alice removes somebody and lists no ending: cut at nothing."""
        member = person(name).member
        body = Removal(member, 0, (), "conduct")
        draft = Draft.fact(REMOVAL, body, log=0, document=DocumentId(member))
        await self.write_as(self.alice, "alice", draft)

    async def erase_loan(self, name: str, loan: str) -> OperationId:
        """Somebody erases a request of theirs."""
        target = await self.alice.realm.standing(OperationId(bytes.fromhex(loan)))
        assert target is not None
        return (await self.write_as(self.alice, name, erasure(target))).id

    async def dismiss(self, name: str) -> None:
        """Alice and eve decide that somebody is no coordinator any more."""
        asked = await self.alice.do(
            "alice", "community.propose", what="coordinators", drop=[name], keep="member"
        )
        await self.alice.tell(self.eve)
        done = await self.eve.do("eve", "community.endorse", operation=asked["operation"])
        assert done["state"] == "in_force"

    async def restart(self, home: Home) -> None:
        """A node stops and starts."""
        path = home.realm.store.database.path
        await home.realm.close()
        realm = await open_realm(home.realm.realm, path, self.pool)
        realm._now_ms = home.now_ms
        home.realm = realm
        home.sealing = Keeper(home)

    async def duel(self, leader: Home, voter: Home) -> None:
        """Two nodes without the first of the list: its next leads a ballot, the other promises."""
        for _ in range(8):
            for home in (leader, voter):
                home.now += TURN_MS if home is leader else 1000
                await look(home)
                await leader.tell(voter)
                await voter.tell(leader)
            if in_force(voter):
                return
        raise AssertionError("no seal came in force without the first of the list")

    async def rival(self, folder: Path, before: Sequence[Operation]) -> Home:
        """Alice's and bob's keys, copied, endorse another act on the base of the seal.

        ``before``: what was there before the seal; the copy knows nothing else.
        """
        realm = await open_realm(self.alice.realm.realm, folder / "copied.db", self.pool)
        people = {name: person(name) for name in ("alice", "bob")}
        home = Home("copied", realm, people, self.alice.now)
        realm._now_ms = home.now_ms
        await realm.ingest(before, "disk")
        asked = await home.do(
            "alice", "community.propose", what="constitution", settings=["epoch.days=30"]
        )
        done = await home.do("bob", "community.endorse", operation=asked["operation"])
        assert done["state"] == "in_force"
        return home


@asynccontextmanager
async def three(
    folder: Path,
    pool: VerifierPool,
    settings: Sequence[str] = (),
    order: str = "alice bob eve",
) -> AsyncIterator[Three]:
    """The nodes; a seal is due after ``DUE`` operations, and takes the newest too.

    ``order``: the council's list; its first may propose without being promised a ballot.
    """
    async with homes(folder, pool, "north south east", {"eve": Role.STEWARD}) as found:
        north, south, east = found
        here = Three(north, south, east, pool)
        usual = [f"seal.operations={DUE}", "seal.margin.hours=0", *settings]
        await here.alice.do("alice", "community.propose", what="constitution", settings=usual)
        people = [person(name) for name in order.split()]
        seats = tuple((bytes(who.member), bytes(who.device.keys.id)) for who in people)
        await put(here.alice, "alice", Coordinators(seats, ()))
        for home, name in zip(here.all, ("alice", "bob", "eve"), strict=True):
            home.people = {name: person(name)}
        await here.meet()
        yield here


async def look(home: Home) -> str:
    """A node's keeper of seals takes a look."""
    home.now += 1000
    return await home.sealing.look(Community(home.realm))


async def honest_seal(home: Home, name: str) -> Seal:
    """What somebody's node would propose now."""
    made = await prepare(home.realm, person(name).device.keys.id, home.now)
    assert made.content is not None, made.why
    return made.content


async def put(home: Home, name: str, content: CouncilContent) -> Written:
    """Somebody who is first of the list puts something to the vote, past all checks."""
    polity = home.realm.judge.authority.polity
    assert polity is not None
    step = propose(polity.council, polity.acts[-1], person(name).device.keys.id, content)
    assert isinstance(step, Step)
    assert isinstance(step.body, CouncilAct), "the first of the list needs no promises"
    grant = home.realm.judge.authority.devices[person(name).device.keys.id].id
    home.now += 1000
    draft = Draft.fact(ACT, step.body, log=0, refs=step.refs)
    (written,) = await home.realm.write([draft], person(name).device, grant)
    return written


def tip_of(home: Home, name: str, log: int = 1) -> Tip:
    """The last operation of somebody's device, as a seal lists it."""
    device = person(name).device.keys.id
    top = home.realm.memory.top(device, log)
    assert top is not None
    return Tip(device, log, top.seq, top.id)


def operation(answer: Mapping[str, Any]) -> OperationId:
    """What a verb says that it wrote."""
    return OperationId(bytes.fromhex(answer["operation"]))


async def settled_ids(home: Home) -> set[bytes]:
    """What the table of a node says is settled."""
    query = "SELECT o.id FROM settled t JOIN operations o ON o.n = t.operation"
    return {ident for (ident,) in await fetch(home.realm.store.database.read, query)}


async def verdicts(home: Home) -> dict[bytes, tuple[int, str]]:
    """(verdict, reason) of everything that a node holds."""
    query = "SELECT id, verdict, reason FROM operations"
    return {i: (v, r) for i, v, r in await fetch(home.realm.store.database.read, query)}


def in_force(home: Home) -> list[OperationId]:
    """The seals in force at a node."""
    return [one.seal for one in home.realm.judge.seals()]


__all__ = ["DAY_MS"]
