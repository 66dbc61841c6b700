"""Fills one realm's file with very many members, as if they had joined over months.

Everything goes the way that foreign operations go, in batches: an admission and the grant of a
node by each member (log 0), and a name (log 1). Time is made up, so that no budget is short.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from commons_crdt import author
from commons_crdt.author import Draft
from commons_crdt.authority.facts import (
    Admit,
    Epoch,
    EpochShare,
    Genesis,
    Invite,
    NodeGrant,
    RoleAct,
)
from commons_crdt.authority.kinds import ADMIT, EPOCH, INVITE, NODE, ROLE
from commons_crdt.device import DeviceSecrets, seal, sign_claim
from commons_crdt.ids import DocumentId, OperationId, digest
from commons_crdt.operation import Operation
from commons_crdt.roles import Role
from commons_node.domains import RULES, VIEWS
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.keystore.node_key import NodeKey
from commons_node.membership.settling import identity_of, new_device
from commons_node.realm.authoring import write_down
from commons_node.realm.realm import Realm
from commons_node.standing import NodeStanding, share
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol.codes import Invitation, invite_key

_USES = 1000
_TOGETHER = 50
_STEP_MS = 6 * 3_600_000
_BEGIN_MS = 1_600_000_000_000


class Villager(NamedTuple):
    """A member's device, and the admission that granted it."""

    secrets: DeviceSecrets
    grant: OperationId


class Village:
    """The realm, its founder and its founder's node."""

    def __init__(self, folder: Path, realm: Realm, standing: NodeStanding) -> None:
        """Use ``opened``."""
        self.folder = folder
        self.realm = realm
        self.standing = standing
        self.now_ms = _BEGIN_MS
        self.members = 0
        self.people: list[Villager] = []
        self._alice = new_device()
        self._seed = os.urandom(16)
        self._left = 0
        self._invite = OperationId(bytes(32))

    @property
    def file(self) -> Path:
        """The realm's file."""
        return self.folder / "realm.db"

    @classmethod
    @asynccontextmanager
    async def founded(cls, folder: Path, pool: VerifierPool) -> AsyncIterator[Village]:
        """Alice alone, with her node and the first epoch."""
        alice = new_device()
        genesis = Genesis(identity_of(alice), RULES.version, (("timezone", "UTC"),))
        realm_id, operation = author.found(genesis, alice, _BEGIN_MS, lambda: os.urandom(32))
        async with AsyncExitStack() as stack:
            database = await open_database(folder / "realm.db", REALM_SCHEMA)
            stack.push_async_callback(database.close)
            store = RealmStore(database)
            realm = Realm(realm_id, store, RULES, VIEWS, pool, lambda: village.now_ms)
            village = cls(folder, realm, NodeStanding(NodeKey(folder / "node.key")))
            village._alice = alice
            await realm.open()
            await realm.ingest([operation], "founding")
            await village._settle()
            yield village

    async def _settle(self) -> None:
        alice, realm = self._alice, self.realm
        grant = OperationId(realm.realm)
        member = identity_of(alice).member
        key = os.urandom(32)
        shares = (EpochShare(alice.keys.id, seal(key, alice.keys.sealing)),)
        epoch = Draft.fact(EPOCH, Epoch(digest("epoch", key), shares), log=0)
        (written,) = await realm.write([epoch], alice, grant)
        realm.epoch_keys[written.id] = key
        body = self.standing.grant_body(realm, member)
        node = Draft.fact(NODE, body, log=0, document=DocumentId(member))
        await realm.write([node], alice, grant)
        await self.standing.refresh(realm)

    # --- growing ---

    async def grow(self, members: int) -> None:
        """Until so many members are there."""
        while self.members < members:
            await self._welcome(min(_TOGETHER, members - self.members))

    async def _welcome(self, count: int) -> None:
        self.now_ms += _STEP_MS
        if self._left < count:
            await self._renew()
        self._left -= count
        newcomers = [new_device() for _ in range(count)]
        await self.take(await self.admissions(newcomers))
        grants = self.realm.judge.authority.devices
        people = [Villager(one, grants[one.keys.id].id) for one in newcomers]
        settled = [await self._settled(*one) for one in people]
        self.people += people
        await self.take([operation for operations in settled for operation in operations])
        self.members += count

    async def _renew(self) -> None:
        expires = self.now_ms + 1000 * _STEP_MS
        draft = Draft.fact(INVITE, Invite(invite_key(self._seed), _USES, expires), log=0)
        grant = OperationId(self.realm.realm)
        (written,) = await self.realm.write([draft], self._alice, grant)
        self._invite, self._left = written.id, _USES

    async def admissions(self, newcomers: Sequence[DeviceSecrets]) -> list[Operation]:
        """Alice's node lets them in; nothing is stored yet."""
        realm = self.realm
        device, credential = self.standing.device(realm.realm), realm.own_credential
        assert device is not None
        assert credential is not None
        drafts = [self._admission(one) for one in newcomers]
        return await write_down(realm.memory, drafts, device, credential.grant, self.now_ms)

    def _admission(self, newcomer: DeviceSecrets) -> Draft:
        identity = identity_of(newcomer)
        realm = self.realm
        body = Admit(
            self._invite,
            identity,
            Invitation(self._invite, self._seed, realm.realm[:16], ()).possess(
                realm.realm, identity.member
            ),
            sign_claim("consent", newcomer.signing, realm.realm, self._invite, identity.member),
            share(realm, newcomer.keys.sealing),
        )
        return Draft.fact(ADMIT, body, log=0, document=DocumentId(identity.member))

    async def _settled(self, secrets: DeviceSecrets, grant: OperationId) -> list[Operation]:
        """The newcomer's node and name."""
        member = identity_of(secrets).member
        node = new_device()
        consent = sign_claim("consent", node.signing, self.realm.realm, member)
        body = NodeGrant(node.keys, consent, share(self.realm, node.keys.sealing))
        drafts = [
            Draft.fact(NODE, body, log=0, document=DocumentId(member)),
            Draft.fact(
                PROFILE, Profile(), document=DocumentId(member), parts=[(NAME, b"A neighbour")]
            ),
        ]
        return await write_down(self.realm.memory, drafts, secrets, grant, self.now_ms)

    async def admit_node(self, standing: NodeStanding) -> None:
        """Another node of alice's; its keys become those of ``standing``."""
        member = identity_of(self._alice).member
        body = standing.grant_body(self.realm, member)
        node = Draft.fact(NODE, body, log=0, document=DocumentId(member))
        await self.realm.write([node], self._alice, OperationId(self.realm.realm))
        await self.standing.refresh(self.realm)

    async def name(self, people: Sequence[Villager], role: Role) -> None:
        """Alice gives them a role."""
        drafts = []
        for one in people:
            member = identity_of(one.secrets).member
            body = RoleAct(member, int(role))
            drafts.append(Draft.fact(ROLE, body, log=0, document=DocumentId(member)))
        for at in range(0, len(drafts), _TOGETHER):
            self.pass_time()
            part = drafts[at : at + _TOGETHER]
            await self.realm.write(part, self._alice, OperationId(self.realm.realm))

    async def draw(self, who: Villager, drafts: Sequence[Draft]) -> list[Operation]:
        """What somebody writes next; nothing is stored yet."""
        return await write_down(self.realm.memory, drafts, *who, self.now_ms)

    def pass_time(self) -> None:
        """As long as budgets take to fill up."""
        self.now_ms += _STEP_MS

    async def facts(self, who: Villager, count: int) -> list[Operation]:
        """Somebody calls themselves something else, so many times; nothing is stored yet."""
        document = DocumentId(identity_of(who.secrets).member)
        drafts = [
            Draft.fact(PROFILE, Profile(), document=document, parts=[(NAME, b"Neighbour %d" % n)])
            for n in range(count)
        ]
        return await write_down(self.realm.memory, drafts, *who, self.now_ms)

    async def say_something(self) -> None:
        """Alice calls herself something else."""
        self.pass_time()
        document = DocumentId(identity_of(self._alice).member)
        draft = Draft.fact(PROFILE, Profile(), document=document, parts=[(NAME, b"Alice")])
        await self.realm.write([draft], self._alice, OperationId(self.realm.realm))

    async def take(self, operations: Sequence[Operation]) -> None:
        """Store what others wrote. Raises ``RuntimeError`` if anything was refused."""
        found = await self.realm.ingest(operations, "village")
        if found.new != len(operations):
            raise RuntimeError(f"{found.new} of {len(operations)} were taken: {found}")
