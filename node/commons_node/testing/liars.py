"""What a member can do who breaks rules on purpose: craft, sign again, whisper, shout, wear masks.

A liar runs the same node as everybody; only what it says beside that is false. It knows all the
secrets of a standing member and nothing more. The lies themselves are in `lies`.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from commons_crdt.author import Draft, Place, compose
from commons_crdt.authority.judge import Standing
from commons_crdt.ids import OperationId
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_node.peering.conversation import Conversation
from commons_node.testing.acts import renamed, resign
from commons_node.testing.host import Host
from commons_node.testing.node import Node
from commons_protocol import gossip
from commons_protocol.network import NetworkError, Stream
from commons_protocol.replica import Replica
from commons_protocol.session import SYNC, Session
from commons_protocol.wants import Memory


class Told(NamedTuple):
    """What a lie consisted of: operations that may be stored (and what they are then stands in
    their verdict), and operations that no honest node may ever store.
    """

    stored: Sequence[Operation] = ()
    forbidden: Sequence[Operation] = ()


class Lie(ABC):
    """One way to break a rule. A new one is one more class in `lies`, and nothing else."""

    name: ClassVar[str]
    """In a plan, in a timeline; counted as ``lie_name`` when it is told and ``met_name`` when an
    honest node has met it.
    """

    @abstractmethod
    async def tell(self, node: Node, rng: random.Random) -> Told:
        """Tell it, as ``node``; its docstring says what is false."""

    @abstractmethod
    def met(self, honest: Node, liar: Node, told: Sequence[OperationId]) -> int:
        """How much an honest node shows of it in the end; ``told``: the ids of all that was told.

        0 for a node that the lie has not reached, whatever else it went through.
        """

    def harm(self, _honest: Node, _told: Sequence[OperationId]) -> str:
        """What an honest node makes of it that it must not, as a sentence; "" as a rule."""
        return ""


# --- what is seen of a lie ---

_APPLIED = "(SELECT applied FROM edits e WHERE e.n = o.n)"


def offered(honest: Node, liar: Node, told: Sequence[OperationId]) -> int:
    """How often these came from the liar."""
    return sum(honest.ears.offered[str(liar.peer), ident] for ident in told)


def refused(honest: Node, liar: Node, code: str) -> int:
    """How much of what the liar offered was refused for this."""
    return honest.ears.refused[str(liar.peer), code]


def aside(honest: Node, told: Sequence[OperationId], why: str) -> int:
    """How many of these are kept aside for this."""
    query = "SELECT count(*) FROM waiting WHERE id = ? AND why = ?"
    return sum(int(honest.disk.rows(query, (ident, why))[0][0]) for ident in told)


def rejected(honest: Node, told: Sequence[OperationId]) -> int:
    """How many of these are stored, and count for nothing."""
    return _stored(honest, told, f"verdict != 1 OR {_APPLIED} != ''")


def counting(honest: Node, told: Sequence[OperationId]) -> int:
    """How many of these are stored, and count."""
    return _stored(honest, told, f"verdict = 1 AND {_APPLIED} = ''")


def _stored(honest: Node, told: Sequence[OperationId], which: str) -> int:
    query = f"SELECT count(*) FROM operations o WHERE id = ? AND ({which})"  # noqa: S608 - ours
    return sum(int(honest.disk.rows(query, (ident,))[0][0]) for ident in told)


# --- what a liar says, and to whom ---


async def craft(node: Node, draft: Draft, prev: Standing) -> Operation:
    """A signed operation behind ``prev``, good in itself."""
    realm = node.realm
    news = [await realm.standing(i) for i in realm.judge.authority.news(prev.view)]
    place = Place(realm.realm, prev, (), [one for one in news if one is not None])
    return compose(draft, place, node.secrets, node.now_ms(), lambda: node.town.rng.randbytes(32))


def resigned(node: Node, operation: Operation, /, **changes: object) -> Operation:
    """The operation with another header, signed again by the liar."""
    return resign(operation, node.secrets, **changes)


def behind(node: Node, first: Operation) -> Operation:
    """An operation that follows ``first`` and says nothing new."""
    header = decode_header(first.header)
    follows = operation_id(first.header)
    return resigned(
        node, first, prev=follows, seq=header.seq + 1, lamport=header.lamport + 1, authority=()
    )


async def tip(node: Node, log: int = 1, whose: Node | None = None) -> Standing:
    """The end of a chain of the liar's own, or somebody's, or the grant that it starts from."""
    query = (
        "SELECT o.id FROM operations o JOIN chains c ON c.n = o.chain"
        " WHERE c.device = ? AND c.log = ? ORDER BY o.seq DESC, o.id LIMIT 1"
    )
    device = (whose or node).secrets.keys.id
    rows = await node.community.query(query, (device, log))
    ident = rows[0][0] if rows else node.realm.judge.authority.devices[device].id
    found = await node.realm.standing(OperationId(ident))
    assert found is not None
    return found


def renaming(node: Node, rng: random.Random) -> Draft:
    """The most harmless act that there is."""
    return renamed(node.member, node.name, rng)


def channel(node: Node) -> gossip.Channel:
    """Where members gossip."""
    return gossip.Channel.of(node.realm.epochs()[0][1])


async def hint(node: Node, operations: Sequence[Operation]) -> None:
    """Say it to everybody."""
    to = channel(node)
    for plain in gossip.hints(operations, node.realm.digest()):
        await node.host.publish(to.topic, to.seal(plain, node.town.rng.randbytes(12)))


def near(node: Node) -> list[str]:
    """With whom the liar is in conversation."""
    return list(node.peering.talks.now)


def say(node: Node, operations: Sequence[Operation], peers: Sequence[str]) -> None:
    """Say it to some of those who are in conversation."""
    for peer, talk in tuple(node.peering.talks.now.items()):
        if peer in peers:
            talk.perform(talk.session.push(node.realm.realm, operations))


async def spread(node: Node, operations: Sequence[Operation]) -> None:
    """Say it in every way."""
    say(node, operations, near(node))
    await hint(node, operations)


async def keep(node: Node, operations: Sequence[Operation]) -> None:
    """Store it at home, where neighbours fetch it from."""
    await node.realm.ingest(operations, "lie")


async def visit(
    node: Node,
    other: Node,
    mask: bytes,
    seconds: float,
    *,
    replica: Replica | None = None,
    heard: Callable[[Stream], Stream] = lambda stream: stream,
) -> None:
    """Talk with somebody from behind another transport key, as a node that nobody has met.

    ``replica``: what it says to hold, if not its realm; ``heard`` twists what it says.
    """
    assert node.life is not None
    held = replica or node.realm
    host = Host(
        node.town.air, f"{node.name}'s mask", mask, node.address, {}, lambda _e: None,
        node.life.context,
    )  # fmt: skip
    await host.start()
    try:
        await host.connect(other.host.address)
        stream = heard(await host.open(other.peer, SYNC))
        session = Session(
            "dialler", host.peer_id, other.peer, [held], lambda _realm: Memory(),
            node.town.rng.randbytes, node.now_ms(),
        )  # fmt: skip
        talk = Conversation(
            stream, session, [held], node.now_ms, opened_here=True,
            tell=lambda _talk, _news: None, stored=lambda _talk, _replica, _result: None,
        )  # fmt: skip
        asyncio.get_running_loop().call_later(seconds, talk.end, "stop")
        await talk.run()
    except NetworkError:
        pass
    finally:
        host.vanish("unmasked")
