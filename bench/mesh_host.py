"""`python -m bench.mesh_host`: one real libp2p host as a program, told by lines of JSON what to do.

It says its address first. Then: {"connect": ADDRESS}, {"publish": BYTES}, {"begin": true} (count
from here), {"report": true}. Every copy of a message is counted where py-libp2p takes it in.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from commons_node.testing.scale.mesh import TOPIC
from commons_protocol.libp2p_host import Libp2pNetwork
from commons_protocol.libp2p_host.gossip import GatedPubsub
from commons_protocol.network import Address

_SAMPLE_S = 1.0


class Host:
    """The host and what came to it."""

    def __init__(self) -> None:
        """Not started."""
        self.network = Libp2pNetwork(
            os.urandom(32), [Address("/ip4/127.0.0.1/tcp/0")], {}, lambda _event: None, {}
        )
        self.arrivals: list[tuple[str, str, float]] = []
        """(message, who passed it on, when) of every copy."""
        self.sizes: list[int] = []
        self._count()

    def _count(self) -> None:
        taken_in = GatedPubsub.push_msg

        async def push_msg(pubsub: GatedPubsub, forwarder: ID, msg: rpc_pb2.Message) -> None:
            ident = (msg.from_id + msg.seqno).hex()
            self.arrivals.append((ident, str(forwarder), time.monotonic()))
            await taken_in(pubsub, forwarder, msg)

        GatedPubsub.push_msg = push_msg  # type: ignore[assignment,method-assign]  # only looks

    @property
    def _mesh(self) -> int:
        life: Any = self.network._life
        return len(life[1]._pubsub.gossip_router.mesh.get(TOPIC, ()))

    async def sample(self) -> None:
        """Look at the mesh once a second, for ever."""
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self.sizes.append(self._mesh)

    async def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one line."""
        match command:
            case {"connect": str(address)}:
                await self.network.connect(Address(address))
            case {"publish": int(size)}:
                await self.network.publish(TOPIC, os.urandom(size))
            case {"begin": _}:
                self.arrivals.clear()
                self.sizes.clear()
            case {"report": _}:
                return {"arrivals": self.arrivals, "sizes": self.sizes}
            case _:
                raise ValueError(command)
        return {}


async def _main() -> None:
    host = Host()
    (address,) = await host.network.start()
    host.network.subscribe(TOPIC, lambda _peer, _data: None)
    _say({"address": address, "peer": host.network.peer_id})
    looking = asyncio.create_task(host.sample())
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _say(await host.do(json.loads(line)))
    looking.cancel()
    await host.network.stop()


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
