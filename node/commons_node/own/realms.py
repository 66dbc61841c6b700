"""The own realms that this machine keeps: open, in step with the same member's other machines.

Which member one belongs to stands in the member's key file and nowhere else: who reads this disk
finds realms with one reader, sealed entries of one length, and days, no times. Everything that is
claimed in such a realm is claimed for the beginning of a day (UTC).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from commons_crdt import author
from commons_crdt.author import Draft
from commons_crdt.authority.facts import Erasure, Genesis
from commons_crdt.authority.judge import ERASURE
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import Refused
from commons_crdt.ids import DocumentId, OperationId, RealmId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import Operation, content
from commons_node.domains.own.entries import DATA_KEY_BYTES, Content, open_entry, seal_entry
from commons_node.domains.own.facts import ENTRY, Entry
from commons_node.keystore.unlocked import Unlocked
from commons_node.membership.settling import identity_of, new_device, settle
from commons_node.own.lost import LostRealms
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_node.realm.told import Change
from commons_node.store.database import fetch

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="own")

OWN = "own"
"""The name of the secret in the key file: realm, the two seeds of its device, the entries' key."""
GONE = "own.gone"
"""Realm and entries' key of each lost realm (see `lost`) whose entries are not written anew yet."""
_RECORD: Final = 32 + DATA_KEY_BYTES
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Opened:
    """An entry that could be opened, and the operation that holds it."""

    operation: OperationId
    own: bool
    """Written by this machine's device of the member."""
    entry: Content


@dataclass(frozen=True, slots=True)
class OwnRealm:
    """One member's realm with the keys to it; to be held no longer than the member is unlocked."""

    realm: Realm
    secrets: DeviceSecrets
    key: bytes
    may_sign: Callable[[], Awaitable[None]]
    """Returns once it is safe to sign here; see ``commons_node.signing``."""

    async def write(self, *entries: Content) -> list[Written]:
        """Seal and store; durable when it returns."""
        drafts = [
            Draft.fact(ENTRY, Entry(seal_entry(one, self.key, os.urandom))) for one in entries
        ]
        return await self._sign(drafts)

    async def entries(self) -> list[Opened]:
        """Everything that stands and can be opened, in the order in which it was stored."""
        await self.realm.settled()
        rows = await fetch(
            self.realm.store.database.read,
            "SELECT o.id, o.body, c.device FROM operations o JOIN chains c ON c.n = o.chain"
            " WHERE o.kind = ? AND o.verdict = 1 AND o.body IS NOT NULL ORDER BY o.n",
            (ENTRY,),
        )
        found = []
        for ident, body, device in rows:
            try:
                entry = open_entry(decode_fact(Entry, content(body)).sealed, self.key)
            except Refused:
                continue
            mine = device == self.secrets.keys.id
            found.append(Opened(OperationId(ident), mine, entry))
        return found

    async def erase(self, operations: Sequence[OperationId]) -> None:
        """Take entries away, on every machine of the member; own ones of this device only."""
        drafts = [
            Draft.fact(ERASURE, Erasure(one), document=DocumentId(one), refs=[one])
            for one in operations
        ]
        if drafts:
            await self._sign(drafts)

    async def _sign(self, drafts: Sequence[Draft]) -> list[Written]:
        await self.may_sign()
        grant = self.realm.judge.authority.devices[self.secrets.keys.id].id
        return await self.realm.write(drafts, self.secrets, grant)


class OwnRealms:
    """All of one daemon; ``load`` opens those that are on the disk."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        """``folder`` holds one file a realm and nothing that says whose it is."""
        self._daemon = daemon
        self._folder = folder
        self._making = asyncio.Lock()
        self._opening = asyncio.Lock()
        self.held: dict[RealmId, Realm] = {}
        self.lost = LostRealms(folder / "lost")

    async def load(self) -> None:
        """Open every own realm of this machine: its node keeps it in step, whoever is unlocked."""
        repairs = self._daemon.repairs
        for realm, path in self.lost.files().items():
            await repairs.opened(realm, repairs.lost_file(realm, path))
        await asyncio.to_thread(self.lost.load)
        for path in sorted(self._folder.glob("*.db")):
            realm = RealmId(bytes.fromhex(path.stem))
            if await asyncio.to_thread(_bare, path):  # it was to be founded, or to be entered
                self._unlink(realm)
                continue
            await repairs.opened(realm, self.open(realm))

    async def open(self, realm: RealmId) -> Realm:
        """A realm of this folder, made if it is not there."""
        async with self._opening:  # a second writer on the same file would fork its chains
            return self.held.get(realm) or await self._open(realm)

    async def _open(self, realm: RealmId) -> Realm:
        daemon = self._daemon
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self.file(realm)
        await daemon.repairs.realm_file(realm, path)
        held = await daemon.make_realm(realm, path, lambda: daemon.now_ms() // DAY_MS * DAY_MS)
        held.listeners.append(self._changed)
        await daemon.standing.refresh(held)
        self.held[realm] = held
        # What a restored home holds of these was made here, after it was restored: see `lost`.
        young = daemon.retiring.restored.must_meet and not daemon.home.moved()
        daemon.signing.add(realm, young=young)
        return held

    async def adopt(self, made: OwnRealms) -> None:
        """Take in what was made, and closed, in another folder of this machine with new keys."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for realm in made.held:
            file = made.file(realm)
            await asyncio.to_thread(os.replace, file, self.file(realm))
            await self.open(realm)
            self._daemon.signing.fresh(realm)

    async def forget(self, realm: RealmId) -> None:
        """Delete a realm of this machine; what was in it is nowhere else unless others have it."""
        async with self._opening:
            held = self.held.pop(realm, None)
            if held is not None:
                await self._daemon.peering.let_go(realm)
                await held.close()
            self._unlink(realm)

    def _unlink(self, realm: RealmId) -> None:
        for ending in ("", "-wal", "-shm"):
            self.file(realm, ending).unlink(missing_ok=True)

    def file(self, realm: RealmId, ending: str = "") -> Path:
        """Where a realm is kept."""
        return self._folder / f"{realm.hex()}.db{ending}"

    async def close(self) -> None:
        """Close all files."""
        for realm in self.held.values():
            await realm.close()

    def replicas(self) -> list[Realm]:
        """Those that can be proven to the member's other machines."""
        return list(self.held.values())

    def _changed(self, change: Change) -> None:
        realm, daemon = self.held[change.realm], self._daemon
        if change.log_zero:
            daemon.spawn(daemon.refresh(realm))
        if change.own:
            daemon.spawn(daemon.peering.written(change.realm, change.operations))

    async def of(self, unlocked: Unlocked) -> OwnRealm | None:
        """The realm of an unlocked member, if there is one yet."""
        async with self._making:
            return await self._of(unlocked)

    async def _of(self, unlocked: Unlocked) -> OwnRealm | None:
        known = self._known(unlocked)
        if known is None:
            return None
        if not self.file(RealmId(known[:32])).exists():
            return None  # it was to be founded, or to be entered
        realm = await self.open(RealmId(known[:32]))
        found = self._own(realm, DeviceSecrets(known[32:64], known[64:96]), known[96:])
        granted = realm.judge.authority.devices.get(found.secrets.keys.id)
        if granted is None:  # a crash came before its first operation: it is made anew
            if not await realm.store.outside.count():
                self._daemon.signing.fresh(realm.realm)  # nobody waits for it
                await self.forget(realm.realm)
            return None
        if realm.own_credential is None:
            await settle(self._daemon, realm, granted.member, found.secrets, None)
        return found

    def inside(self, unlocked: Unlocked) -> bool:
        """True if the member's realm is here, and this machine's device is in it."""
        known = self._known(unlocked)
        realm = self.held.get(RealmId(known[:32])) if known is not None else None
        if known is None or realm is None:
            return False
        keys = DeviceSecrets(known[32:64], known[64:96]).keys
        return keys.id in realm.judge.authority.devices

    def asked_with(self, unlocked: Unlocked) -> DeviceSecrets | None:
        """The device that was to be let into a realm which is not here, if any."""
        known = self._known(unlocked)
        if known is None or self.inside(unlocked):
            return None
        return DeviceSecrets(known[32:64], known[64:96])

    async def enter(
        self,
        unlocked: Unlocked,
        secrets: DeviceSecrets,
        key: bytes,
        realm: RealmId,
        operations: Sequence[Operation],
    ) -> None:
        """Another machine of the member has let ``secrets`` in: the realm is kept here, too.

        Not where one was founded here meanwhile, for a check-in that could not wait.
        """
        async with self._making:
            if unlocked.find(OWN) != _secret(realm, secrets, key):
                return
            held = await self.open(realm)
            self._daemon.signing.fresh(realm)
            await held.ingest(operations, "join")
            member = identity_of(secrets).member
            await settle(self._daemon, held, member, secrets, None)

    def awaits_door(self, unlocked: Unlocked) -> bool:
        """True if another machine of the member founded the realm of a lost one: it lets in."""
        known = unlocked.find(OWN)
        if known is None or self._known(unlocked) is not None:
            return False
        return not self.lost.founded(RealmId(known[:32]), _device(known))

    def _known(self, unlocked: Unlocked) -> bytes | None:
        """The secret of the member's own realm, unless its device is a lost machine's."""
        known = unlocked.find(OWN)
        if known is None:
            return None
        realm = RealmId(known[:32])
        if self.lost.unread(realm):  # it cannot say whose device this is; what is noted does
            return known if realm in self.gone(unlocked) else None
        return None if self.lost.has(realm, _device(known)) else known

    def gone(self, unlocked: Unlocked) -> Mapping[RealmId, bytes]:
        """Lost realms whose entries are not written anew yet, and what opens these."""
        noted = unlocked.find(GONE) or b""
        records = [noted[at : at + _RECORD] for at in range(0, len(noted), _RECORD)]
        return {RealmId(one[:32]): one[32:] for one in records}

    def owes(self, unlocked: Unlocked) -> bool:
        """Whether something of a lost realm can be written anew now."""
        return any(realm not in self._daemon.repairs.away for realm in self.gone(unlocked))

    def _own(self, realm: Realm, secrets: DeviceSecrets, key: bytes) -> OwnRealm:
        return OwnRealm(realm, secrets, key, partial(self._daemon.signing.soon, realm.realm))

    async def make(self, unlocked: Unlocked) -> OwnRealm:
        """The realm of an unlocked member; founded, and its keys kept, the first time."""
        async with self._making:
            return await self._of(unlocked) or await self._found(unlocked)

    async def _found(self, unlocked: Unlocked) -> OwnRealm:
        daemon = self._daemon
        secrets, key = new_device(), os.urandom(DATA_KEY_BYTES)
        identity = identity_of(secrets)
        day = daemon.now_ms() // DAY_MS * DAY_MS
        body = Genesis(identity, daemon.rules.version, ())
        realm_id, operation = author.found(body, secrets, day, lambda: os.urandom(32))
        await self.keep(unlocked, realm_id, secrets, key)
        realm = await self.open(realm_id)
        daemon.signing.fresh(realm_id)
        await realm.ingest([operation], "join")
        await settle(daemon, realm, identity.member, secrets, None)
        return self._own(realm, secrets, key)

    async def keep(
        self, unlocked: Unlocked, realm: RealmId, secrets: DeviceSecrets, key: bytes
    ) -> None:
        """Write into the member's key file where the own realm is, before anything is in it.

        The keys of a lost machine's device go in the same step; what opens its entries stays.
        """
        kept, former = {OWN: _secret(realm, secrets, key)}, unlocked.find(OWN)
        if former is not None and self._known(unlocked) is None:
            kept[GONE] = (unlocked.find(GONE) or b"") + former[:32] + former[96:]
        await self._daemon.keystore.add_all(unlocked.member, kept, unlocked)


def _bare(path: Path) -> bool:
    """Whether nothing was ever written into a file: a crash came between."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=10)) as file:
        if not file.execute("PRAGMA table_info(operations)").fetchall():
            return True
        return not file.execute("SELECT 1 FROM operations LIMIT 1").fetchall()
    return False


def _device(secret: bytes) -> DeviceSecrets:
    return DeviceSecrets(secret[32:64], secret[64:96])


def _secret(realm: RealmId, secrets: DeviceSecrets, key: bytes) -> bytes:
    return realm + secrets.signing + secrets.sealing + key
