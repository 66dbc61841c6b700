"""The daemon: the one place where everything is put together, started and stopped.

One asyncio process, the network's thread, verifier workers; one daemon per home. Decides nothing
about operations: the judge does. What follows from what happens is in `hearing`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.ids import DeviceId, MemberId, RealmId
from commons_crdt.operation import Operation
from commons_node.agents.house import Agents
from commons_node.api.events import Events
from commons_node.attendance.attending import Attending
from commons_node.backup.restored import Restored
from commons_node.backup.retiring import Retiring
from commons_node.backup.safety import Safety, safety_of
from commons_node.backup.schedule import Schedule
from commons_node.community import Actor, Community, find
from commons_node.config import Config
from commons_node.databases import files
from commons_node.disk import MIB, Room, watch_room
from commons_node.domains import RULES, VIEWS, registry
from commons_node.domains.leaving.confirming import Confirming
from commons_node.domains.reputation.opening import Openings
from commons_node.doors import Doors
from commons_node.health.probing import Probing
from commons_node.hearing import Hearing
from commons_node.home import Home
from commons_node.jobs.node import Jobs
from commons_node.keeping import Keeping
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.sessions import Sessions, pick
from commons_node.keystore.store import Keystore
from commons_node.membership.admissions import Admissions
from commons_node.membership.arriving import Arriving
from commons_node.membership.devices import Devices
from commons_node.membership.joining import Joining
from commons_node.membership.paper import Papers
from commons_node.membership.unattended import Unattended
from commons_node.network import network_of
from commons_node.own.realms import OwnRealms
from commons_node.parts.keeper import PartsKeeper
from commons_node.peering.peering import Peering
from commons_node.peering.penalties import PATIENCE
from commons_node.peering.types import Settings
from commons_node.ports import keep_port, where_to_listen
from commons_node.realm.parts import RealmParts
from commons_node.realm.realm import Realm
from commons_node.registry import Request
from commons_node.repairing import Repairs
from commons_node.sealing.comparing import Comparer
from commons_node.sealing.host import AtDaemon
from commons_node.sealing.keeper import Keeper
from commons_node.signing import Signing
from commons_node.standing import NodeStanding
from commons_node.store.database import Closed, Damaged, Database, open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_node.store.peer_records import StoredRecords
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.store.upgrading import Unusable, see_that_all_can
from commons_node.verbs import VERSION
from commons_node.verifier.pool import VerifierPool
from commons_protocol.about import About
from commons_protocol.lan import LanDiscovery, ThisMachine
from commons_protocol.network import Address

log = structlog.get_logger(component="daemon")


class NoCommunity(CommonsError):
    """This node is in no community yet."""

    code = "no_community"
    hint = "commons-node community init NAME --member YOU, or: commons-node join CODE --member YOU"
    status = "not_found"


class WhichCommunity(CommonsError):
    """This node is in several communities."""

    code = "which_community"
    hint = "say which with --community ID or name"
    status = "usage"


class Daemon:
    """One running node. ``start`` and ``stop`` may be called once."""

    def __init__(self, home: Home, config: Config, environment: Mapping[str, str]) -> None:
        """``home`` is locked by this process."""
        self.home = home
        self.config = config
        self.rules = RULES
        self.started = time.monotonic()
        self.refusals: Counter[str] = Counter()
        self.events = Events()
        self.sessions = Sessions()
        self.keystore = Keystore(home.keys)
        self.standing = NodeStanding(NodeKey(home.node_key))
        self.room = Room(home.path, config.disk_reserve * MIB)
        self.pool = VerifierPool(config.verifier_workers or os.cpu_count() or 1)
        self.communities: dict[RealmId, Community] = {}
        self.admissions = Admissions(self, lambda: self.own.held)
        self.joining = Joining(self)
        self.devices = Devices(self)
        self.arriving = Arriving(self)
        self.papers = Papers(self)
        self.sealing = Keeper(AtDaemon(self))
        self.openings = Openings(self)
        self.comparing = Comparer()
        self.backups = Schedule(self)
        self.repairs = Repairs(self)
        self.probing = Probing(self)
        self.keeping = Keeping(self)
        self.confirming = Confirming(self)
        self.own = OwnRealms(self, home.path / "own")
        self.attending = Attending(self)
        self.parts = PartsKeeper(
            lambda: self.peering,
            lambda: [community.realm for community in self.keeping.kept()],
            policy=config.parts,
            quota=config.parts_quota_mib << 20,
            fits=self.room.fits_part,
        )
        self.jobs = Jobs(self)
        self.agents = Agents(home.path, self.jobs, self._zone_of)
        self.ready = False
        self.doors = Doors(self, home.socket(environment))
        self.hearing = Hearing(self)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.retiring = Retiring(self, Restored(home.path))
        copied = home.moved() or self.retiring.restored.must_meet
        self.signing = Signing(copied=copied, keeping=self.keeping)
        self.unattended = Unattended(self, environment)
        self._undo = AsyncExitStack()
        self._opening = asyncio.Lock()
        self.store: NodeStore
        self.peering: Peering

    # -- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything; when it returns, the API answers and peers are dialled.

        What was opened is closed again if something fails. Raises ``NetworkError``.
        """
        async with AsyncExitStack() as undo:
            await self._start(undo)
            self._undo = undo.pop_all()

    async def _start(self, undo: AsyncExitStack) -> None:
        """``undo`` closes in the order that loses nothing: callers, peers, tasks, files."""
        await asyncio.to_thread(see_that_all_can, files(self.home))
        await self.repairs.node_file(self.home.path / "node.db")
        self.store = NodeStore(await open_database(self.home.path / "node.db", NODE_SCHEMA))
        self.watch_damage(self.store.database, None)
        self.standing.keep = self._keep_standing
        undo.push_async_callback(self.store.database.close)
        undo.callback(self.sessions.close)
        undo.push_async_callback(self.pool.stop)
        undo.push_async_callback(self._close_realms)
        (self.home.path / "realms").mkdir(mode=0o700, exist_ok=True)
        await self.keeping.load()
        for realm in await self.store.realms():
            await self.repairs.opened(realm, self._open(realm))
        await self.own.load()
        await self.repairs.members()
        listen = await where_to_listen(self.store, self.config.listen)
        self.peering = Peering(
            network_of(self.config, self.standing.network_seed, listen, self.refusals),
            self._replicas,
            self.store,
            refusals=self.refusals,
            admissions=self.admissions,
            reception=self.devices,
            lan=LanDiscovery() if self.config.lan else None,
            lan_interfaces=self.config.lan_interfaces or None,
            machine=ThisMachine(),
            relays=self.store,
            announce=self.config.announce,
            settings=Settings(
                sync_interval=self.config.sync_interval_s,
                offences=PATIENCE if self.config.keep_out else 0,
            ),
            on_change=self.hearing.peer_changed,
            records=StoredRecords(self.store.database),
            parts=self._parts_of,
            attend=self.attending.brought,
            about=About(VERSION, RULES.version),
        )
        undo.push_async_callback(self._end_tasks)
        undo.push_async_callback(self.peering.stop)
        undo.callback(self.parts.stop)
        await keep_port(self.store, await self.peering.start())
        undo.push_async_callback(self.joining.stop)
        undo.push_async_callback(self.arriving.stop)
        verbs = registry()
        undo.push_async_callback(self.jobs.stop)
        await self.repairs.jobs_file(self.jobs.scheduler.path)
        self.jobs.scheduler.desk.on_damage = self.repairs.suspect_jobs
        await self.agents.load(self.store.database)
        await self.jobs.start(verbs)
        await self.agents.arrange()
        undo.push_async_callback(self.doors.close)
        await self.doors.open(verbs)
        if not self.signing.copied:
            self.home.settle()
        self.spawn(self.pool.warm())
        self.spawn(self.hearing.tick())
        self.spawn(watch_room(self.room, self.hearing.room_changed))
        self.spawn(self.learn_own_tips())
        self.spawn(self.repairs.stay())
        self.ready = True
        log.info("started", version=VERSION, communities=len(self.communities))

    async def stop(self) -> None:
        """Close everything that ``start`` has opened."""
        self.ready = False
        log.info("stopping")
        await self._undo.aclose()

    def _replicas(self) -> list[Realm]:
        """What is kept in step; communities first, where a proof has few places."""
        return [*(one.realm for one in self.keeping.kept()), *self.own.replicas()]

    async def _close_realms(self) -> None:
        await self.own.close()
        for community in self.communities.values():
            await community.realm.close()

    async def _end_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run in the background; a failure is logged, and ends nothing else."""

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Unusable | Damaged | Closed):
                log.warning("task_failed", task=task.get_name(), why=str(error))
            elif error is not None:
                log.error("task_failed", task=task.get_name(), exc_info=error)

        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    # -- realms --------------------------------------------------------------------------------

    async def make_realm(
        self, realm: RealmId, path: Path, now_ms: Callable[[], int] | None = None
    ) -> Realm:
        """A realm over a file, open and known to nobody yet; ``now_ms``: another clock for it."""
        database = await open_database(path, REALM_SCHEMA)
        self.watch_damage(database, realm)
        held = Realm(
            realm,
            RealmStore(database),
            self.rules,
            VIEWS,
            self.pool,
            now_ms or self.now_ms,
            prune=self.config.prune,
            room=self.room,
        )
        try:
            await held.open()
        except BaseException:
            await database.close()
            raise
        return held

    async def _open(self, realm: RealmId) -> Community:
        path = self.home.path / "realms" / f"{realm.hex()}.db"
        await self.repairs.realm_file(realm, path)
        held = await self.make_realm(realm, path)
        held.listeners.append(self.hearing.changed)
        held.parts.on_damage = partial(self.repairs.part_gone, held)
        here = await self.store.members()
        held.notices.residents.update(one for one, of in here.items() if of == realm)
        await self.standing.refresh(held)
        community = Community(held)
        self.communities[realm] = community
        self.signing.add(realm)
        self.spawn(self.hearing.prove_forks(held))
        return community

    async def add_realm(
        self, realm: RealmId, operations: Sequence[Operation], member: MemberId
    ) -> Realm:
        """Open a realm, or one that is here already, with its log-0 operations."""
        async with self._opening:  # a second writer on the same file would fork its chains
            community = self.communities.get(realm)
            if community is None:
                community = await self._open(realm)
                self.signing.fresh(realm)  # every key of ours in it is new
        await community.realm.ingest(operations, "join")
        await self.store.add_realm(realm, self.now_ms())
        await self.store.add_member(member, realm)
        community.realm.notices.residents.add(member)
        return community.realm

    async def forget(self, community: Community) -> None:
        """Close a realm; ``reopen`` must follow."""
        await community.realm.close()

    def watch_damage(self, database: Database, realm: RealmId | None) -> None:
        """Have a file mended as soon as SQLite finds it damaged; None: the node's own."""
        database.on_damage(lambda: self.repairs.suspect(realm))

    async def reopen(self, realm: RealmId) -> None:
        """Open a realm whose file is another one now."""
        async with self._opening:
            await self._open(realm)

    async def _keep_standing(self, realm: RealmId, path: Sequence[Operation]) -> None:
        """A copy for bad days: no day becomes one because it cannot be kept."""
        try:
            await self.store.keep_standing(realm, path)
        except (CommonsError, sqlite3.Error) as error:
            log.warning("standing_not_kept", realm=realm.hex()[:8], why=str(error))

    def look_at_seals(self, community: Community) -> None:
        """Something came that may make a seal due, or one ready to be endorsed, or compared."""
        self.spawn(self.sealing.look(community))
        self.spawn(self.hearing.compare(community))

    def look_at_openings(self, community: Community) -> None:
        """Somebody has unlocked, or time has passed: what is sealed may be due to be opened."""
        self.spawn(self.openings.look(community))

    async def refresh(self, realm: Realm) -> None:
        """Log 0 grew: open new epochs, prove again, subscribe again."""
        await self.standing.refresh(realm)
        self.peering.refresh()

    def _parts_of(self, realm: RealmId) -> RealmParts | None:
        community = self.communities.get(realm)
        paused = realm in self.keeping.paused
        return None if community is None or paused else community.realm.parts

    async def learn_own_tips(self) -> None:
        """Ask peers for what this node itself wrote; a copy that was told all of it is at home."""
        await self.signing.learn(self.peering, self.spawn)
        if not self.signing.copied:
            self.home.settle()

    def unsure(self) -> None:
        """Own newest acts may be gone from the disk: sign nothing before somebody has told them."""
        self.home.unsettle()
        self.signing.copied = True

    def may_sign(self, realm: RealmId) -> bool:
        """Whether this node knows its own newest operations in a realm, as far as it can tell."""
        return self.signing.allowed(realm)

    # -- what verbs ask ------------------------------------------------------------------------

    @property
    def node(self) -> str:
        """This node's id: 64 hex digits."""
        return self.peering.node

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where others reach this node."""
        return self.peering.addresses

    @property
    def socket(self) -> Path:
        """The API's socket."""
        return self.doors.socket

    def now_ms(self) -> int:
        """This machine's clock, in milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def _zone_of(self, realm: bytes) -> str:
        """The IANA zone of a community; UTC where it is not open here."""
        community = self.communities.get(RealmId(realm))
        return community.timezone.key if community is not None else "UTC"

    def kept(self) -> list[Community]:
        """The communities that this node keeps in step with others."""
        return self.keeping.kept()

    async def community(self, request: Request[Daemon]) -> Community:
        """The community that a request means."""
        for realm, error in self.repairs.away.items():
            if not self.communities or realm.hex().startswith(request.community or "-"):
                raise error
        if not self.communities:
            raise NoCommunity
        if request.community is None:
            if len(self.communities) > 1:
                raise WhichCommunity
            return next(iter(self.communities.values()))
        for one in self.communities.values():
            if one.id == request.community:  # programs say it so: nobody's name is read for that
                return one
        choices = [(c.realm.realm, (await c.name(),)) for c in self.communities.values()]
        found = find("community", request.community, choices, "commons-node status")
        return self.communities[RealmId(found)]

    async def safety(self) -> Safety:
        """How safe this home is."""
        return await safety_of(self)

    async def actor(self, request: Request[Daemon], community: Community) -> Actor:
        """The unlocked member who acts, once it is safe to sign."""
        member = None
        if request.member is not None:
            member = (await community.member(request.member)).hex()
        elif request.session is not None:
            here = community.realm.judge.authority.members()
            fit = [m for m in request.session.members() if MemberId(bytes.fromhex(m)) in here]
            member = fit[0] if len(fit) == 1 else None
        await community.actor(pick(request.session, member))  # nobody waits for who is locked
        await self.signing.soon(community.realm.realm)
        unlocked = pick(request.session, member)
        if self.retiring.acts_with_old(unlocked):
            await self.retiring.finish(community, unlocked)
        return await community.actor(pick(request.session, member))  # nor acts who was meanwhile

    def node_of(self, community: Community, member: bytes, device: bytes) -> str | None:
        """The node that a member's device belongs to, where it is known."""
        own = community.realm.own_credential
        granted = community.realm.judge.authority.devices.get(DeviceId(device))
        if own is None or granted is None:
            return None
        mine = community.realm.judge.authority.devices.get(own.device)
        return self.node if mine is not None and mine.member == member else None
