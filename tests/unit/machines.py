"""Nodes of the street with a standing of their own: they carry acts, and let machines in.

A `Machine` is a `street.Home` with the parts of a daemon that identities need: real stores, a real
node key, real tickets. Only the network is left out: what a new machine would say over it is handed
to `Devices` as `applying` would, checks included.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.street import VERBS, Home, Seen, homes
from tests.unit.town import person, secrets

from commons_crdt.author import Draft
from commons_crdt.authority.facts import NodeGrant
from commons_crdt.authority.kinds import NODE
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.ids import DeviceId, DocumentId, MemberId, OperationId, RealmId
from commons_crdt.operation import Operation
from commons_node.api.events import Events
from commons_node.community import Actor, Community
from commons_node.domains import RULES
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.sessions import Sessions
from commons_node.keystore.unlocked import Unlocked
from commons_node.membership.admissions import Admissions
from commons_node.membership.devices import Devices
from commons_node.membership.identities import identity
from commons_node.membership.paper import Papers
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_node.registry import Command, Request, View
from commons_node.sealing.keeper import Keeper
from commons_node.standing import NodeStanding
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol.applying import Application, Met, application, request


class NoJobs:
    """A node on which no agent has proposed anything."""

    async def proposal_of(self, _operation: bytes) -> None:
        """Nobody."""


@dataclass
class Machine:
    """One node: answers verbs as its daemon would."""

    home: Home
    standing: NodeStanding
    store: NodeStore
    events: Events = field(default_factory=Events)
    told: list[bytes] = field(default_factory=list)
    addresses: tuple[Any, ...] = ()
    rules: Any = RULES
    jobs: NoJobs = field(default_factory=NoJobs)

    people: dict[str, tuple[MemberId, DeviceSecrets]] = field(default_factory=dict)
    """Who may act here: a member, with the device that they hold in this story."""

    def __post_init__(self) -> None:
        for name, one in self.home.people.items():
            self.people[name] = (one.member, one.device)
        self.devices = Devices(self)  # type: ignore[arg-type]  # all of a daemon that it needs
        self.admissions = Admissions(self)  # type: ignore[arg-type]  # likewise
        self.papers = Papers(self)  # type: ignore[arg-type]  # likewise
        self.communities = {self.realm.realm: Community(self.realm)}

    @property
    def sealing(self) -> Keeper:
        return self.home.sealing

    @property
    def realm(self) -> Realm:
        return self.home.realm

    @property
    def town(self) -> Community:
        return self.communities[self.realm.realm]

    def now_ms(self) -> int:
        return self.home.now

    def kept(self) -> list[Community]:
        """Nobody pauses anything."""
        return list(self.communities.values())

    def may_sign(self, _realm: RealmId) -> bool:
        return True

    async def refresh(self, realm: Realm) -> None:
        """Log 0 grew, as the daemon takes note of it."""
        await self.standing.refresh(realm)

    async def community(self, _request: Request[Any]) -> Community:
        return self.town

    async def actor(self, request: Request[Any], _community: Community) -> Actor:
        """As a daemon does: a device that has ended acts no more."""
        assert request.member is not None, "a test says who acts"
        who, device = self.people[request.member]
        keys = {"signing": device.signing, "sealing": device.sealing}
        return await self.town.actor(Unlocked(who.hex(), bytes(32), keys))

    async def do(self, who: str, name: str, /, **arguments: Any) -> Mapping[str, Any]:
        verb = VERBS.command(name)
        assert isinstance(verb, Command), name
        self.home.now += 1000
        return await verb.run(Request(self, member=who), verb.args(**arguments))

    def terminal(self, who: str) -> Request[Any]:
        """A request from a terminal at which somebody is unlocked."""
        member, device = self.people[who]
        session = Sessions().new()
        session.unlock(
            Unlocked(
                member.hex(), bytes(32), {"signing": device.signing, "sealing": device.sealing}
            )
        )
        return Request(self, member=who, session=session)

    async def see(self, who: str, name: str, /, **arguments: Any) -> Seen:
        verb = VERBS.view(name)
        assert isinstance(verb, View), name
        reading = await verb.read(self.terminal(who), verb.args(**arguments))
        return Seen(dict(reading.value), list(reading.missing), list(reading.conflicts))

    async def tell(self, *others: Machine) -> None:
        """Others learn all that this node knows."""
        await self.home.tell(*(other.home for other in others))
        for other in others:
            await other.standing.refresh(other.realm)

    # --- a new machine at the door ---

    async def knock(self, name: bytes, door: Any) -> Application:
        """What a new machine asks here, its signatures checked. ``LookupError`` for strangers."""
        opened = await self.devices.look(name)
        if opened is None:
            raise LookupError("nothing is opened by this")
        asked = door.ask(Met(opened.realm, opened.member, opened.base, opened.endings))
        assert asked is not None, "this is the member that was meant"
        return application(opened, request(asked))

    async def let_in(self, name: bytes, door: Any) -> Sequence[Operation]:
        """The same, and what the node answers. Raises ``TurnedAwayError``."""
        return await self.devices.apply(await self.knock(name, door), self._hear)

    async def _hear(self, salt: bytes) -> None:
        self.told.append(salt)

    async def forge(self, who: str, *drafts: Draft) -> list[Written]:
        """Somebody writes with another program what ours would not."""
        member, device = self.people[who]
        assert member
        grant = self.realm.judge.authority.devices[device.keys.id]
        return await self.realm.write(list(drafts), device, grant.id)

    # --- looking ---

    def has(self, who: str) -> set[DeviceId]:
        """The devices of a member's identity here."""
        found = identity(self.realm, self.people[who][0])
        assert found is not None
        return set(found.devices)

    async def says(self, ident: bytes) -> tuple[str, str]:
        """Verdict and reason of an operation."""
        standing = await self.realm.standing(OperationId(ident))
        assert standing is not None, "the operation is here"
        return standing.judgement.verdict.name.lower(), standing.judgement.reason


def device_of(label: str) -> DeviceSecrets:
    """A new device, by what it is called in the story."""
    return secrets(label)


@asynccontextmanager
async def machines(
    folder: Path, pool: VerifierPool, names: str = "north south"
) -> AsyncIterator[list[Machine]]:
    """Nodes that know the street and each other's grants, and then nothing of each other."""
    async with homes(folder, pool, names) as opened:
        made: list[Machine] = []
        stores: list[NodeStore] = []
        alice = person("alice")
        realm = opened[0].realm.realm
        try:
            for home in opened:
                store = NodeStore(await open_database(folder / f"{home.name}-node.db", NODE_SCHEMA))
                stores.append(store)
                standing = NodeStanding(NodeKey(folder / f"{home.name}.key"))
                made.append(Machine(home, standing, store))
            for one in made:
                keys = one.standing.make_device(realm)
                consent = sign_claim("consent", keys.signing, realm, alice.member)
                body = NodeGrant(keys.keys, consent, ())
                document = DocumentId(alice.member)
                await made[0].forge("alice", Draft.fact(NODE, body, log=0, document=document))
            await made[0].tell(*made[1:])
            await made[0].standing.refresh(made[0].realm)
            for one in made:
                assert one.realm.own_credential is not None, "every node stands in the street"
            yield made
        finally:
            for store in stores:
                await store.database.close()
