"""`Peering`: everything that one daemon does with other nodes.

It keeps one conversation with each known peer, compares on connect, on a poke and every minute,
hints at what was written, and says truthfully how things stand. It holds no truth of its own:
replicas do. Whatever fails in one peer's task ends that conversation, never the daemon.
"""

# A deadline is part of the outside contract (`sync wait --timeout`):
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace

from commons_crdt.authority.facts import Identity
from commons_crdt.ids import RealmId
from commons_crdt.operation import Operation
from commons_node.peering.acquaintance import Acquaintance
from commons_node.peering.book import Book
from commons_node.peering.clock import Clock
from commons_node.peering.entrance import Ask, Entrance
from commons_node.peering.guard import Guard
from commons_node.peering.hints import Hints
from commons_node.peering.load import Load
from commons_node.peering.neighbours import Neighbours
from commons_node.peering.places import Places
from commons_node.peering.records import MemoryRecords, PeerRecords, Shares
from commons_node.peering.relays import Relays
from commons_node.peering.seeking import Seeking, anybody
from commons_node.peering.states import state_of
from commons_node.peering.straightening import Straightening
from commons_node.peering.talks import Talks
from commons_node.peering.tokens import Take, Tokens
from commons_node.peering.types import (
    Admissions,
    Convergence,
    Joined,
    KnownPeer,
    Lan,
    Machine,
    MakeNetwork,
    MemoryBook,
    OnChange,
    PeerBook,
    PeerState,
    Reception,
    RelayBook,
    Settings,
    UnknownPeer,
)
from commons_node.peering.visits import Stores, Visits
from commons_node.peering.waiting import wait_converged
from commons_node.peering.ways import best_first
from commons_protocol.about import About
from commons_protocol.applying import Door, Granted
from commons_protocol.attendance import ATTEND
from commons_protocol.circuit import is_relayed
from commons_protocol.codes import Invitation
from commons_protocol.joining import JOIN
from commons_protocol.names import NodeId, node_id, peer_id
from commons_protocol.network import (
    Address,
    Connected,
    Disconnected,
    Event,
    NetworkError,
    PeerId,
    Refusals,
    StateChanged,
    Stream,
)
from commons_protocol.parts import PARTS
from commons_protocol.replica import Ingested, Replica
from commons_protocol.session import SYNC

MOST_ADDRESSES = 8
"""Of one node in a message or a file."""
_STOP_S = 5.0
_TICK_S = 1.0

_log = logging.getLogger(__name__)


class Peering:
    """Owned by the daemon; lives in its loop. All times are UTC milliseconds or seconds."""

    def __init__(
        self,
        make_network: MakeNetwork,
        replicas: Callable[[], Sequence[Replica]],
        book: PeerBook,
        *,
        refusals: Refusals,
        admissions: Admissions | None = None,
        reception: Reception | None = None,
        lan: Lan | None = None,
        lan_interfaces: Sequence[str] | None = None,
        machine: Machine | None = None,
        relays: RelayBook | None = None,
        announce: Sequence[str] = (),
        settings: Settings | None = None,
        on_change: OnChange | None = None,
        records: PeerRecords | None = None,
        parts: Stores = lambda _realm: None,
        attend: Take | None = None,
        about: About | None = None,
    ) -> None:
        """``replicas`` gives the realms of this node now; call ``refresh`` when it would differ.

        ``refusals`` counts by code, with the network's own counts; ``status`` shows it.
        ``announce``: where others reach this node, where that is not where it listens.
        ``records``: what is remembered of peers beside the book. ``machine``: looked at
        for changes of its addresses. ``relays``: those of this node. ``parts`` gives the parts
        of a realm, for peers that ask for some. ``attend`` takes attendance tokens.
        ``about``: which program this is; members are told, nobody else.
        """
        self.settings = settings or Settings()
        self.clock = Clock()
        self.about = about
        self.refusals = refusals
        self.replicas = replicas
        self.book = Book(book)
        records = records or MemoryRecords()
        self.load = Load()
        self.shares = Shares(records)
        self.guard = Guard(self, records)
        self.talks = Talks(self)
        self.places = Places(self)
        self.on_change: OnChange = on_change or (lambda _kind, _what: None)
        self._entrance = Entrance(admissions, self.settings, self.clock.now, self.count, reception)
        self.visits = Visits(self, parts)
        self.tokens = Tokens(self, attend)
        handlers = {
            SYNC: self.talks.accept,
            JOIN: self._welcome,
            PARTS: self.visits.accept,
            ATTEND: self.tokens.accept,
        }
        self.network = make_network(handlers, self._event)
        self.peer = self.network.peer_id
        self.acquaintance = Acquaintance(self)
        self._hints = Hints(self)
        self._neighbours = Neighbours(self, lan, lan_interfaces)
        self.relays = Relays(self, relays or MemoryBook())
        self._straightening = Straightening(self)
        self.machine = machine
        self._interfaces: tuple[str, ...] = ()
        self.bound: tuple[Address, ...] = ()
        """Where this node listens."""
        self._announce = tuple(Address(f"{one}/p2p/{self.peer}") for one in announce)
        self._shown: tuple[frozenset[RealmId], frozenset[str]] = (frozenset(), frozenset())
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopped = False

    # --- life ---

    @property
    def node(self) -> NodeId:
        """This node's id: its transport key in hex."""
        return node_id(self.peer)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where others reach this node, each ending in its peer id; the first goes into codes.

        A relay comes before where this node listens: who needs one is not reached there.
        """
        relayed = self.relays.addresses()
        if self._announce:
            return (*self._announce, *relayed)[:MOST_ADDRESSES]
        return (*relayed, *self.bound)[:MOST_ADDRESSES]

    async def start(self) -> tuple[Address, ...]:
        """Listen, meet the known peers, show the LAN beacon; where it listens.

        Raises ``NetworkDown``.
        """
        await self.book.load()
        await self.shares.load()
        await self.guard.start()
        self.bound = await self.network.start()
        self._hints.subscribe()
        for known in self.book.all():
            self.talks.keep(peer_id(known.node))
        self._interfaces = self.machine.addresses() if self.machine is not None else ()
        await self.relays.start()
        self.spawn(self._tick(), "peering tick")
        await self._neighbours.start()
        return self.bound

    async def stop(self) -> None:
        """End everything within some seconds. Never raises."""
        self.stopped = True
        await self._neighbours.stop()
        talks = tuple(self.talks.now.values())
        for talk in talks:
            talk.end("stop")
        tasks = set(self._tasks)
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                for talk in talks:
                    await talk.ended.wait()
                    await talk.drained()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_S)
        await self.network.stop()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run a coroutine beside everything else; its failure is logged and counted."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        if self.stopped:
            task.cancel()
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.count("task")
            _log.error("%s failed", task.get_name(), exc_info=task.exception())

    def count(self, code: str, n: int = 1) -> None:
        """Add to the refusals."""
        self.refusals[code] = self.refusals.get(code, 0) + n

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            if self.clock.jumped():
                self.wake()
            if self.machine is not None and self._interfaces != (now := self.machine.addresses()):
                self._interfaces = now
                self.spawn(self._elsewhere(), "follow another network")
            self.talks.tick()
            self.acquaintance.tick()
            self.guard.tick()
            self.places.tick()
            self._straightening.tick()

    async def _elsewhere(self) -> None:
        """The machine has other addresses: close what is dead, dial anew, say where we are."""
        with suppress(NetworkError):
            self.bound = await self.network.refresh()
        self.wake()
        self.moved()

    def _event(self, event: Event) -> None:
        match event:
            case Connected(peer, _):
                self.talks.met(peer)
                self.on_change("peer", node_id(peer))
            case Disconnected(peer):
                if peer in self.talks.now:
                    self.talks.now[peer].end("gone")
                self.relays.gone(peer)
                self.on_change("peer", node_id(peer))
            case StateChanged(state, reason):
                _log.info("network: %s", f"{state} {reason}".strip())
                if state == "up":
                    self.wake()
                self.on_change("network", state)

    def learned(self, realm: RealmId, result: Ingested) -> None:
        """Operations were ingested, from wherever: others may want to compare soon.

        What was refused is counted by the replica, which knows why.
        """
        self._hints.remember(realm, result.new_ids)
        if result.new or result.missing:
            self.talks.settle(realm)

    # --- what the daemon asks for ---

    def refresh(self) -> None:
        """Realms, epochs or this node's standing changed: prove again, subscribe again."""
        self._hints.subscribe()
        able = frozenset(r.realm for r in self.replicas() if r.credential() is not None)
        for talk in tuple(self.talks.now.values()):
            if not able <= talk.offered:
                talk.end("refresh")
        shown = (able, self._hints.topics)
        if shown != self._shown:  # most of log 0 changes neither
            self._shown = shown
            self._neighbours.changed()
            self.talks.hurry_all()

    async def let_go(self, realm: RealmId) -> None:
        """A realm is no longer among the replicas: nothing of it goes on; prove the others again.

        When it returns, nothing more of it is being stored for a peer.
        """
        for talk in tuple(self.talks.now.values()):
            if realm in talk.offered:
                talk.end("refresh")
                await talk.ended.wait()
                await talk.drained()
        self.refresh()

    def poke(self, realm: RealmId | None = None) -> None:
        """Compare with every connected peer now."""
        self.talks.poke(realm)

    def wake(self) -> None:
        """The interface changed or the machine woke: dial and compare at once."""
        self.relays.wake()
        self._straightening.again()
        self.talks.hurry_all()
        self.talks.poke()

    def moved(self) -> None:
        """Others reach this node elsewhere now: tell those who are here."""
        for replica in self.replicas():
            self.acquaintance.introduce(replica.realm)

    async def written(self, realm: RealmId, operations: Sequence[Operation]) -> None:
        """Hint at new operations of this node, after they are durable. Never raises."""
        for talk in tuple(self.talks.now.values()):
            talk.perform(talk.session.push(realm, operations))
        self.talks.settle(realm)
        self._hints.written(realm, operations)

    async def connect(self, address: Address) -> NodeId:
        """Dial an address and remember its node. Raises ``Unreachable``, ``Blocked``."""
        peer = await self.network.connect(address, self.settings.dial_timeout)
        return await self._keep_to(peer, address)

    async def _keep_to(self, peer: PeerId, address: Address) -> NodeId:
        """Remember who answered at an address, and talk; the line may have gone meanwhile."""
        node = node_id(peer)
        known = self.book.get(node) or KnownPeer(node)
        full = Address(address if "/p2p/" in address else f"{address}/p2p/{peer}")
        if is_relayed(address):  # a code names neither the relay nor, in full, the peer
            connection = self.network.peers().get(peer)
            full = next(filter(is_relayed, connection.addresses if connection else ()), full)
        await self.book.save(replace(known, addresses=best_first(known.addresses, full)))
        self.talks.keep(peer)
        self.talks.hurry(peer)
        return node

    async def block(self, node: NodeId) -> None:
        """Close, and refuse this node both ways from now on; survives a restart."""
        await self.guard.block(node)

    async def unblock(self, node: NodeId) -> None:
        """Let this node in again, hold nothing against it, and dial it at once."""
        await self.guard.unblock(node)

    def find(self, prefix: str) -> NodeId:
        """The known node whose id starts with ``prefix`` (8 or more). Raises ``UnknownPeer``."""
        found = [known.node for known in self.book.all() if known.node.startswith(prefix)]
        if len(prefix) < 8 or len(found) != 1:
            raise UnknownPeer(node=prefix)
        return found[0]

    def peers(self) -> tuple[PeerState, ...]:
        """Every known peer, as ``peer list`` shows it."""
        return tuple(state_of(self, known) for known in self.book.all())

    def denied(self, realm: RealmId) -> NodeId | None:
        """A node that knows a realm and did not accept this node's device in it; None: nobody."""
        denying = (peer for peer, realms in self.talks.denied.items() if realm in realms)
        return next(map(node_id, denying), None)

    async def wait_converged(
        self, nodes: Sequence[NodeId] | None = None, timeout: float = 30.0
    ) -> Convergence:
        """Wait for a full round with each node, begun after this call, that ends equal.

        ``nodes`` None: every known peer that is not blocked.
        """
        return await wait_converged(self, nodes, timeout)

    async def join(
        self,
        invitation: Invitation,
        identity: Identity,
        consent: Callable[[RealmId], bytes],
        *,
        addresses: Sequence[Address] = (),
        timeout: float | None = None,
    ) -> Joined:
        """Be let in by the first node that answers at ``addresses`` or the invitation's own.

        ``consent`` signs realm, invite and member with the new device's key
        (``facts.Admit.consent``). The operations are not verified: give them to the judge.
        Raises ``NotJoined``; the same call with the same identity may be repeated.
        """
        candidates = tuple(dict.fromkeys((*addresses, *invitation.addresses)))
        limit = timeout if timeout is not None else self.settings.join_timeout
        ask = Ask(self.network, invitation, identity, consent, self.settings.dial_timeout)
        joined, address = await ask.anywhere(candidates, limit)
        await self._keep_to(peer_id(joined.node), address)
        return joined

    async def apply(
        self,
        door: Door,
        *,
        addresses: Sequence[Address],
        fits: Callable[[PeerId], bool] = anybody,
        told: Callable[[bytes], None],
    ) -> Granted:
        """Be let in as an existing member by the first node that answers at ``addresses``.

        ``fits``: whether this node may answer. ``told`` hears the salt of the digits when people
        must act; then the node is asked again and again. Raises ``NotJoined``.
        """
        seeking = Seeking(self.network, door, fits, told, self.settings)
        granted, peer, address = await seeking.anywhere(addresses)
        await self._keep_to(peer, address)
        return granted

    async def _welcome(self, stream: Stream) -> None:
        if self.stopped or stream.peer in self.network.blocked:
            await stream.reset()
            return
        await self._entrance.serve(stream, self.peer)
