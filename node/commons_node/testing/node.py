"""One node, put together as the daemon puts it together, on a disk and a network of ours.

What of `commons_node.daemon` is here is its glue, line for line: telling peering what was written,
looking at the standing again after log 0 grew, releasing what was held.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from nacl.signing import SigningKey

from commons_crdt.author import Draft
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId, OperationId, RealmId, digest
from commons_crdt.kinds import Rules
from commons_crdt.operation import Operation
from commons_crdt.roles import Role
from commons_node.backup.safety import Safety
from commons_node.community import Actor, Community
from commons_node.disk import Room
from commons_node.domains import RULES, VIEWS
from commons_node.keeping import Keeping
from commons_node.keystore.node_key import NodeKey
from commons_node.membership.admissions import Admissions
from commons_node.membership.watching import let_others, prove_forks
from commons_node.parts.keeper import PartsKeeper
from commons_node.peering.peering import Peering
from commons_node.peering.types import KnownPeer, Settings
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_node.realm.told import Change
from commons_node.standing import NodeStanding
from commons_node.store.realm_store import RealmStore
from commons_node.testing.acts import identity
from commons_node.testing.desk import Desk
from commons_node.testing.disk import Disk, PowerLost
from commons_node.testing.heard import Ears, HeardRealm
from commons_node.testing.host import Host
from commons_node.testing.life import Keys, Life, Shelf, Workers
from commons_node.testing.sealers import keep_rhythm
from commons_node.verifier.pool import VerifierPool
from commons_protocol.names import NodeId, node_id, peer_of_key
from commons_protocol.network import Address, PeerId

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.testing.town import Town

Result = TypeVar("Result")

_TICK_S = 30.0


class Node:
    """A member's node over all of its lives."""

    def __init__(self, town: Town, name: str, number: int, role: Role) -> None:
        """All keys follow from the town's seed and the name."""
        self.town = town
        self.name = name
        self.role = role
        """What alice gives its member."""
        self.secrets = DeviceSecrets(self._key("signing"), self._key("sealing"))
        self.identity = identity(self.secrets)
        self.disk = Disk()
        self.room = Room(Path(), 0, lambda: 0)
        """Of a disk without end."""
        self.keeping = Keeping(self.as_daemon)
        self.shelf = Shelf()
        self.address = Address(f"/ip4/10.0.{number >> 8}.{number & 255}/tcp/4001")
        self.key = bytes(SigningKey(self._key("network")).verify_key)
        self.peer: PeerId = peer_of_key(self.key)
        self.node: NodeId = node_id(self.peer)
        self.realm_id: RealmId | None = None
        self.skew_ms = 0
        self.lives = 0
        self.started = 0.0
        """When this life began, on the steady clock."""
        self.liar = False
        self.lies: dict[str, list[OperationId]] = {}
        """The lies that it has told, with the ids of what was told."""
        self.gone = False
        """Left for good."""
        self.refusals: Counter[str] = Counter()
        self.ears = Ears(lambda: town.now, self._wrote)
        self.traffic: Counter[str] = Counter()
        """Of all lives before this one."""
        self.copies: list[Disk] = []
        """The disk as it was after the latest crashes."""
        self.joined = False
        """Came in over the network, while everything was going on."""
        self.founding = False
        """Knew everything from the first day on."""
        self.life: Life | None = None
        self.communities: dict[RealmId, Community] = {}
        self.standing: NodeStanding
        self.peering: Peering
        self.host: Host
        self.parts: PartsKeeper
        self.admissions: Admissions
        self.desk = Desk(self)
        self._keys = Keys({"network": self._key("network")})

    def _key(self, use: str) -> bytes:
        return digest("sim", self.town.seed.to_bytes(8, "big"), self.name.encode(), use.encode())

    def give_device(self, realm: RealmId) -> None:
        """The node's own device in a realm, from the seed."""
        name = realm.hex()
        self._keys.add({
            f"{name}.signing": self._key("node signing"),
            f"{name}.sealing": self._key("node sealing"),
        })  # fmt: skip

    # --- what the parts of the daemon ask of it ---

    @property
    def member(self) -> MemberId:
        """Whose node it is."""
        return self.identity.member

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self.life is not None and self.life.alive

    @property
    def ready(self) -> bool:
        """As the daemon says it in `status`."""
        return self.alive

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where others reach it."""
        return self.peering.addresses

    def now_ms(self) -> int:
        """This node's clock."""
        return time.time_ns() // 1_000_000

    @property
    def rules(self) -> Rules:
        """The newest that it knows."""
        return RULES

    def kept(self) -> list[Community]:
        """The only community; nobody pauses it."""
        return list(self.communities.values())

    def may_sign(self, _realm: RealmId) -> bool:
        """Yes: no loss of power takes what is committed here, so its own tips are its newest."""
        return True

    async def safety(self) -> Safety:
        """Nothing: it has no home to be backed up."""
        return Safety()

    @property
    def as_daemon(self) -> Daemon:
        """This node where the product asks for the daemon; it has the parts that are used."""
        return cast("Daemon", self)

    @property
    def community(self) -> Community:
        """The only community."""
        return next(iter(self.communities.values()))

    @property
    def realm(self) -> Realm:
        """Its realm."""
        return self.community.realm

    async def refresh(self, realm: Realm) -> None:
        """Log 0 grew: open new epochs, prove again, subscribe again."""
        await self.standing.refresh(realm)
        self.peering.refresh()

    def _changed(self, change: Change) -> None:
        self.town.arrived(self, change)
        self.parts.changed(change)
        if change.log_zero:
            self.peering.spawn(self.refresh(self.realm), "refresh")
        if change.forked:
            self.peering.spawn(self._prove_forks(), "prove")
        if change.own or change.log_zero:
            self.peering.spawn(self._seal(), "seal")
        if change.own:
            self.peering.spawn(self.peering.written(change.realm, change.operations), "tell")

    async def _prove_forks(self) -> None:
        node = self.standing.device(self.realm.realm)
        if node is not None:
            await let_others()
            await prove_forks(self.realm, node, {self.member})

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            for community in self.communities.values():
                await community.realm.tick()
            self.parts.tick()
            await self._seal()

    def _peer_changed(self, kind: str, _detail: str) -> None:
        if kind == "peer":
            self.parts.met()

    async def _seal(self) -> None:
        if self.town.seals and self.founding and not self.liar:
            await keep_rhythm(self)

    # --- living ---

    async def start(self) -> None:
        """Begin a life with what is on the disk."""
        self.lives += 1
        self.started = time.monotonic()
        self.life = life = Life(self.name, self.skew_ms, self.crash)
        self.communities = {}
        self.desk = Desk(self)
        await self.run(self._start(life))

    async def _start(self, life: Life) -> None:
        town = self.town
        self.standing = NodeStanding(cast("NodeKey", self._keys))
        self.admissions = Admissions(self.as_daemon)
        if self.realm_id is not None:
            await self.open(self.realm_id)

        def network(handlers: Any, on_event: Any) -> Host:
            if self.lives > 1:
                self.traffic.update(self.host.traffic)
            self.host = Host(
                town.air, self.name, self.key, self.address, handlers, on_event, life.context
            )
            return self.host

        self.peering = Peering(
            network,
            lambda: [community.realm for community in self.communities.values()],
            self.shelf,
            refusals=self.refusals,
            admissions=self.admissions,
            settings=town.settings,
            on_change=self._peer_changed,
            parts=lambda realm: self.communities[realm].realm.parts,
        )
        self.parts = PartsKeeper(
            lambda: self.peering,
            lambda: [community.realm for community in self.communities.values()],
            policy=town.parts,
            quota=town.parts_quota,
        )
        await self.peering.start()
        self.peering.spawn(self._ticking(), "ticking")
        town.faults["lives_again"] += self.lives > 1

    async def open(self, realm_id: RealmId) -> Realm:
        """Open the realm on this disk."""
        assert self.life is not None
        town = self.town
        self.realm_id = realm_id
        database = self.disk.database(self.life.power, town.write_time)
        workers = cast("VerifierPool", Workers(town.air))
        store = RealmStore(database)
        realm = HeardRealm(realm_id, store, RULES, VIEWS, workers, self.now_ms, ears=self.ears)
        await realm.open()
        realm.listeners.append(self._changed)
        await self.standing.refresh(realm)
        self.communities[realm_id] = Community(realm)
        return realm

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """Run something as this node; None if the node dies under it, or one that it asks."""
        life = self.life
        if life is None or not life.alive:
            work.close()
            return None
        task = asyncio.get_running_loop().create_task(work, context=life.context.copy())
        await asyncio.wait({task})
        if task.cancelled():
            return None
        error = task.exception()
        if isinstance(error, PowerLost) or (error is not None and not life.power.on):
            return None
        if error is not None:
            raise error
        return task.result()

    def crash(self) -> None:
        """The power goes: now, in the middle of whatever is being done."""
        if self.life is None or not self.life.alive:
            return
        faults = self.town.faults
        faults["tasks_killed"] += self.life.end()
        torn = self.disk.torn
        self.disk.lose_power()
        faults["crashes"] += 1
        faults["torn_writes"] += self.disk.torn - torn
        faults["forgotten_peers"] += self.shelf.lose()
        self.copies = [*self.copies[-1:], copy := Disk()]
        copy.copy_from(self.disk)
        self.host.vanish("crashed")
        self.town.note("crash", self, "in the middle of a write" if self.disk.torn > torn else "")

    def crash_in(self, statements: int) -> None:
        """The power goes while a transaction is written, so many statements from now."""
        if self.life is not None:
            self.town.faults["fuses"] += 1
            self.life.power.fuse = statements

    async def stop(self) -> None:
        """End in an orderly way."""
        await self.run(self.peering.stop())
        if self.life is not None:
            self.life.end()

    # --- acting ---

    def actor(self) -> Actor | None:
        """The member, as long as they stand here."""
        if not self.communities:
            return None
        authority = self.realm.judge.authority
        granted = authority.devices.get(self.secrets.keys.id)
        role = authority.role(self.member, authority.whole)
        if granted is None or role is None:
            return None
        return Actor(self.member, role, self.secrets, granted.id)

    async def write(self, drafts: Sequence[Draft]) -> list[Written] | None:
        """Write in the member's name; None if the node dies before it is acknowledged."""
        actor = self.actor()
        if actor is None or not drafts:
            return None
        try:
            return await self.realm.write(drafts, actor.secrets, actor.grant)
        except (PowerLost, CommonsError):
            return None

    def _wrote(self, written: Sequence[Written]) -> None:
        """Something was acknowledged to the member."""
        self.town.acknowledged(self, written)

    def knows(self, other: Node) -> None:
        """Where another node is stands in the book."""
        self.shelf.durable[other.node] = KnownPeer(
            other.node, (Address(f"{other.address}/p2p/{other.peer}"),)
        )

    def refused(self) -> Counter[str]:
        """What this life's realm has refused, by reason."""
        return self.realm.refusals if self.communities else Counter()

    def stored(self) -> list[tuple[OperationId, int, str]]:
        """(id, verdict, reason) of all operations on the disk."""
        return [
            (OperationId(i), v, r)
            for i, v, r in self.disk.rows("SELECT id, verdict, reason FROM operations ORDER BY id")
        ]

    def operations(self) -> list[Operation]:
        """All operations on the disk, in the order of storing."""
        parts: dict[int, list[bytes | None]] = {}
        for n, part in self.disk.rows("SELECT operation, bytes FROM parts ORDER BY 1, position"):
            parts.setdefault(n, []).append(part)
        query = "SELECT n, header, signature, body FROM operations ORDER BY n"
        return [
            Operation(header, signature, body, tuple(parts.get(n, ())))
            for n, header, signature, body in self.disk.rows(query)
        ]


SETTINGS = Settings(offences=0)
"""The daemon's own; but where weather mangles frames, as no transport does, nobody is blamed."""
