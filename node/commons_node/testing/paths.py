"""The ways in which operations may come to a node: by each of them they amount to the same.

A way is a function from a node to the (set_hash, state_hash) that its operations have by that way.
A new way is one more function in ``PATHS``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, cast

from commons_crdt.operation import Operation, operation_id
from commons_node.bundles.importing import Import, header_of
from commons_node.domains import RULES, VIEWS
from commons_node.realm.realm import Realm
from commons_node.store.realm_store import RealmStore
from commons_node.testing import oracle
from commons_node.testing.air import Air
from commons_node.testing.disk import Disk, Power
from commons_node.testing.life import Workers
from commons_node.testing.node import Node
from commons_node.testing.sticks import written
from commons_node.testing.weather import Faults, Weather
from commons_node.verifier.pool import VerifierPool
from commons_protocol.bundles.reader import unlock

Hashes = tuple[bytes, bytes]


class Came(NamedTuple):
    """What operations amount to by another way, and the store they came into, if there is one."""

    hashes: Hashes
    disk: Disk | None = None


Way = Callable[[Node, random.Random], Coroutine[Any, Any, Came | None]]
"""None: there was no occasion to go this way."""

_BATCH = 24
_LATER_MS = 3_600_000
"""Nothing is held for the clock of a node that is told all of it an hour later."""


async def replayed(node: Node, rng: random.Random) -> Came:
    """Judged and folded in memory, in another order, without a store."""
    assert node.realm_id is not None
    return Came(oracle.replay(node.realm_id, node.operations(), rng.randrange(1 << 30)))


async def from_nothing(node: Node, rng: random.Random) -> Came:
    """Told to an empty store in no order at all, some of it twice, as by a crowd of peers."""
    operations = node.operations()
    rng.shuffle(operations)
    return await _told(Disk(), node, [*operations, *rng.sample(operations, len(operations) // 4)])


async def from_a_crash(node: Node, rng: random.Random) -> Came | None:
    """A copy of the store, made when the power had just gone, that is told what it missed."""
    if not node.copies:
        return None
    operations = node.operations()
    rng.shuffle(operations)
    return await _told(rng.choice(node.copies), node, operations)


async def read_again(node: Node, _rng: random.Random) -> Came:
    """The disk as it is, started from once more, and every view folded from nothing."""
    disk = Disk()
    disk.copy_from(node.disk)
    realm = await _opened(disk, node)
    await realm.fold_again()
    return Came(await realm.hashes(), disk)


async def by_bundle(node: Node, rng: random.Random) -> Came | None:
    """A bundle of this node, taken in by one that had nothing; None for who may make none."""
    assert node.realm_id is not None
    secrets = node.standing.device(node.realm_id)
    stick = await written(node, rng)
    if secrets is None or stick is None:
        return None
    disk = Disk()
    realm = await _opened(disk, node)
    later = node.now_ms() + _LATER_MS
    unlocked = unlock(await header_of(stick), [secrets.sealing])
    work = Import(realm, stick, unlocked, later, node.parts)
    await work.run()
    return Came(await realm.hashes(), disk)


PATHS: Mapping[str, Way] = {
    "in another order": replayed,
    "from nothing": from_nothing,
    "from a copy of the store": from_a_crash,
    "read again": read_again,
    "by bundle": by_bundle,
}


async def _opened(disk: Disk, node: Node) -> Realm:
    """A realm on this disk, an hour later, with neither network nor weather."""
    assert node.realm_id is not None
    calm = Air(random.Random(0), Weather(), Faults(), node.town.trace)  # noqa: S311 - never asked
    store = RealmStore(disk.database(Power(lambda: None), lambda: 0.0))
    workers = cast("VerifierPool", Workers(calm))
    later = node.now_ms() + _LATER_MS
    realm = Realm(node.realm_id, store, RULES, VIEWS, workers, lambda: later)
    await realm.open()
    return realm


async def _told(disk: Disk, node: Node, operations: Sequence[Operation]) -> Came:
    """What a realm on this disk amounts to once it was told these, a few at a time."""
    realm = await _opened(disk, node)
    before, now = None, (realm.digest(), await realm.memory.needed())
    while before != now:
        # Whose author was not known yet is a stranger, what lies beyond an end is not taken before
        # somebody builds on it, and what an erasure took that fell later is absent: it is told
        # again, as long as that changes anything. What is kept aside must come by itself.
        aside = {ident for (ident,) in disk.rows("SELECT id FROM waiting")}
        left = [one for one in operations if operation_id(one.header) not in aside]
        for at in range(0, len(left), _BATCH):
            await realm.ingest(left[at : at + _BATCH], "another way")
        await realm.tick()  # as every node does: what a crash kept from being released
        before, now = now, (realm.digest(), await realm.memory.needed())
    return Came(await realm.hashes(), disk)
