"""What lies about authority have in common: puppets that play a part, and what came of it.

Each scheme has puppets of its own, members whose keys the liar has, so that one lie does not spoil
the next. Who asks for a seat in the council shares one with the other schemes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar

from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.operation import Operation
from commons_crdt.roles import Role
from commons_node.testing.liars import Lie, counting, keep, near, offered, refused, rejected, say
from commons_node.testing.node import Node
from commons_node.testing.residents import Resident
from commons_node.testing.town import Town

SEAT = "seat"
"""The puppet that is a coordinator."""


class Scheme(Lie):
    """A lie that needs puppets. ``told`` are the operations that must not count."""

    parts: ClassVar[Mapping[str, Role]] = {}
    """Who plays in it, and what they were before."""
    seated: ClassVar[bool] = False
    """It needs a seat in the council."""
    last: ClassVar[bool] = False
    """It comes last; as a rule one such lie is enough for a story."""

    def cast(self, seed: int, known: Mapping[str, Resident]) -> dict[str, Resident]:
        """Its puppets, by scheme and part."""
        found = {
            f"{self.name}.{part}": Resident(seed, f"{part} of {self.name}", role)
            for part, role in self.parts.items()
        }
        if self.seated:
            found[SEAT] = known.get(SEAT) or Resident(seed, "mallory", Role.COORDINATOR)
        return found

    def puppet(self, node: Node, part: str) -> Resident:
        """Who plays a part."""
        return node.town.puppets[f"{self.name}.{part}"]

    def met(self, honest: Node, liar: Node, told: Sequence[OperationId]) -> int:
        """It has it and knows better, or was offered it and did not take it."""
        ended = min(offered(honest, liar, told), refused(honest, liar, "ended"))
        return rejected(honest, told) + ended

    def harm(self, honest: Node, told: Sequence[OperationId]) -> str:
        """It must not count."""
        found = counting(honest, told)
        return f"{found} operations of the lie {self.name} count at {honest.name}" if found else ""


class Branches(Scheme):
    """A lie of which one story may be heard alone, and then is as good as true."""

    def met(self, honest: Node, _liar: Node, told: Sequence[OperationId]) -> int:
        """It knows that there are two."""
        return int(self.known(honest, told))

    def harm(self, honest: Node, told: Sequence[OperationId]) -> str:
        """Where the fork is known, no branch counts."""
        return super().harm(honest, told) if self.known(honest, told) else ""

    def known(self, honest: Node, told: Sequence[OperationId]) -> bool:
        """Whether the fork is known: the chains of these."""
        query = (
            "SELECT c.device, c.log, o.seq FROM operations o JOIN chains c ON c.n = o.chain"
            " WHERE o.id = ?"
        )
        forks = honest.realm.judge.forks
        rows = [row for ident in told for row in honest.disk.rows(query, (ident,))]
        return any((DeviceId(device), log) in forks for device, log, _ in rows)


async def publish(node: Node, *operations: Operation) -> None:
    """Keep it at home, for whoever asks, and tell all who are there."""
    await keep(node, operations)
    say(node, operations, near(node))


def coordinators(town: Town) -> list[Node]:
    """Honest coordinators who are at home, in the order of their seats."""
    found = []
    for node in town.honest:
        actor = node.actor() if node.alive and node.communities else None
        if actor is not None and actor.role is Role.COORDINATOR:
            found.append(node)
    return found


async def asked(node: Node, verb: str, **arguments: object) -> Mapping[str, Any]:
    """An honest member does something by a verb, because the liar waits for it; {} in vain."""
    done: Awaitable[Any] = node.run(node.desk.do(verb, **arguments))
    return await done or {}


def ident(answer: Mapping[str, Any]) -> OperationId | None:
    """The operation that a verb has written, if it stands."""
    if answer.get("verdict") != "accepted":
        return None
    return OperationId(bytes.fromhex(answer["operation"]))
