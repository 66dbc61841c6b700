"""The lies: each is one class, which tells it and knows by what honest nodes show that they met it.

To add one, add a class here; plans, storms, counts, batches and mutants find it by themselves.
"""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from nacl.signing import SigningKey

from commons_crdt.author import Draft
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.operation import Operation, decode_header, operation_id, salted
from commons_node.domains.resources.facts import SPECIFICATION, SPECIFICATION_SCHEMA
from commons_node.testing import lies_of_council, lies_of_members, lies_of_ranges
from commons_node.testing.acts import invitation
from commons_node.testing.liars import (
    Lie,
    Told,
    aside,
    behind,
    channel,
    counting,
    craft,
    hint,
    keep,
    near,
    offered,
    refused,
    rejected,
    renaming,
    resigned,
    say,
    spread,
    tip,
    visit,
)
from commons_node.testing.node import Node
from commons_node.testing.residents import Resident
from commons_node.testing.schemes import Scheme
from commons_node.testing.town import Town
from commons_node.verifier.work import create_documents
from commons_protocol import gossip
from commons_protocol.codes import invite_key

_HINTS = 100
_PUSHES = 300
"""More at once than anybody listens to, and not many more: floods are costly to simulate."""
_OLDEST = 16
_TIMES = 8
_HALF = 0.5
_MASKS = 5


class Fork(Lie):
    """Two branches from one place: some neighbours are told one, the others the other."""

    name: ClassVar = "fork"
    log: ClassVar = 1

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        end = await tip(node, self.log)
        one, two = [await craft(node, draft, end) for draft in self.drafts(node, rng)]
        there = near(node)
        rng.shuffle(there)
        half = (len(there) + 1) // 2
        say(node, [one, behind(node, one)], there[:half])
        say(node, [two, behind(node, two)], there[half:])
        if rng.random() < _HALF:
            await keep(node, [one])
        return Told([one, two])

    def drafts(self, node: Node, rng: random.Random) -> list[Draft]:
        """What the two branches begin with."""
        return [renaming(node, rng), renaming(node, rng)]

    def met(self, honest: Node, liar: Node, told: Sequence[OperationId]) -> int:
        """It knows the fork, or which branch it was told."""
        known = (liar.secrets.keys.id, self.log) in honest.realm.judge.forks
        held = {ident for ident, _, _ in honest.stored()}
        return int(known or any(ident in held for ident in told))


class ForkAuthority(Fork):
    """Two invites at one place of log 0, each with neighbours who believe in it."""

    name: ClassVar = "fork_authority"
    log: ClassVar = 0

    def drafts(self, node: Node, rng: random.Random) -> list[Draft]:
        """See ``Fork``."""
        seed, ends = rng.randbytes(16), node.now_ms() + 86_400_000
        return [invitation(invite_key(seed), n, ends) for n in (1, 2)]


class _Refused(Lie):
    """A false envelope: refused by a code, stored by nobody."""

    why: ClassVar[str]

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        false = self.falsify(node, await craft(node, renaming(node, rng), await tip(node)), rng)
        await spread(node, [false])
        return Told((), [false])

    def falsify(self, node: Node, honest: Operation, rng: random.Random) -> Operation:
        """The lie, out of what would be the truth."""
        raise NotImplementedError

    def met(self, honest: Node, liar: Node, told: Sequence[OperationId]) -> int:
        """It was offered this, and refused something of the liar's for this."""
        return min(offered(honest, liar, told), refused(honest, liar, self.why))


class BackDate(_Refused):
    """An operation that claims to be older than what it follows."""

    name: ClassVar = "back_date"
    why: ClassVar = "time"

    def falsify(self, node: Node, honest: Operation, _rng: random.Random) -> Operation:
        """See the class."""
        return resigned(node, honest, time_ms=decode_header(honest.header).time_ms - 10**9)


class JumpAhead(_Refused):
    """An operation whose lamport is larger than its past makes it."""

    name: ClassVar = "jump_ahead"
    why: ClassVar = "lamport"

    def falsify(self, node: Node, honest: Operation, _rng: random.Random) -> Operation:
        """See the class."""
        return resigned(node, honest, lamport=decode_header(honest.header).lamport + 1000)


class Forge(_Refused):
    """The next operation in somebody else's name, right in everything but the key that signs it."""

    name: ClassVar = "forge"
    why: ClassVar = "signature"

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        known = node.realm.judge.authority.devices
        others = [n for n in node.town.honest if n is not node and n.secrets.keys.id in known]
        other = rng.choice(others)
        draft = renaming(node, rng)
        theirs = await craft(node, draft, await tip(node, whose=other))
        false = resigned(node, theirs, device=other.secrets.keys.id)
        await spread(node, [false])
        return Told((), [false])


class StandIn(_Refused):
    """Another body under a signed header."""

    name: ClassVar = "stand_in"
    why: ClassVar = "body"

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class; the same id would be fine with its own body."""
        told = await super().tell(node, rng)
        return Told(told.forbidden)

    def falsify(self, _node: Node, honest: Operation, rng: random.Random) -> Operation:
        """See the class."""
        return replace(honest, body=salted(rng.randbytes(32), b"\x80"))


class _Aside(_Refused):
    """What nobody can judge yet, and nobody ever will: kept aside, within bounds."""

    def met(self, honest: Node, _liar: Node, told: Sequence[OperationId]) -> int:
        """It keeps this aside."""
        return aside(honest, told, self.why)


class Withhold(_Aside):
    """The second of two operations, never the first."""

    name: ClassVar = "withhold"
    why: ClassVar = "missing"

    def falsify(self, node: Node, honest: Operation, _rng: random.Random) -> Operation:
        """See the class."""
        return behind(node, honest)


class FromTomorrow(_Aside):
    """An operation that claims to be written in three days."""

    name: ClassVar = "from_tomorrow"
    why: ClassVar = "clock"

    def falsify(self, node: Node, honest: Operation, _rng: random.Random) -> Operation:
        """See the class."""
        ahead = decode_header(honest.header).time_ms + 3 * 86_400_000
        return resigned(node, honest, time_ms=ahead)


class _Rejected(Lie):
    """A good envelope: everybody stores it, and everybody finds that it counts for nothing."""

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        draft = await self.draft(node, rng)
        if draft is None:
            return Told()
        false = await craft(node, draft, await tip(node))
        await keep(node, [false])
        say(node, [false], near(node))
        return Told([false])

    async def draft(self, node: Node, rng: random.Random) -> Draft | None:
        """The lie, if there is an occasion for it."""
        raise NotImplementedError

    def met(self, honest: Node, _liar: Node, told: Sequence[OperationId]) -> int:
        """It is stored there, and counts for nothing."""
        return rejected(honest, told)

    def harm(self, honest: Node, told: Sequence[OperationId]) -> str:
        """It must not count."""
        found = counting(honest, told)
        return f"{found} that break a rule by {self.name} count at {honest.name}" if found else ""


class CraftedChange(_Rejected):
    """An edit whose body is no change of its author's: noise, cut off, or made by another actor."""

    name: ClassVar = "crafted_change"

    async def draft(self, node: Node, rng: random.Random) -> Draft:
        """See the class."""
        actor = rng.choice((node.secrets.keys.id, rng.randbytes(32)))
        (change,) = create_documents(actor, [{"name": "crafted"}], SPECIFICATION_SCHEMA)
        cut = change[: rng.randrange(len(change))]
        flipped = bytearray(change)
        flipped[rng.randrange(len(change))] ^= 1 << rng.randrange(8)
        false = rng.choice((rng.randbytes(200), b"", cut, bytes(flipped), change + b"\0"))
        return Draft(SPECIFICATION, change if actor != node.secrets.keys.id else false)


class OversizeBody(_Rejected):
    """A body that is larger than its kind allows: it is never fetched, and the chain goes on."""

    name: ClassVar = "oversize_body"

    async def draft(self, _node: Node, rng: random.Random) -> Draft:
        """See the class."""
        return Draft(SPECIFICATION, rng.randbytes(rng.choice((17, 60, 120)) * 1024))


class SecondRoot(_Rejected):
    """A first change for a document that somebody else has created."""

    name: ClassVar = "second_root"

    async def draft(self, node: Node, rng: random.Random) -> Draft | None:
        """See the class."""
        known = await node.community.query("SELECT key FROM v_specifications ORDER BY key")
        if not known:
            return None
        document = DocumentId(rng.choice(known)[0])
        fields = {"name": "mine now"}
        (change,) = create_documents(node.secrets.keys.id, [fields], SPECIFICATION_SCHEMA)
        return Draft(SPECIFICATION, change, document=document)


class Flood(Lie):
    """More hints and pushes than anybody wants to hear."""

    name: ClassVar = "flood"

    async def tell(self, node: Node, _rng: random.Random) -> Told:
        """See the class."""
        to, known = channel(node), node.operations()[:1]
        (plain,) = gossip.hints([Operation(b"", b"", bytes(2048))], bytes(32))  # "I know more"
        for n in range(_PUSHES):
            if n < _HINTS:
                await node.host.publish(to.topic, to.seal(plain, n.to_bytes(12, "big")))
            say(node, known, near(node))
        return Told()

    def met(self, honest: Node, _liar: Node, _told: Sequence[OperationId]) -> int:
        """It stopped to listen."""
        return honest.refusals["gossip_flood"] + honest.refusals["push_flood"]


class Replay(Lie):
    """The oldest operations that there are, told again as if they were new."""

    name: ClassVar = "replay"

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        oldest = node.operations()[:_OLDEST]
        for _ in range(_TIMES):
            await hint(node, rng.sample(oldest, min(8, len(oldest))))
        say(node, oldest, near(node))
        return Told(oldest)

    def met(self, honest: Node, liar: Node, told: Sequence[OperationId]) -> int:
        """It was offered what everybody knew from the first day on."""
        return offered(honest, liar, told) if honest.founding else 0


class ManyFaces(Lie):
    """One node that shows itself under ever new transport keys, to be remembered under each."""

    name: ClassVar = "many_faces"

    async def tell(self, node: Node, rng: random.Random) -> Told:
        """See the class."""
        there = near(node)
        others = [one for one in node.town.honest if one.peer in there]
        if others:
            other = rng.choice(others)
            for n in range(_MASKS):
                await visit(node, other, bytes(SigningKey(_mask(node, n)).verify_key), 3.0)
        return Told()

    def met(self, honest: Node, liar: Node, _told: Sequence[OperationId]) -> int:
        """It has been introduced to nodes that there are not."""
        real = {node.node for node in liar.town.nodes}
        return sum(known.node not in real for known in honest.peering.book.all())


def _mask(node: Node, n: int) -> bytes:
    return node.town.seed.to_bytes(8, "big") + n.to_bytes(24, "big")


def _all() -> Mapping[str, Lie]:
    modules = (sys.modules[__name__], lies_of_council, lies_of_members, lies_of_ranges)
    classes = [one for module in modules for _, one in inspect.getmembers(module, inspect.isclass)]
    lies = [one() for one in classes if issubclass(one, Lie) and hasattr(one, "name")]
    return {lie.name: lie for lie in lies}


LIES: Mapping[str, Lie] = _all()
"""By name: every class that has one, of this module and of those about authority."""
_BOTH = 4
"""In each fourth story all the lies are told that come last, one after the other."""
SCHEMES: Mapping[str, Scheme] = {n: lie for n, lie in LIES.items() if isinstance(lie, Scheme)}
"""Those that need puppets."""


def chosen(names: Sequence[str], most: int, seed: int) -> list[str]:
    """Some of the schemes among these lies: seeds that follow each other tell all of them."""
    rng = random.Random(f"chosen {seed}")  # noqa: S311 - a seeded run is the point
    last = [name for name in names if name in SCHEMES and SCHEMES[name].last]
    ending = [last[seed % len(last)]] if last and most else []
    if most > 1 and seed % _BOTH == 0:
        ending = sorted(last)  # a split council is asked to seal what never was
    others = [name for name in names if name in SCHEMES and name not in last]
    few = min(most - bool(ending), len(others))  # one more at the end displaces nobody
    some = [others[(seed * few + n) % len(others)] for n in range(few)]
    rng.shuffle(some)
    return [*some, *ending]


def cast_of(names: Sequence[str], seed: int) -> dict[str, Resident]:
    """The puppets of some schemes."""
    found: dict[str, Resident] = {}
    for name in names:
        found.update(SCHEMES[name].cast(seed, found))
    return found


async def tell(town: Town, node: Node, name: str) -> Sequence[OperationId]:
    """Tell one lie; the ids that no honest node may store."""
    if not node.alive or not node.communities:
        return ()
    told = await node.run(_told(node, LIES[name]))
    if told is None:
        return ()
    town.faults[f"lie_{name}"] += 1
    town.note("lie", node, name)
    all_told = (*told.stored, *told.forbidden)
    node.lies.setdefault(name, []).extend(operation_id(one.header) for one in all_told)
    return [operation_id(one.header) for one in told.forbidden]


async def _told(node: Node, lie: Lie) -> Told:
    rng = node.town.rng
    await node.write([renaming(node, rng), renaming(node, rng)])  # a liar has an honest past, too
    return await lie.tell(node, rng)


def count_met(town: Town) -> None:
    """Count what honest nodes show of the lies that were told."""
    for liar in town.nodes:
        for name, told in liar.lies.items():
            for honest in town.honest:
                if honest.communities:
                    town.faults[f"met_{name}"] += LIES[name].met(honest, liar, told)


def harm(town: Town) -> Iterator[str]:
    """What came of lies that must not come of them."""
    for liar in town.nodes:
        for name, told in liar.lies.items():
            for honest in town.honest:
                if sentence := LIES[name].harm(honest, told):
                    yield sentence


def unmet(struck: Mapping[str, int]) -> list[str]:
    """Lies that nobody told, and those that nobody honest has met."""
    return [f"lie_{name}" for name in LIES if not struck.get(f"lie_{name}")] + [
        f"lie_{name} without met_{name}"
        for name in LIES
        if struck.get(f"lie_{name}") and not struck.get(f"met_{name}")
    ]
