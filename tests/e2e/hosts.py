"""Real libp2p hosts over loopback for the stories of the `test_libp2p_*` files.

Run as a program, `python hosts.py SEED PORT`, this file is a peer that echoes.
"""

import asyncio
import os
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from commons_protocol.libp2p_host import Libp2pNetwork, Limits, RelayLimits
from commons_protocol.network import (
    Address,
    Event,
    PeerId,
    ProtocolName,
    Stream,
    StreamClosed,
)

ECHO = ProtocolName("/commons/echo/1")
FAIL = ProtocolName("/commons/fail/1")
SINK = ProtocolName("/commons/sink/1")
ANYWHERE = [Address("/ip4/127.0.0.1/tcp/0")]
ALICE, BOB = bytes([1]) * 32, bytes([2]) * 32
E = TypeVar("E")


async def echo(stream: Stream) -> None:
    with suppress(StreamClosed):
        while True:
            await stream.send(await stream.receive())


async def fail(stream: Stream) -> None:
    await stream.receive()
    raise RuntimeError("a fault in a handler")


async def sink(stream: Stream) -> None:
    """Reads nothing until the other side is gone for long."""
    del stream
    await asyncio.sleep(60)


@dataclass
class Node:
    network: Libp2pNetwork
    events: list[Event] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    addresses: tuple[Address, ...] = ()

    @property
    def id(self) -> PeerId:
        return self.network.peer_id

    @property
    def port(self) -> int:
        return int(self.addresses[0].split("/")[4])

    def heard(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def insides(self) -> Any:
        """The trio side, for looking only."""
        assert self.network._life is not None
        return self.network._life[1]


@asynccontextmanager
async def node(
    seed: bytes | None = None,
    limits: Limits | None = None,
    listen: list[Address] = ANYWHERE,
    relay: RelayLimits | None = None,
) -> AsyncIterator[Node]:
    events: list[Event] = []
    refusals: Counter[str] = Counter()
    handlers = {ECHO: echo, FAIL: fail, SINK: sink}
    network = Libp2pNetwork(
        seed or os.urandom(32), listen, handlers, events.append, refusals, limits, relay
    )
    made = Node(network, events, refusals)
    made.addresses = await network.start()
    try:
        yield made
    finally:
        await network.stop()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what changes has no event
            await asyncio.sleep(0.01)


async def assert_echoes(client: Node, server: PeerId, what: bytes = b"hello") -> None:
    stream = await client.network.open(server, ECHO)
    await stream.send(what)
    assert await stream.receive() == what, "the host is healthy: it echoes"
    await stream.close()


async def receive_all(stream: Stream) -> None:
    while True:
        await stream.receive()


async def send_many(stream: Stream, count: int) -> None:
    for at in range(count):
        await stream.send(struct.pack(">I", at) * 1024)


def fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


@asynccontextmanager
async def other_process(seed: bytes, port: int) -> AsyncIterator[tuple[Any, Address]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, seed.hex(), str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        yield process, Address(line.decode().strip())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        # The pipe's transport, or its destructor warns.
        process._transport.close()  # type: ignore[attr-defined]  # asyncio gives no other way


async def _peer(seed: bytes, port: int) -> None:
    network = Libp2pNetwork(
        seed, [Address(f"/ip4/127.0.0.1/tcp/{port}")], {ECHO: echo}, lambda _: None, Counter()
    )
    addresses = await network.start()
    sys.stdout.write(f"{addresses[0]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_peer(bytes.fromhex(sys.argv[1]), int(sys.argv[2])))
