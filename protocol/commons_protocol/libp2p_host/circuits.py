"""Circuit relay v2 on the wire, and a circuit as the raw connection that Noise runs over.

Source: libp2p specifications, "Circuit Relay v2" (relay/circuit-v2.md). Of libp2p 0.8.1 the
messages are used and nothing else: its relay lets anybody reserve for anybody, puts no bound on
idle streams and dials by itself (docs/decisions/0015).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from libp2p.abc import INetStream
from libp2p.connection_types import ConnectionType
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError, IOException
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Status, StopMessage
from libp2p.utils.varint import encode_varint_prefixed, read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_crdt.texts import N_
from commons_protocol.libp2p_host.bridge import shielded
from commons_protocol.network import Address, NotAtRelay, PeerId, RelayRefuses, RelayUnreachable

HOP: Final = TProtocol("/libp2p/circuit/relay/0.2.0/hop")
STOP: Final = TProtocol("/libp2p/circuit/relay/0.2.0/stop")
_LONGEST = 4096
"""Bytes of one message: ids, a voucher and some addresses."""
_CHUNK = 65536
_RESET_S = 1.0

M = TypeVar("M", bound=Message)

_REFUSALS: Final = {
    Status.RESERVATION_REFUSED: N_("it has no place for another reservation"),
    Status.RESOURCE_LIMIT_EXCEEDED: N_("it carries as much as it may"),
    Status.PERMISSION_DENIED: N_("it is not for us"),
    Status.MALFORMED_MESSAGE: N_("it does not understand us"),
    Status.UNEXPECTED_MESSAGE: N_("it does not understand us"),
}


async def write_message(stream: Any, message: Message) -> None:
    """Send one message behind its length."""
    await stream.write(encode_varint_prefixed(message.SerializeToString()))


async def read_message(stream: Any, kind: type[M]) -> M:
    """The next message, of at most 4 KiB. Raises ``IOException`` for anything else."""
    data = await read_varint_prefixed_bytes_limited(stream, _LONGEST)
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise IOException("not a relay message") from error
    return message


async def ask(stream: INetStream, question: HopMessage) -> HopMessage:
    """What a relay answers, if it is a yes.

    Raises ``RelayRefuses``, ``NotAtRelay``, and ``RelayUnreachable`` where it says nothing.
    """
    try:
        await write_message(stream, question)
        answer = await read_message(stream, HopMessage)
    except BaseLibp2pError as error:
        raise RelayUnreachable(N_("it hangs up")) from error
    if answer.type != HopMessage.STATUS:
        raise RelayRefuses(N_("it does not make sense"))
    if answer.status == Status.NO_RESERVATION:
        raise NotAtRelay(N_("it has no reservation there"))
    if answer.status == Status.CONNECTION_FAILED:
        raise NotAtRelay(N_("it does not answer there"))
    if answer.status != Status.OK:
        reason = _REFUSALS.get(answer.status, N_("its answer is {status}"))
        raise RelayRefuses(reason, status=answer.status)
    return answer


class Pipe(ReadWriteCloser):
    """A libp2p stream that is read and ends as a socket is: no end of it is an exception."""

    def __init__(self, stream: INetStream) -> None:
        self._net = stream
        self._buffer = bytearray()
        self._ended = False

    async def read(self, n: int | None = None) -> bytes:
        """``n`` bytes, fewer only at the end; without ``n`` whatever comes next."""
        wanted = n if n is not None else 1
        while len(self._buffer) < wanted and not self._ended:
            try:
                chunk = await self._net.read(_CHUNK)
            except BaseLibp2pError:
                chunk = b""
            self._ended = not chunk
            self._buffer += chunk
        size = len(self._buffer) if n is None else n
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def write(self, data: bytes) -> None:
        try:
            await self._net.write(data)
        except BaseLibp2pError as error:
            raise ConnectionClosedError("the circuit has ended") from error

    async def close(self) -> None:
        with suppress(BaseLibp2pError):
            await self._net.close()

    async def reset(self) -> None:
        """End it at once, whoever is cancelled meanwhile."""
        self._ended = True
        with shielded(_RESET_S), suppress(Exception):
            await self._net.reset()

    def get_remote_address(self) -> tuple[str, int] | None:
        return None


class CircuitConnection(RawConnection):
    """One circuit. ``relay``: the address of the relay that it goes through, with its peer id."""

    stream: Pipe

    def __init__(self, stream: INetStream, relay: Address, *, initiator: bool) -> None:
        super().__init__(
            Pipe(stream),
            initiator,
            connection_type=ConnectionType.RELAYED,
            addresses=[Multiaddr(f"{relay}/p2p-circuit")],
        )
        self.relay = relay

    def remote(self, peer: PeerId) -> Address:
        """The relayed address of who has proven to be at the other end."""
        return Address(f"{self.relay}/p2p-circuit/p2p/{peer}")


def stop_message(source: bytes, data: int, seconds: int) -> StopMessage:
    """What the relay says to who is called: who calls, and what the circuit may carry."""
    message = StopMessage(type=StopMessage.CONNECT)
    message.peer.id = source
    message.limit.data = data
    message.limit.duration = seconds
    return message


def status(code: Status.ValueType) -> HopMessage:
    """A relay's answer."""
    return HopMessage(type=HopMessage.STATUS, status=code)
