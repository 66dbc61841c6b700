"""Things and loans for a village: whole loans, each step signed by the one whose step it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from random import Random

import msgspec

from bench import things
from bench.things import Making
from bench.village import Village, Villager
from commons_crdt.author import Draft
from commons_crdt.ids import ZERO, DocumentId, MemberId, OperationId
from commons_crdt.operation import Operation, operation_id
from commons_crdt.roles import Role
from commons_node.domains.lending.facts import (
    ACCEPT,
    HANDOVER,
    RECEIVE,
    REQUEST,
    RETURN,
    Accept,
    Handover,
    Receive,
    Request,
    Return,
)
from commons_node.domains.resources.facts import ITEM, SPECIFICATION, SPECIFICATION_SCHEMA
from commons_node.membership.settling import identity_of
from commons_node.verifier.pool import VerifierPool
from commons_node.verifier.work import create_documents

_KINDS = 20
_SLICE = 500
_DAY_MS = 24 * 3_600_000
_Step = tuple[Villager, Draft]


class Shed:
    """The things of a village and their loans. ``done``: (loan, thing) in their order."""

    def __init__(self, village: Village, pool: VerifierPool) -> None:
        """Empty; ``stewards`` comes first."""
        self._village = village
        self._pool = pool
        self._stewards: list[Villager] = []
        self._things: list[OperationId] = []
        self._moves: dict[OperationId, bytes] = {}
        self._chance = Random(1)
        self.done: list[tuple[bytes, bytes]] = []

    @property
    def people(self) -> list[MemberId]:
        """Everybody but the founder."""
        return [member_of(one) for one in self._village.people]

    async def stewards(self, count: int) -> None:
        """So many may lend."""
        self._stewards = self._village.people[:count]
        await self._village.name(self._stewards, Role.STEWARD)
        await self._village.name(self._village.people[count:], Role.MEMBER)

    async def things(self, count: int) -> None:
        """So many things, described by the first steward."""
        author = self._stewards[0]
        device = author.secrets.keys.id
        fields = things.kinds(_KINDS)
        created = await self._pool.call(create_documents, device, fields, SPECIFICATION_SCHEMA)
        kinds = await self._write([(author, Draft(SPECIFICATION, change)) for change in created])
        makings = [Making(n, kinds[n % _KINDS], 0, device) for n in range(count)]
        grown = [one for one in await self._pool.map(things.grow, makings, 125) if one]
        drafts = [(author, Draft(ITEM, changes[0])) for changes in grown]
        for at in range(0, count, _SLICE):
            self._things += await self._write(drafts[at : at + _SLICE])

    async def lend(self, count: int, say: Callable[[str], None]) -> None:
        """So many loans, each out and back by two signatures, some at once."""
        borrowers = self._village.people[len(self._stewards) :]
        together = min(_SLICE, len(borrowers), len(self._things))
        while len(self.done) < count:
            many = min(together, count - len(self.done))
            await self._round(
                self._chance.sample(self._things, many), self._chance.sample(borrowers, many)
            )
            say(f"  lent: {len(self.done)} of {count}")

    async def _round(self, lent: Sequence[OperationId], by: Sequence[Villager]) -> None:
        now = self._village.now_ms
        givers = [self._chance.choice(self._stewards) for _ in lent]
        loans = await self._write(
            (who, Draft.fact(REQUEST, Request(thing, now, now + 3 * _DAY_MS, "UTC")))
            for who, thing in zip(by, lent, strict=True)
        )
        each = list(zip(givers, by, lent, loans, strict=True))
        offers = await self._write(
            (
                giver,
                about(
                    HANDOVER, loan, Handover(thing, member_of(who), self._moves.get(thing, ZERO))
                ),
            )
            for giver, who, thing, loan in each
        )
        taken = await self._write(
            (who, about(ACCEPT, loan, Accept(offer, thing)))
            for (_, who, thing, loan), offer in zip(each, offers, strict=True)
        )
        back = await self._write(
            (who, about(RETURN, loan, Return(thing, accept)))
            for (_, who, thing, loan), accept in zip(each, taken, strict=True)
        )
        closed = await self._write(
            (
                giver,
                about(RECEIVE, loan, Receive(offer, thing, member_of(who), "ok", accept)),
            )
            for (giver, who, thing, loan), offer, accept in zip(each, back, taken, strict=True)
        )
        self._moves.update(zip(lent, closed, strict=True))
        self.done += [(loan, thing) for _, _, thing, loan in each]

    async def _write(self, steps: Iterable[_Step]) -> list[OperationId]:
        """Sign and take; the ids in the order of ``steps``."""
        given = list(steps)
        by: defaultdict[Villager, list[int]] = defaultdict(list)
        for n, (author, _) in enumerate(given):
            by[author].append(n)
        self._village.pass_time()
        made: dict[int, Operation] = {}
        for author, numbers in by.items():
            drafts = [given[n][1] for n in numbers]
            made.update(zip(numbers, await self._village.draw(author, drafts), strict=True))
        await self._village.take([made[n] for n in range(len(given))])
        return [operation_id(made[n].header) for n in range(len(given))]


def about(kind: str, loan: OperationId, body: msgspec.Struct) -> Draft:
    """A step of a loan."""
    return Draft.fact(kind, body, document=DocumentId(loan))


def member_of(one: Villager) -> MemberId:
    """Whose device this is."""
    return identity_of(one.secrets).member
