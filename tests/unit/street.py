"""A street of nodes inside one process: real realms over SQLite, joined by hand, no network.

A `Home` is one node: it answers a verb as its daemon would (community, actor, clock), with the
people of `town` unlocked on it. What one home knows another learns only through `tell`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.unit.town import START_MS, Person, Replica, identity, person, replica, secrets

from commons_crdt.author import Draft, found
from commons_crdt.authority.facts import Genesis
from commons_crdt.ids import DeviceId, DocumentId, MemberId, RealmId, digest
from commons_crdt.operation import Operation
from commons_crdt.roles import Role
from commons_node.community import Actor, Community
from commons_node.domains import RULES, VIEWS, registry
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.realm.realm import Realm
from commons_node.registry import Command, Request, View
from commons_node.sealing.comparing import Comparer
from commons_node.sealing.keeper import Keeper
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol.replica import Range

HOUR_MS = 3_600_000
VERBS = registry()
_READ = 1 << 22


@dataclass(frozen=True, slots=True)
class Seen:
    """What a view showed."""

    value: dict[str, Any]
    missing: list[Any]
    conflicts: list[Any]


class NoOwnRealms:
    """Who acts at a home is unlocked there, and has no realm of their own."""

    def holding(self, _member: str) -> NoOwnRealms:
        """Whoever it is."""
        return self

    async def of(self, _unlocked: object) -> None:
        """There is none."""


@dataclass(slots=True)
class Home:
    """One node. ``people`` may act here; ``now`` is its clock."""

    name: str
    realm: Realm
    people: dict[str, Person] = field(default_factory=dict)
    now: int = START_MS + HOUR_MS
    away: set[str] = field(default_factory=set)
    """Coordinators whose keys are kept here and are locked."""
    sealing: Keeper = field(init=False)
    comparing: Comparer = field(init=False)
    sessions: NoOwnRealms = field(default_factory=NoOwnRealms)

    def __post_init__(self) -> None:
        self.sealing = Keeper(self)
        self.comparing = Comparer()

    # what a keeper of seals asks

    async def endorsing_device(self, community: Community) -> DeviceId | None:
        seats = community.realm.judge.authority.council.seats
        own = {one.member for one in self.people.values()}
        return next((device for member, device in seats if member in own), None)

    async def endorser(self, community: Community, device: DeviceId) -> Actor | None:
        for name, who in self.people.items():
            if who.device.keys.id == device and name not in self.away:
                return await self.actor(Request(self, member=name), community)
        return None

    def in_step(self, _realm: RealmId) -> bool:
        return True

    # what verbs ask

    rules = RULES

    @property
    def own(self) -> NoOwnRealms:
        """Of those who live here."""
        return self.sessions

    async def refresh(self, _realm: Realm) -> None:
        """Nobody dials a home: there is no gossip to subscribe to again."""

    def now_ms(self) -> int:
        return self.now

    async def community(self, _request: Request[Any]) -> Community:
        return Community(self.realm)

    async def actor(self, request: Request[Any], _community: Community) -> Actor:
        assert request.member is not None, "a test says who acts"
        who = self.people[request.member]
        authority = self.realm.judge.authority
        role = authority.role(who.member, authority.whole)
        assert role is not None, f"{who.name} is a member here"
        grant = authority.devices[who.device.keys.id]
        return Actor(who.member, role, who.device, grant.id)

    def node_of(self, _community: Community, member: bytes, _device: bytes) -> str | None:
        return self.name if any(one.member == member for one in self.people.values()) else None

    async def do(self, who: str, name: str, /, **arguments: Any) -> Mapping[str, Any]:
        """Somebody runs a command here."""
        verb = VERBS.command(name)
        assert isinstance(verb, Command), name
        self.now += 1000
        return await verb.run(Request(self, member=who), verb.args(**arguments))

    async def see(self, name: str, /, who: str | None = None, **arguments: Any) -> Seen:
        """Somebody looks at a view here."""
        return await self.look(name, who, **arguments)

    async def look(self, name: str, reader: str | None, /, **arguments: Any) -> Seen:
        """The same, of a view that has an argument ``who`` itself."""
        verb = VERBS.view(name)
        assert isinstance(verb, View), name
        reading = await verb.read(Request(self, member=reader), verb.args(**arguments))
        return Seen(dict(reading.value), list(reading.missing), list(reading.conflicts))

    async def rows(self, name: str, of: str, /, **arguments: Any) -> list[dict[str, Any]]:
        """The rows of a list."""
        rows: Any = (await self.see(name, **arguments)).value[of]
        return list(rows)

    async def operations(self) -> list[Operation]:
        """Everything that this home knows, as a peer would get it."""
        ends = await self.realm.vector()
        ranges = [Range(end.device, end.log, 1, end.seq) for end in ends]
        found: list[Operation] = []
        after: int | None = None
        while True:
            part, after = await self.realm.read(ranges, after, _READ)
            found.extend(part)
            if after is None:
                return found

    async def tell(self, *others: Home) -> None:
        """Others learn all that this home knows."""
        for other in others:
            other.now = max(other.now, self.now)
            result = await other.realm.ingest(await self.operations(), self.name)
            assert not result.refused, f"{other.name} refuses nothing of {self.name}'s"

    async def compare(self) -> str:
        """The node folds what the newest seal settles; how it stands with the seal then."""
        return (await self.comparing.look(self.realm, self.now)).state

    async def state_hash(self) -> bytes:
        """What the views amount to here."""
        return (await self.realm.hashes())[1]


async def agree(*homes: Home) -> None:
    """All homes learn from all."""
    for one in homes:
        for other in homes:
            if one is not other:
                await one.tell(other)


def neighbours(
    also: Mapping[str, Role] = MappingProxyType({}), rules: int = 1, nodes: str = ""
) -> Replica:
    """Alice founds the street; cia is a steward, bob and dan are members, all with names.

    ``also``: who else lives there. ``rules``: the version that the community keeps to. ``nodes``:
    who has a node besides alice.
    """
    alice = person("alice")
    salt = digest("t-salt", b"street")
    body = Genesis(identity(alice.device), rules, (("timezone", "Europe/Stockholm"),))
    realm, genesis = found(body, alice.device, START_MS, lambda: salt)
    town = replica(realm, "street", [genesis], RULES)
    town.grant_node(alice, secrets("alice's node"))
    roles = {"bob": Role.MEMBER, "dan": Role.MEMBER, "cia": Role.STEWARD, **also}
    people = [alice, *(town.welcome(name, role) for name, role in roles.items())]
    for who in people:
        if who.name in nodes.split():
            town.grant_node(who, secrets(f"{who.name}'s node"))
        parts = [(NAME, who.name.encode())]
        document = DocumentId(who.member)
        draft = Draft.fact(PROFILE, Profile(), document=document, parts=parts)
        town.write(who.device, draft)
    return town


async def open_realm(realm: RealmId, path: Path, pool: VerifierPool) -> Realm:
    """An empty realm on disk."""
    database = await open_database(path, REALM_SCHEMA)
    opened = Realm(realm, RealmStore(database), RULES, VIEWS, pool, lambda: START_MS + 30 * HOUR_MS)
    await opened.open()
    return opened


@asynccontextmanager
async def homes(
    folder: Path,
    pool: VerifierPool,
    names: str = "north south",
    also: Mapping[str, Role] = MappingProxyType({}),
    rules: int = 1,
    nodes: str = "",
) -> AsyncIterator[list[Home]]:
    """Nodes that know the street and nothing of each other; everybody may act at each.

    ``rules`` and ``nodes`` as in ``neighbours``.
    """
    town = neighbours(also, rules, nodes)
    people = {name: person(name) for name in ("alice", "bob", "cia", "dan", *also)}
    opened: list[Home] = []
    try:
        for name in names.split():
            realm = await open_realm(town.realm, folder / f"{name}.db", pool)
            home = Home(name, realm, dict(people))
            realm._now_ms = home.now_ms
            await realm.ingest(list(town.operations.values()), "birth")
            opened.append(home)
        yield opened
    finally:
        for home in opened:
            await home.realm.close()


def member(name: str) -> MemberId:
    """A neighbour's id."""
    return person(name).member
