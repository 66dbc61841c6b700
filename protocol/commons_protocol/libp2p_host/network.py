"""`Libp2pNetwork`: the network as the daemon sees it, kept up over any death of the trio thread.

All of it runs in the asyncio loop. It owns what outlives one run of libp2p: the key, the bound
addresses, topics, blocks; it restarts a run that died, after 1 s at first, 30 s at most.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, TypeVarTuple
from weakref import WeakSet

import trio
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_crdt.texts import N_
from commons_protocol.circuit import split
from commons_protocol.libp2p_host import addresses, dialling, patches
from commons_protocol.libp2p_host.bridge import Bridge
from commons_protocol.libp2p_host.gate import Gate, Limits, RelayLimits, Tally
from commons_protocol.libp2p_host.gossip import Mailbox
from commons_protocol.libp2p_host.host import Host, Wiring
from commons_protocol.libp2p_host.identity import id_of, peer_id_of
from commons_protocol.libp2p_host.streams import FrameStream
from commons_protocol.network import (
    MAX_GOSSIP,
    MAX_TOPIC,
    Address,
    Blocked,
    Connected,
    Disconnected,
    Event,
    FrameTooLarge,
    GossipHandler,
    NetworkDown,
    NetworkError,
    PeerConnection,
    PeerId,
    ProtocolName,
    Refusals,
    RelayRefuses,
    RelayUnreachable,
    RelayUse,
    Reservation,
    State,
    StateChanged,
    StreamHandler,
    Unreachable,
)

# A deadline crosses to another thread's event loop, where `asyncio.timeout` cannot reach:
# ruff: noqa: ASYNC109

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_S = 20.0
STOP_S = 8.0
CALL_S = 10.0
FIRST_BACKOFF_S = 1.0
LAST_BACKOFF_S = 30.0
STEADY_S = 60.0
"""A run that lasted this long was well: the next restart is quick again."""

_log = logging.getLogger(__name__)


class Libp2pNetwork:
    """`commons_protocol.network.Network` over libp2p: TCP, Noise, Yamux, GossipSub v1.1."""

    def __init__(
        self,
        key: bytes,
        listen: Sequence[Address],
        handlers: Mapping[ProtocolName, StreamHandler],
        on_event: Callable[[Event], None],
        refusals: Refusals,
        limits: Limits | None = None,
        relay: RelayLimits | None = None,
    ) -> None:
        """`key` is a 32-byte Ed25519 seed; port 0 in `listen` lets the system choose.

        `relay`: what this node carries for others; None: nothing.

        `on_event` and the handlers run in the asyncio loop. A handler's stream is closed when it
        returns and reset when it raises.
        """
        self._key = key
        self._listen: tuple[Multiaddr, ...] = tuple(
            addresses.parse(address)[0] for address in listen
        )
        self._handlers = dict(handlers)
        self._on_event = on_event
        self._refuse = Tally(refusals)
        self._limits = limits or Limits()
        self._relay = relay
        if relay is not None:  # those whom it serves take no place of its own peers
            more = relay.reservations + relay.circuits
            self._limits = replace(
                self._limits,
                connections=self._limits.connections + more,
                inbound_connections=self._limits.inbound_connections + more,
            )
        self._peer_id = peer_id_of(key)
        self._state: State = "down"
        self._topics: dict[str, GossipHandler] = {}
        self._blocked: frozenset[PeerId] = frozenset()
        self._peers: dict[PeerId, PeerConnection] = {}
        self._life: tuple[Bridge, Host] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._streams: WeakSet[FrameStream] = WeakSet()
        self._mail: Mailbox | None = None

    @property
    def peer_id(self) -> PeerId:
        return self._peer_id

    @property
    def state(self) -> State:
        return self._state

    @property
    def blocked(self) -> frozenset[PeerId]:
        return self._blocked

    def peers(self) -> Mapping[PeerId, PeerConnection]:
        return dict(self._peers)

    # --- life ---

    async def start(self) -> tuple[Address, ...]:
        """Listen. Gives the real addresses (of every interface for 0.0.0.0), with `/p2p/<id>`.

        Raises `NetworkDown` when an address cannot be had, `patches.WrongLibp2pError`.
        """
        if self._supervisor is not None:
            raise NetworkDown(N_("it was started before"))
        patches.apply()
        here = await self._begin()
        self._supervisor = asyncio.create_task(self._supervise(), name="libp2p supervisor")
        self._change("up")
        return here

    async def stop(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])
        for task in tuple(self._serving):
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving, timeout=1.0)
        await self._end("stopped")
        if self._state != "down":
            self._change("down")

    async def _begin(self) -> tuple[Address, ...]:
        bridge = Bridge()
        gate = Gate(self._limits, self._refuse)
        gate.blocked = self._blocked
        mail = self._mail = Mailbox(
            self._limits, self._refuse, lambda: bridge.tell(self._read_mail)
        )
        wiring = Wiring(
            seed=self._key,
            listen=self._listen,
            protocols=tuple(self._handlers),
            gate=gate,
            bridge=bridge,
            front=self,
            deliver=mail.put,
            relay=self._relay,
        )
        hosts: list[Host] = []

        async def main(nursery: trio.Nursery) -> tuple[tuple[Address, ...], tuple[str, ...]]:
            host = Host(wiring)
            hosts.append(host)
            return await host.run(nursery), host.bound()

        try:
            here, bound = await bridge.start(main, START_S)
        except BaseException as error:
            await bridge.stop(STOP_S)
            if isinstance(error, Exception) and not isinstance(error, NetworkError):
                raise NetworkDown(_in_words(error)) from error
            raise
        self._listen = tuple(map(Multiaddr, bound))
        self._life = bridge, hosts[0]
        self._apply_topics()
        if self._blocked != gate.blocked:
            self._set_blocked(self._blocked)
        return here

    async def _end(self, reason: str) -> None:
        life, self._life = self._life, None
        if life is not None and not await life[0].stop(STOP_S):
            _log.error("the libp2p thread did not end within %s s", STOP_S)
        for stream in tuple(self._streams):
            stream.finish(NetworkDown(reason))
        for peer in tuple(self._peers):
            del self._peers[peer]
            self._tell(Disconnected(peer))
        _log.debug("libp2p has ended: %s", reason)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        backoff = FIRST_BACKOFF_S
        while True:
            began = loop.time()
            life = self._life
            reason = N_("it did not start")
            if life is not None:
                # A copy, so that cancelling this task does not cancel what others wait for.
                error = await asyncio.shield(life[0].ended)
                reason = _in_words(error) if error else N_("it ended by itself")
            if loop.time() - began > STEADY_S:
                backoff = FIRST_BACKOFF_S
            await self._end(reason)
            if self._state != "restarting":
                self._change("restarting", reason)
            self._refuse("network_restart")
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, LAST_BACKOFF_S)
            try:
                await self._begin()
            except NetworkError as error:
                _log.warning("libp2p did not start again: %s", error)
            else:
                self._change("up")

    def _change(self, state: State, reason: str = "") -> None:
        self._state = state
        self._tell(StateChanged(state, reason))

    def _tell(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            _log.exception("on_event failed for %s", type(event).__name__)

    async def _call(
        self,
        fn: Callable[[Host, *Ts], Awaitable[T]],
        *args: *Ts,
        seconds: float = CALL_S,
        late: type[NetworkError] = NetworkDown,
    ) -> T:
        """The result of a method of the host; `late` when it takes longer than `seconds`."""
        life = self._life
        if life is None:
            raise NetworkDown(self._state)
        bridge, host = life
        try:
            return await bridge.call(fn, host, *args, seconds=seconds)
        except trio.TooSlowError:
            raise late(N_("no answer within {seconds} s"), seconds=f"{seconds:g}") from None

    # --- connections ---

    async def connect(self, address: Address, timeout: float = CALL_S) -> PeerId:
        circuit = split(address)
        whom = circuit.peer if circuit is not None else addresses.parse(address)[1]
        if whom == self._peer_id:
            raise Unreachable(N_("this is our own address"))
        if whom is not None:
            self._refuse_blocked(whom)

        async def dial(target: Multiaddr, peer: PeerId | None, seconds: float) -> PeerId:
            if circuit is not None:
                return await self._call(
                    Host.cross, target, peer, circuit, seconds=seconds, late=RelayUnreachable
                )
            return await self._call(Host.connect, target, peer, seconds=seconds, late=Unreachable)

        return await dialling.numerically(circuit.relay if circuit else address, timeout, dial)

    async def connect_any(self, candidates: Sequence[Address], timeout: float = CALL_S) -> PeerId:
        """Each address gets its share of the time that is left; `Unreachable` names all reasons.

        Where the last that was tried leads through a relay, the error is the relay's.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        return await dialling.one_of(candidates, deadline, self.connect)

    async def reserve(self, relay: Address, timeout: float = CALL_S) -> Reservation:
        _, expected = addresses.parse(relay)
        if expected == self._peer_id:
            raise RelayRefuses(N_("this is our own address"))
        if expected is not None:
            self._refuse_blocked(expected)

        async def ask(target: Multiaddr, peer: PeerId | None, seconds: float) -> Reservation:
            return await self._call(
                Host.reserve, target, peer, seconds=seconds, late=RelayUnreachable
            )

        try:
            return await dialling.numerically(relay, timeout, ask)
        except (RelayUnreachable, RelayRefuses):
            raise
        except Unreachable as error:
            raise RelayUnreachable(causes=(("", error),)) from error

    async def punch(self, peer: PeerId, timeout: float = 20.0) -> None:
        await self._call(Host.punch, peer, seconds=timeout, late=Unreachable)

    async def release(self, relay: PeerId) -> None:
        await self._call(Host.release, relay)

    async def refresh(self) -> tuple[Address, ...]:
        return await self._call(Host.refresh)

    @property
    def relay_use(self) -> RelayUse | None:
        """What this node carries for others now; None if it is no relay, or down."""
        relay = self._life[1].relay if self._life is not None else None
        return relay.use() if relay is not None else None

    async def disconnect(self, peer: PeerId) -> None:
        await self._call(Host.disconnect, peer)

    async def block(self, peer: PeerId) -> None:
        id_of(peer)
        self._set_blocked(self._blocked | {peer})
        if self._life is not None:
            await self.disconnect(peer)

    async def unblock(self, peer: PeerId) -> None:
        self._set_blocked(self._blocked - {peer})

    def _set_blocked(self, blocked: frozenset[PeerId]) -> None:
        """Also while down: the next run starts with the list."""
        self._blocked = blocked
        if self._life is not None:
            bridge, host = self._life
            # Posts keep their order: of two blocks at once none is forgotten.
            bridge.post(host.set_blocked, blocked)

    def _refuse_blocked(self, peer: PeerId) -> None:
        if peer in self._blocked:
            self._refuse("refused_dials")
            self._refuse("refused_dials_out")
            raise Blocked

    def connection_changed(self, peer: PeerId, connection: PeerConnection | None) -> None:
        """Told by the host of this life."""
        if connection is None:
            if self._peers.pop(peer, None) is not None:
                self._tell(Disconnected(peer))
            return
        new = peer not in self._peers
        self._peers[peer] = connection
        if new:
            self._tell(Connected(peer, next(iter(connection.addresses), Address(""))))

    # --- streams ---

    async def open(
        self, peer: PeerId, protocol: ProtocolName, timeout: float = CALL_S
    ) -> FrameStream:
        self._refuse_blocked(peer)
        stream = await self._call(Host.open, peer, protocol, seconds=timeout, late=Unreachable)
        self._streams.add(stream)
        return stream

    def stream_opened(self, protocol: ProtocolName, stream: FrameStream) -> None:
        """Told by the host of this life."""
        self._streams.add(stream)
        task = asyncio.create_task(self._serve(protocol, stream), name=f"stream {protocol}")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, protocol: ProtocolName, stream: FrameStream) -> None:
        try:
            await self._handlers[protocol](stream)
        except NetworkError:
            # The peer left, or broke a rule that was counted where it was seen.
            await stream.reset()
        except Exception:
            self._refuse("handler")
            _log.exception("a handler of %s failed", protocol)
            await stream.reset()
        except BaseException:
            await stream.reset()
            raise
        else:
            await stream.close()

    # --- gossip ---

    def subscribe(self, topic: str, callback: GossipHandler) -> None:
        if not 0 < len(topic) <= MAX_TOPIC:
            raise ValueError(f"a topic has 1 to {MAX_TOPIC} characters")
        self._topics[topic] = callback
        self._apply_topics()

    def unsubscribe(self, topic: str) -> None:
        self._topics.pop(topic, None)
        self._apply_topics()

    def _apply_topics(self) -> None:
        if self._life is not None:
            bridge, host = self._life
            bridge.post(host.set_topics, frozenset(self._topics))

    async def publish(self, topic: str, data: bytes) -> None:
        if len(data) > MAX_GOSSIP:
            raise FrameTooLarge(
                N_("{size} bytes, at most {most} in gossip"), size=len(data), most=MAX_GOSSIP
            )
        await self._call(Host.publish, topic, data)

    def _read_mail(self) -> None:
        mail = self._mail
        if mail is None:
            return
        letters = mail.take(64)
        for topic, author, data in letters:
            callback = self._topics.get(topic)
            if callback is None:
                continue
            try:
                callback(author, data)
            except Exception:
                self._refuse("handler")
                _log.exception("a gossip callback failed")
        if len(letters) == 64:
            # Others may run in between: a flood of hints is no reason to be deaf.
            asyncio.get_running_loop().call_soon(self._read_mail)


def _in_words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
