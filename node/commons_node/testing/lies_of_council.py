"""Lies of a coordinator: broken promises, forged ballots, two voices, seals of what is not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import ClassVar

from commons_crdt.author import Draft
from commons_crdt.authority.council_facts import (
    Ballot,
    CouncilAct,
    CouncilContent,
    Endorse,
    Promise,
    Seal,
    Settings,
    Tip,
)
from commons_crdt.authority.facts import Demotion, Removal
from commons_crdt.authority.kinds import DEMOTION, REMOVAL
from commons_crdt.authority.kinds_council import ACT, BALLOT, ENDORSE, PROMISE
from commons_crdt.ids import DocumentId, OperationId, digest
from commons_crdt.operation import Operation, operation_id
from commons_crdt.roles import Role
from commons_node.domains.council.acts import ledger
from commons_node.testing.liars import Told
from commons_node.testing.node import Node
from commons_node.testing.residents import Resident
from commons_node.testing.schemes import SEAT, Branches, Scheme, asked, coordinators, ident, publish

_HEARD_S, _PATIENCE = 3.0, 8
"""How long it takes until the others have heard of something."""


class _Seated(Scheme):
    seated: ClassVar = True

    def seat(self, node: Node) -> Resident:
        """The puppet in the council."""
        return node.town.puppets[SEAT]

    def base(self, node: Node) -> OperationId:
        """The act that is in force last."""
        return node.realm.judge.authority.council.base

    def index(self, node: Node) -> int:
        """Of the puppet among those listed."""
        seats = node.realm.judge.authority.council.seats
        return [device for _, device in seats].index(self.seat(node).secrets.keys.id)

    def turn(self, node: Node) -> int:
        """A round that is higher than any on the table."""
        council, base = ledger(node.community)
        ranks = [m.rank[0] for m in council.messages.values() if m.base == base]
        return max(ranks, default=0) + 1

    async def led(self, node: Node) -> tuple[int, Sequence[OperationId]]:
        """Ask for a ballot: its round, and the promises of others that came."""
        seat, turn = self.seat(node), self.turn(node)
        body = Promise(self.base(node), turn, self.index(node))
        wish = await seat.sign(Draft.fact(PROMISE, body, log=0))
        await publish(node, wish)
        await asyncio.sleep(_HEARD_S)
        for other in coordinators(node.town):
            await asked(other, "community.endorse", operation=operation_id(wish.header).hex())
        await asyncio.sleep(_HEARD_S)
        council, base = ledger(node.community)
        book = council.book
        found = [
            book.entries[n].id
            for n, m in council.messages.items()
            if m.base == base
            and m.rank == (turn, self.index(node))
            and m.device != seat.secrets.keys.id
            and isinstance(book.entries[n].body, Promise)
        ]
        return turn, found[:8]

    async def put(
        self, node: Node, turn: int, content: CouncilContent, refs: Sequence[OperationId] = ()
    ) -> Operation:
        """An act of the puppet's."""
        body = CouncilAct(self.base(node), turn, content)
        return await self.seat(node).sign(Draft.fact(ACT, body, log=0, refs=refs))


class BrokenPromise(_Seated):
    """A key that has promised a ballot puts an act to a lower one, and one to a higher alone."""

    name: ClassVar = "broken_promise"

    async def tell(self, node: Node, _rng: random.Random) -> Told:
        """See the class."""
        turn = self.turn(node)
        body = Promise(self.base(node), turn + 5, self.index(node))
        promise = await self.seat(node).sign(Draft.fact(PROMISE, body, log=0))
        await publish(node, promise)
        low = await self.put(node, turn, Settings((("motto", "mine"),)))
        await publish(node, low)
        high = await self.put(node, turn + 5, Settings((("motto", "mine"),)))
        await publish(node, high)
        return Told([low, high])


class ForgedValue(_Seated):
    """A ballot for an act that nobody put, and one for another than the promises show."""

    name: ClassVar = "forged_value"

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        told: list[Operation] = []
        for one in coordinators(node.town)[:1]:
            mine = f"motto=ours {rng.randrange(1000)}"
            done = await asked(one, "community.propose", what="constitution", settings=[mine])
            await asyncio.sleep(_HEARD_S)
            base = self.base(node)
            if done.get("state") == "open" and ident(done) is not None:
                turn, promised = await self.led(node)
                shown = [i for i in promised if self._shows(node, i)]
                if shown and base == self.base(node):
                    forged = Settings((("motto", "mine"),))
                    told.append(await self.put(node, turn, forged, shown))
                    await publish(node, *told)
        body = Ballot(self.base(node), self.turn(node) + 1, rng.randbytes(32))
        ballot = await self.seat(node).sign(Draft.fact(BALLOT, body, log=0))
        await publish(node, ballot)
        return Told([*told, ballot])

    def _shows(self, node: Node, promise: OperationId) -> bool:
        """Whether the author of a promise had put or endorsed something at the base before."""
        council, base = ledger(node.community)
        n = council.book.numbers[promise]
        before = council.book.entries[n].line & ~(1 << n)
        return any(
            m.base == base and m.counts and before >> k & 1
            and isinstance(council.book.entries[k].body, CouncilAct | Ballot | Endorse)
            for k, m in council.messages.items()
        )  # fmt: skip


class AgainstAnEqual(_Seated):
    """A coordinator alone removes another, and lowers a third."""

    name: ClassVar = "against_an_equal"

    async def tell(self, node: Node, _rng: random.Random) -> Told:
        """See the class."""
        told: list[Operation] = []
        mine = self.seat(node).member
        seats = node.realm.judge.authority.council.seats
        for n, (member, _) in enumerate(one for one in seats if one[0] != mine):
            body: Removal | Demotion = Removal(member, 0, (), "conduct")
            if n:
                body = Demotion(member, 1, (), "conduct")
            kind = REMOVAL if isinstance(body, Removal) else DEMOTION
            draft = Draft.fact(kind, body, log=0, document=DocumentId(member))
            told.append(await self.seat(node).sign(draft))
            await publish(node, told[-1])
        return Told(told)


class SealOfNothing(_Seated):
    """A seal, with promises that it needs, whose tip is an operation of another place."""

    name: ClassVar = "seal_of_nothing"

    async def tell(self, node: Node, _rng: random.Random) -> Told:
        """See the class."""
        turn, promised = await self.led(node)
        genesis = ledger(node.community)[0].book.entries[0]
        tip = Tip(genesis.device, 0, 2, genesis.id)
        false = await self.put(node, turn, Seal((tip,), digest("state", b"mine")), promised)
        await publish(node, false)
        return Told([false])


class WrongHash(_Seated):
    """A seal of the right tips and a state that there never was: a ballot, and never in force.

    Not in a story in which the liar also promises a ballot to somebody honest: who leads that one
    is bound by the rules of ballots to repeat what the promise shows.
    """

    name: ClassVar = "wrong_hash"
    last: ClassVar = True

    async def tell(self, node: Node, _rng: random.Random) -> Told:
        """See the class."""
        turn, promised = await self.led(node)
        genesis = ledger(node.community)[0].book.entries[0]
        tip = Tip(genesis.device, 0, 1, genesis.id)
        false = await self.put(node, turn, Seal((tip,), digest("state", b"mine")), promised)
        await publish(node, false)
        return Told([false])

    def met(self, honest: Node, _liar: Node, told: Sequence[OperationId]) -> int:
        """It knows it."""
        held = {one for one, _, _ in honest.stored()}
        return sum(one in held for one in told)

    def harm(self, honest: Node, told: Sequence[OperationId]) -> str:
        """Nobody honest endorses it."""
        in_force = set(told) & set(honest.realm.judge.authority.council.chain)
        return f"a seal of a wrong state is in force at {honest.name}" if in_force else ""


class DoubleEndorsement(_Seated, Branches):
    """One key endorses two acts on one base, on two branches: the community may be split."""

    name: ClassVar = "double_endorsement"
    last: ClassVar = True

    async def tell(self, node: Node, _rng: random.Random) -> Told:
        """See the class; the others do nothing wrong."""
        seat = self.seat(node)
        for _ in range(_PATIENCE):
            council, base = ledger(node.community)
            if not any(m.base == base for m in council.messages.values()):
                break
            await asyncio.sleep(_HEARD_S)  # until there is nothing on the table
        fork = await seat.tip(0)
        right, left = await self._voices(node, fork)
        if not left:  # it comes to nothing: two voices all the same, for two ballots
            turn, mine = self.turn(node), self.index(node)
            for n, words in enumerate((right, left)):
                promise = Promise(self.base(node), turn + n, mine)
                draft = Draft.fact(PROMISE, promise, log=0)
                words.append(await seat.sign(draft, after=words[-1] if words else fork))
        await publish(node, *right, *left)
        return Told([*right, *left])

    async def _voices(
        self, node: Node, fork: OperationId
    ) -> tuple[list[Operation], list[Operation]]:
        """Let two others propose, each hearing nothing of the other, and vote for both."""
        seat, base = self.seat(node), self.base(node)
        right: list[Operation] = []
        here = coordinators(node.town)
        if len(here) < 2:
            return right, []
        first = await self._propose(here[0], "left")
        wish = await self._propose(here[1], "right")
        await asyncio.sleep(_HEARD_S)
        council, now = ledger(node.community)
        known = council.book.numbers
        if not {first, wish} <= known.keys() or council.book.entries[now].id != base:
            return right, []
        assert first is not None
        assert wish is not None
        asked_for = council.messages[known[wish]]
        draft = Draft.fact(PROMISE, Promise(base, *asked_for.rank), log=0, refs=[wish])
        right.append(await seat.sign(draft, after=fork))
        await publish(node, *right)
        await asyncio.sleep(_HEARD_S)
        second = await self._propose(here[1], "right")
        await asyncio.sleep(_HEARD_S)
        if second is None or second not in known:
            return right, []
        draft = Draft.fact(ENDORSE, Endorse(base, second), log=0, refs=[second])
        right.append(await seat.sign(draft, after=right[0]))
        draft = Draft.fact(ENDORSE, Endorse(base, first), log=0, refs=[first])
        return right, [await seat.sign(draft, after=fork)]

    async def _propose(self, who: Node, words: str) -> OperationId | None:
        settings = [f"motto={words}"]
        return ident(await asked(who, "community.propose", what="constitution", settings=settings))

    def harm(self, honest: Node, _told: Sequence[OperationId]) -> str:
        """Its votes count, by their bytes; but where they split the council, it stays there."""
        council, _ = ledger(honest.community)
        now = honest.realm.judge.authority.council
        numbers = [council.book.numbers[act] for act in now.chain]
        if any(len(council.in_force(n)) > 1 for n in numbers[:-1]):
            return f"{honest.name} follows one of two acts that are in force side by side"
        if len(council.in_force(numbers[-1])) > 1 and not now.split:
            return f"{honest.name} does not say that the community is split"
        honest.town.faults["split"] += bool(now.split)
        return ""


class ForkedSeat(_Seated, Branches):
    """A coordinator forks log 0 and removes a member on each branch."""

    name: ClassVar = "forked_seat"
    parts: ClassVar = {"one": Role.MEMBER, "other": Role.MEMBER}

    async def tell(self, node: Node, _rng: random.Random) -> Told:
        """See the class."""
        seat, fork = self.seat(node), await self.seat(node).tip(0)
        told = []
        for victim in (self.puppet(node, part) for part in self.parts):
            body = Removal(victim.member, 0, (), "conduct")
            draft = Draft.fact(REMOVAL, body, log=0, document=DocumentId(victim.member))
            told.append(await seat.sign(draft, after=fork))
        await publish(node, *told)
        return Told(told)
