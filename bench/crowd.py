"""`python -m bench.crowd FILE SEATS ADDRESS`: several nodes of one community in one process.

Each has a libp2p host and a `Peering` of its own, as a daemon has, its own transport key and its
own standing; they share one copy of the realm. They talk with one node only: those that are said
to ``dial`` do, the others wait. What they hear of each other they do not follow, since so many
processes' worth of connections to each other would be what this machine is busy with.

SEATS is JSON: a list of {"signing", "sealing", "grant"} in hex and {"dial": bool}. Its lines say
{"addresses": [...]}, and to each line on stdin {"connected": N}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.operation import Operation
from commons_node.domains import RULES, VIEWS
from commons_node.peering.acquaintance import Acquaintance
from commons_node.peering.peering import Peering
from commons_node.peering.types import MemoryBook
from commons_node.realm.realm import Realm
from commons_node.standing import path_to, signer
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol.libp2p_host import Libp2pNetwork
from commons_protocol.network import Address, PeerId
from commons_protocol.replica import Credential

_PAUSE_S = 0.3
"""Between two dials: a node lets few shake hands at once."""


class Seat:
    """The realm as one of the nodes has it: with a standing of its own."""

    def __init__(self, realm: Realm, credential: Credential) -> None:
        """All but the standing is the realm's."""
        self._realm = realm
        self._credential = credential

    def credential(self) -> Credential:
        """This node's."""
        return self._credential

    def __getattr__(self, name: str) -> Any:
        """What is the same for all."""
        return getattr(self._realm, name)


class Loner(Acquaintance):
    """Hears of others and does not look for them."""

    def found(self, peer: PeerId, addresses: tuple[Address, ...]) -> None:
        """Let be."""


async def _node(seat: Seat) -> Peering:
    peering = Peering(
        lambda handlers, on_event: Libp2pNetwork(
            os.urandom(32), [Address("/ip4/127.0.0.1/tcp/0")], handlers, on_event, {}
        ),
        lambda: [seat],  # it passes everything on
        MemoryBook(),
        refusals={},
    )
    peering.acquaintance = Loner(peering)
    await peering.start()
    return peering


def _seat(realm: Realm, told: dict[str, str], stored: list[Operation]) -> Seat:
    secrets = DeviceSecrets(bytes.fromhex(told["signing"]), bytes.fromhex(told["sealing"]))
    grant = OperationId(bytes.fromhex(told["grant"]))
    path = path_to(grant, stored)
    return Seat(realm, Credential(secrets.keys.id, grant, signer(secrets), path))


async def _main(file: Path, seats: Sequence[dict[str, Any]], address: str) -> None:
    pool = VerifierPool(1)
    database = await open_database(file, REALM_SCHEMA)
    realm = Realm(
        RealmId(bytes.fromhex(file.stem)), RealmStore(database), RULES, VIEWS, pool,
        lambda: time.time_ns() // 1_000_000,
    )  # fmt: skip
    await realm.open()
    for epoch in seats[0]["epochs"]:
        realm.epoch_keys[OperationId(bytes.fromhex(epoch[0]))] = bytes.fromhex(epoch[1])
    stored = [operation for _, operation in await realm.store.everything("c.log = 0")]
    nodes = [await _node(_seat(realm, told, stored)) for told in seats]
    for told, node in zip(seats, nodes, strict=True):
        if told["dial"]:
            await node.connect(Address(address))
            await asyncio.sleep(_PAUSE_S)
    waiting = [n for told, n in zip(seats, nodes, strict=True) if not told["dial"]]
    _say({"addresses": [str(node.addresses[0]) for node in waiting]})
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        talks = [talk for node in nodes for talk in node.talks.now.values()]
        equal = [talk for talk in talks for sync in talk.session.realms.values() if sync.equal_now]
        _say({"connected": len(equal)})
    await asyncio.gather(*(node.stop() for node in nodes))
    await realm.close()
    await pool.stop()


def _say(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]))
