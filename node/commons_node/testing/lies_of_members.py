"""Lies of members about who they are: after a cut, by forks, by devices, by guardians."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from commons_crdt.author import Draft
from commons_crdt.authority.identity_facts import Limit
from commons_crdt.ids import OperationId, digest
from commons_crdt.operation import Operation, operation_id
from commons_crdt.roles import Role
from commons_node.domains.lending.facts import REQUEST, Request
from commons_node.domains.membership.facts import PROFILE
from commons_node.testing.acts import DAY_MS, invitation, renamed, role_act
from commons_node.testing.liars import Told
from commons_node.testing.node import Node
from commons_node.testing.residents import Resident
from commons_node.testing.schemes import Branches, Scheme, asked, coordinators, ident, publish
from commons_protocol.codes import invite_key

_HEARD_S = 3.0


class _Removed(Scheme):
    """An honest coordinator removes the puppet; it goes on."""

    parts: ClassVar = {"leaver": Role.MEMBER}

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        leaver = self.puppet(node, "leaver")
        here = coordinators(node.town)
        if not here:
            return Told()
        before = await leaver.sign(renamed(leaver.member, "still here", rng), aware=False)
        await publish(node, before)
        await asyncio.sleep(_HEARD_S)
        told = await self.prepared(node, leaver, rng)
        who = leaver.member.hex()
        if ident(await asked(here[0], "member.remove", who=who, reason="conduct")) is None:
            return Told()
        await asyncio.sleep(rng.uniform(0, 2 * _HEARD_S))
        await publish(node, *told)
        return Told(told)

    async def prepared(self, node: Node, leaver: Resident, rng: random.Random) -> list[Operation]:
        """What it will say that it had written before."""
        raise NotImplementedError


class Revenge(_Removed):
    """The removed writes on, behind the old end and dated back, as if nothing had happened."""

    name: ClassVar = "revenge"

    async def prepared(self, node: Node, leaver: Resident, rng: random.Random) -> list[Operation]:
        """See the class."""
        invite = invitation(invite_key(rng.randbytes(16)), 3, node.now_ms() + DAY_MS)
        first = await leaver.sign(renamed(leaver.member, "revenge", rng), aware=False)
        second = await leaver.sign(renamed(leaver.member, "revenge", rng), after=first, aware=False)
        return [await leaver.sign(invite, aware=False), first, second]


class PastTheCut(_Removed):
    """The removed makes another device theirs, and writes with that one."""

    name: ClassVar = "past_the_cut"

    async def prepared(self, node: Node, leaver: Resident, rng: random.Random) -> list[Operation]:
        """See the class."""
        new = leaver.new_machine()
        grant = await leaver.sign(leaver.another_device(node.realm, new), aware=False)
        word = await leaver.sign(
            renamed(leaver.member, "revenge", rng), after=grant, device=new, aware=False
        )
        return [grant, word]


class Eraser(Branches):
    """A second first operation, so that all that was written since hangs on nothing."""

    name: ClassVar = "eraser"
    parts: ClassVar = {"writer": Role.MEMBER}

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        writer = self.puppet(node, "writer")
        grant = writer.grant()
        assert grant is not None
        told: list[Operation] = []
        for _ in range(3):
            after = told[-1] if told else grant
            draft = renamed(writer.member, "writer", rng)
            told.append(await writer.sign(draft, after=after))
        await publish(node, *told)
        await asyncio.sleep(_HEARD_S)
        draft = renamed(writer.member, "somebody else", rng)
        other = await writer.sign(draft, after=grant, aware=False)
        await publish(node, other)
        return Told([*told, other])


async def _two(puppet: Resident, rng: random.Random, after: OperationId) -> list[Operation]:
    """Two operations at one place of log 1."""
    return [
        await puppet.sign(renamed(puppet.member, word, rng), after=after)
        for word in ("left", "right")
    ]


class RevivedBranch(Branches):
    """An honest coordinator has named a branch; a friend builds on the other one."""

    name: ClassVar = "revived_branch"
    parts: ClassVar = {"forker": Role.MEMBER, "friend": Role.MEMBER}

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        forker, friend = self.puppet(node, "forker"), self.puppet(node, "friend")
        left, right = await _two(forker, rng, await forker.tip(1))
        await publish(node, left, right)
        await asyncio.sleep(_HEARD_S)
        named = operation_id(left.header).hex()
        device = forker.secrets.keys.id.hex()
        for one in coordinators(node.town)[:1]:
            await asked(one, "fork.resolve", device=device, branch=named)
        on = await forker.sign(renamed(forker.member, "right", rng), after=right)
        loyal = await friend.sign(renamed(friend.member, "friend", rng), refs=[on])
        await publish(node, right, on, loyal)
        return Told([right, on])


class RetiresToABranch(Branches):
    """The owner of a forked device retires it behind the fork, on the branch that they like."""

    name: ClassVar = "retires_to_a_branch"
    parts: ClassVar = {"forker": Role.MEMBER}

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        forker = self.puppet(node, "forker")
        told = await _two(forker, rng, await forker.tip(1))
        await publish(node, told[0])
        end = await forker.ending()
        terms = forker.terms(node.realm, forker.new_machine(), [end])
        retired = await forker.sign(forker.by_paper(node.realm, terms))
        await publish(node, told[1], retired)
        return Told(told)


class TwoRecoveries(Scheme):
    """A guardian endorses two recoveries at once, to two devices."""

    name: ClassVar = "two_recoveries"
    parts: ClassVar = {"guardian": Role.MEMBER}

    def cast(self, seed: int, known: Mapping[str, Resident]) -> dict[str, Resident]:
        """See the class."""
        found = super().cast(seed, known)
        guardian = [found[f"{self.name}.guardian"]]
        ward = Resident(seed, f"ward of {self.name}", Role.MEMBER, guardian, 1)
        return {**found, f"{self.name}.ward": ward}

    async def tell(self, node: Node, _rng: random.Random) -> Told:
        """See the class."""
        guardian, ward = self.puppet(node, "guardian"), self.puppet(node, "ward")
        told: list[Operation] = []
        fit = [ward.terms(node.realm, ward.new_machine(), [await ward.ending()]) for _ in range(2)]
        for terms in fit:
            endorsed = await guardian.sign(ward.endorsement(node.realm, terms))
            await publish(node, endorsed)
            draft = ward.by_guardians(terms, [operation_id(endorsed.header)])
            told.append(await guardian.sign(draft))
            await publish(node, told[-1])
        return Told(told)

    def harm(self, honest: Node, told: Sequence[OperationId]) -> str:
        """Alone, either would do; both never."""
        verdicts = {i: v for i, v, _ in honest.stored()}
        if all(one in verdicts for one in told):
            return super().harm(honest, told)
        return ""


class NodeOversteps(Scheme):
    """The device of a node writes what only members may."""

    name: ClassVar = "node_oversteps"
    parts: ClassVar = {"guest": Role.NEWCOMER}

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        device = node.standing.device(node.realm.realm)
        assert device is not None
        guest = self.puppet(node, "guest")
        told: list[Operation] = []
        for draft in (renamed(node.member, node.name, rng), role_act(guest, Role.STEWARD)):
            told.append(await guest.sign(draft, device=device))
            await publish(node, told[-1])
        return Told(told)


class KioskExceeds(Scheme):
    """A device of a limited grant writes more than it may, and other things."""

    name: ClassVar = "kiosk_exceeds"
    parts: ClassVar = {"owner": Role.MEMBER}

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        owner = self.puppet(node, "owner")
        kiosk = owner.new_machine()
        limit = Limit((PROFILE,), 2, node.now_ms() + DAY_MS)
        grant = await owner.sign(owner.another_device(node.realm, kiosk, [limit]))
        await publish(node, grant)
        made: list[Operation] = []
        for _ in range(3):
            draft = renamed(owner.member, "kiosk", rng)
            made.append(await owner.sign(draft, device=kiosk))
            await publish(node, made[-1])
        now = node.now_ms()
        body = Request(digest("item", rng.randbytes(8)), now, now + DAY_MS, "UTC")
        other = await owner.sign(Draft.fact(REQUEST, body), device=kiosk)
        await publish(node, other)
        return Told([made[2], other])


class Unlisted(Scheme):
    """A kind that nobody has heard of, in either log."""

    name: ClassVar = "unlisted_kind"
    parts: ClassVar = {"inventor": Role.MEMBER}

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        inventor = self.puppet(node, "inventor")
        told: list[Operation] = []
        for log in (0, 1):
            draft = Draft("town.magic.1", rng.randbytes(20), log)
            told.append(await inventor.sign(draft))
            await publish(node, told[-1])
        return Told(told)
