"""libp2p's host so that no handler ends it, and its news of connections."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.host.basic_host import BasicHost
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_protocol.libp2p_host.bridge import shielded
from commons_protocol.libp2p_host.gate import Gate


class GuardedHost(BasicHost):
    """No stream handler, ours or libp2p's, ends the host; no stranger's identity is asked for."""

    gate: Gate

    async def _swarm_stream_handler(self, net_stream: INetStream) -> None:
        try:
            await super()._swarm_stream_handler(net_stream)
        except Exception as error:
            if not isinstance(error, StreamEOF):
                self.gate.refuse("stream")
            with shielded(1), suppress(Exception):
                await net_stream.reset()

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        # It would store addresses that strangers claim, from a task whose failure ends the run.
        del peer_id, reason


class Watch(INotifee):
    """Tells `changed` of every connection that comes or goes."""

    def __init__(self, changed: Callable[[INetConn], Awaitable[None]]) -> None:
        self._changed = changed

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        del network
        await self._changed(conn)

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        del network
        await self._changed(conn)

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None: ...

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None: ...
