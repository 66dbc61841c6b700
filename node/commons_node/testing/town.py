"""A whole community of nodes: founded, populated, run, and watched.

``Town`` is what a story acts on. It does not know which story is told.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from commons_crdt import author
from commons_crdt.author import Draft
from commons_crdt.authority.council_facts import Coordinators, CouncilAct
from commons_crdt.authority.facts import Genesis
from commons_crdt.authority.kinds import NODE
from commons_crdt.authority.kinds_council import ACT
from commons_crdt.ids import DocumentId, OperationId, digest
from commons_crdt.roles import Role
from commons_node.config import PartsPolicy
from commons_node.domains import RULES
from commons_node.membership.settling import settle
from commons_node.peering.types import Joined, NotJoined
from commons_node.realm.authoring import Written
from commons_node.realm.told import Change
from commons_node.testing.acts import DAY_MS, START_MS, consent, invitation, role_act
from commons_node.testing.air import Air
from commons_node.testing.chance import governed
from commons_node.testing.disk import PowerLost
from commons_node.testing.life import Life
from commons_node.testing.loop import WHO, VirtualLoop
from commons_node.testing.node import SETTINGS, Node
from commons_node.testing.residents import Resident
from commons_node.testing.sealers import constitution
from commons_node.testing.trace import Trace
from commons_node.testing.weather import CALM, Faults, Weather
from commons_protocol.codes import Invitation, invite_key

Result = TypeVar("Result")

_AGAIN_S = 5.0
_TRIES = 60
NAMES = (
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy",
    "kim", "leo", "mia", "nick", "olga", "peggy", "quinn", "rosa", "sam", "trent",
    "uma", "victor", "wendy", "xena", "yuri", "zoe",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arrival:
    """An operation was stored at a node."""

    seconds: float
    node: str
    own: bool


@dataclass(slots=True)
class Town:
    """See the module. All of it follows from ``seed``."""

    seed: int
    weather: Weather = CALM
    rng: random.Random = field(init=False)
    faults: Faults = field(default_factory=Faults)
    trace: Trace = field(default_factory=Trace)
    air: Air = field(init=False)
    nodes: list[Node] = field(default_factory=list)
    settings: Any = SETTINGS
    parts: PartsPolicy = "all"
    parts_quota: int = 512 << 20
    """What nodes that start from now on fetch and keep; see ``Config``."""
    seals: int = 0
    """See ``Plan.seals``."""
    acks: dict[OperationId, str] = field(default_factory=dict)
    """Acknowledged operations of honest nodes, and who wrote them."""
    arrivals: dict[OperationId, list[Arrival]] = field(default_factory=dict)
    residents: list[Resident] = field(default_factory=list)
    """Honest members without a node."""
    puppets: dict[str, Resident] = field(default_factory=dict)
    """Members whose keys a liar has, by their part in a lie."""
    measures: dict[str, list[tuple[OperationId, str]]] = field(default_factory=dict)
    """What was done about who may do what, and at which node."""
    errors: list[str] = field(default_factory=list)
    """What living nodes logged as an error: there should be none."""

    def __post_init__(self) -> None:
        """Nobody lives there yet."""
        self.rng = random.Random(f"town {self.seed}")  # noqa: S311 - a seeded run is the point
        air_rng = random.Random(f"air {self.seed}")  # noqa: S311 - likewise
        self.air = Air(air_rng, self.weather, self.faults, self.trace)

    # --- running ---

    def play(self, story: Callable[[Town], Coroutine[Any, Any, Result]]) -> Result:
        """Run a story in virtual time."""
        loop = VirtualLoop()

        def steady() -> int:
            return round(loop.time() * 1e9)

        def wall() -> int:
            who = WHO.get()
            skew = who.skew_ms if isinstance(who, Life) else 0
            return (START_MS + skew) * 1_000_000 + steady()

        loop.set_exception_handler(self._unheard)
        with governed(self.seed, wall, steady), self._listening():
            return loop.play(self._whole(story))

    def _unheard(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody asked the outcome of: of the dead no wonder, of the living an error."""
        who, error = WHO.get(), context.get("exception")
        if not isinstance(error, PowerLost) and (not isinstance(who, Life) or who.alive):
            self.errors.append(f"{context.get('message')}: {error!r}")

    async def _whole(self, story: Callable[[Town], Coroutine[Any, Any, Result]]) -> Result:
        try:
            return await story(self)
        finally:
            for node in self.nodes:
                if node.life is not None:
                    node.life.end()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(1)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Errors that living nodes log are remembered; nothing is printed."""
        town = self

        class Ear(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                who = WHO.get()
                if isinstance(who, Life) and who.alive and record.levelno >= logging.ERROR:
                    reason = record.exc_info[1] if record.exc_info else ""
                    town.errors.append(f"{who.name}: {record.getMessage()}: {reason!r}")

        def drop(_logger: object, method: str, event: Any) -> Any:
            who = WHO.get()
            bad = method in {"error", "critical"} and event.get("event") != "item_held"
            if bad and isinstance(who, Life) and who.alive:
                town.errors.append(f"{who.name}: {event}")
            raise structlog.DropEvent

        ear, logger = Ear(), logging.getLogger("commons_node")
        before = logger.propagate, structlog.get_config()
        logger.addHandler(ear)
        logger.propagate = False
        structlog.configure(processors=[drop], cache_logger_on_first_use=False)
        try:
            yield
        finally:
            logger.removeHandler(ear)
            logger.propagate = before[0]
            structlog.configure(**before[1])

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return asyncio.get_running_loop().time()

    def write_time(self) -> float:
        """How long the next commit takes."""
        weather = self.air.weather
        if self.air.strikes("slow_writes", weather.slow_disk):
            return self.air.rng.uniform(*weather.slow_write)
        return self.air.rng.uniform(*weather.write)

    # --- what is remembered ---

    def note(self, what: str, node: Node | None = None, detail: str = "") -> None:
        """A line of the timeline."""
        self.trace.note(self.now, what, node.name if node else "", "", detail)

    def arrived(self, node: Node, change: Change) -> None:
        """A node has stored operations."""
        for ident in change.ids:
            self.arrivals.setdefault(ident, []).append(Arrival(self.now, node.name, change.own))

    def acknowledged(self, node: Node, written: Sequence[Written]) -> None:
        """A node told its member that these are written."""
        for one in written:
            if not node.liar:
                self.acks[one.id] = node.name
            self.trace.note(self.now, "write", node.name, "", one.id.hex()[:16])

    # --- founding ---

    @property
    def honest(self) -> list[Node]:
        """Those who keep the rules and are still here."""
        return [node for node in self.nodes if not node.liar and not node.gone]

    def node(self, name: str) -> Node:
        """One node by name."""
        return next(node for node in self.nodes if node.name == name)

    def newcomer(self, role: Role) -> Node:
        """A node that belongs to nobody yet."""
        number = len(self.nodes)
        name = NAMES[number] if number < len(NAMES) else f"member{number}"
        node = Node(self, name, number, role)
        self.nodes.append(node)
        return node

    async def found(self, roles: Sequence[Role], guests: Sequence[Resident] = ()) -> None:
        """Alice founds the community and lets in as many others; all start with the same set.

        ``guests`` are members without a node. Whose role is coordinator gets a seat.
        """
        alice = self.newcomer(Role.COORDINATOR)
        await alice.start()
        await alice.run(self._found(alice))
        for role in roles:
            member = self.newcomer(role)
            await alice.run(self._let_in(alice, member))
        if guests:
            await alice.run(self._let_guests_in(alice, guests))
        everybody: list[Node | Resident] = [*self.nodes, *guests]
        seated = [one for one in everybody if one.role is Role.COORDINATOR]
        if len(seated) > 1:
            await alice.run(self._seat(alice, seated))
        await alice.stop()
        for node in self.nodes:
            node.founding = True
            if node is not alice:
                node.realm_id = alice.realm_id
                node.disk.copy_from(alice.disk)

    async def _found(self, alice: Node) -> None:
        genesis = Genesis(alice.identity, RULES.version, constitution(self.seals))
        salt = digest("sim-salt", self.seed.to_bytes(8, "big"))
        realm_id, operation = author.found(genesis, alice.secrets, alice.now_ms(), lambda: salt)
        alice.give_device(realm_id)
        alice.standing = type(alice.standing)(alice.standing._key)
        realm = await alice.open(realm_id)
        await realm.ingest([operation], "founding")
        await settle(alice.as_daemon, realm, alice.member, alice.secrets, b"alice")

    async def _let_in(self, alice: Node, member: Node) -> None:
        realm, founder = alice.realm, alice.actor()
        assert founder is not None
        found = await self.invite(alice, member.name)
        operations = await alice.admissions.admit(
            realm.realm,
            found.invite,
            member.identity,
            found.possess(realm.realm, member.member),
            consent(member.secrets, realm.realm, found.invite),
        )
        assert operations
        if Role.NEWCOMER < member.role < Role.COORDINATOR:
            await alice.write([role_act(member, member.role)])
        await self._grant_node(alice, member)

    async def _let_guests_in(self, alice: Node, guests: Sequence[Resident]) -> None:
        realm = alice.realm
        found = await self.invite(alice, "guests", len(guests))
        device, credential = alice.standing.device(realm.realm), realm.own_credential
        assert device is not None
        assert credential is not None
        drafts = [one.admission(realm.realm, found) for one in guests]
        await realm.write(drafts, device, credential.grant)
        await alice.write([
            role_act(one, one.role)
            for one in guests
            if Role.NEWCOMER < one.role < Role.COORDINATOR
        ])  # fmt: skip

    async def _seat(self, alice: Node, seated: Sequence[Node | Resident]) -> None:
        """A council of these; a founder alone is a majority of one."""
        base = alice.realm.judge.authority.council.base
        seats = tuple((bytes(one.member), bytes(one.secrets.keys.id)) for one in seated)
        act = CouncilAct(base, 0, Coordinators(seats, ()))
        await alice.write([Draft.fact(ACT, act, log=0)])
        assert len(alice.realm.judge.authority.council.seats) == len(seated)

    async def _grant_node(self, alice: Node, member: Node) -> None:
        """The newcomer's own node, granted on alice's machine: as if they had sat down there."""
        realm = alice.realm
        member.give_device(realm.realm)
        standing = type(alice.standing)(member._keys)  # type: ignore[arg-type]  # as good as a file
        body = standing.grant_body(realm, member.member)
        draft = Draft.fact(NODE, body, log=0, document=DocumentId(member.member))
        grant = realm.judge.authority.devices[member.secrets.keys.id].id
        await realm.write([draft], member.secrets, grant)

    async def invite(self, host: Node, label: str, uses: int = 1) -> Invitation:
        """An invite by the member of a node."""
        seed = digest("sim-inv", self.seed.to_bytes(8, "big"), label.encode())[:16]
        ends = host.now_ms() + 7 * DAY_MS
        written = await host.write([invitation(invite_key(seed), uses, ends)])
        assert written is not None, "an invite is written"
        assert host.realm_id is not None
        pin = host.realm_id[:16]
        return Invitation(written[0].id, seed, pin, (host.host.address,))

    async def join(
        self, newcomer: Node, code: Invitation, through: Node, tries: int = _TRIES
    ) -> bool:
        """A newcomer is let in over the network, as ``commons-node join`` does it."""
        await newcomer.start()
        return bool(await newcomer.run(self._join(newcomer, code, through, tries)))

    async def _join(self, newcomer: Node, code: Invitation, through: Node, tries: int) -> bool:
        joined = None
        for _ in range(tries):
            joined = await self._ask(newcomer, code, through)
            if joined is not None:
                break
            await asyncio.sleep(_AGAIN_S)
        if joined is None:
            return False
        newcomer.give_device(joined.realm)
        newcomer.standing = type(newcomer.standing)(newcomer.standing._key)
        realm = await newcomer.open(joined.realm)
        await realm.ingest(joined.operations, "join")
        await realm.pinning.keep_to(code.invite)
        for _ in range(tries):  # a clock that is behind holds the admission back for a while
            if newcomer.secrets.keys.id in realm.judge.authority.devices:
                break
            await asyncio.sleep(_AGAIN_S)
        else:
            return False
        name = newcomer.name.encode()
        await settle(newcomer.as_daemon, realm, newcomer.member, newcomer.secrets, name)
        self.note("joined", newcomer, f"through {through.name}")
        return True

    async def _ask(self, newcomer: Node, code: Invitation, through: Node) -> Joined | None:
        try:
            return await newcomer.peering.join(
                code,
                newcomer.identity,
                lambda realm: consent(newcomer.secrets, realm, code.invite),
                addresses=[through.host.address],
            )
        except NotJoined:
            return None
