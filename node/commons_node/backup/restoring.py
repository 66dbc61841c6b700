"""Making a home of a backup: all of it checked first, in a folder beside it, then in one step.

The new home has a transport key of its own. Its members' key files are as they were, sealed with
their passphrases; what must still be done with them, ``restored.json`` says (see `restored`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from nacl.signing import SigningKey

from commons_crdt.errors import CommonsError
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.texts import N_
from commons_node.backup import restored
from commons_node.backup.folder import Folder, erased_since
from commons_node.backup.manifest import FileChunk, Manifest, RealmBackup
from commons_node.backup.reading import Contents
from commons_node.backup.restored import Owed
from commons_node.backup.sealed_file import BadBackup
from commons_node.backup.writing import KEPT
from commons_node.config import Config
from commons_node.jobs.carrying import NOTE, begun_anew
from commons_node.keystore.disk import private_folder, sync_folder, write_private
from commons_node.keystore.node_key import NodeKey
from commons_node.network import network_of
from commons_node.own.lost import LOST
from commons_node.realm.realm import Realm
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol.network import Address, NetworkError

_NETWORK: Final = "network"
LOOK_S: Final = 10.0
"""How long each address of the old node is tried."""
_PIECE: Final = 1 << 15
_LOOPBACK: Final = (Address("/ip4/127.0.0.1/tcp/0"),)


class NotEmpty(CommonsError):
    """{home} is not empty, and a backup is restored into an empty home only."""

    code: ClassVar[str] = "not_empty"
    hint: ClassVar[str] = "choose another with --home DIR, or move this one away"
    status = "usage"


class OldNodeLives(CommonsError):
    """The node of this backup still runs: it answers at {address}."""

    code: ClassVar[str] = "old_node_lives"
    hint: ClassVar[str] = (
        "stop it for good first, and delete its folder; two of one node are a fork"
    )


@dataclass(frozen=True, slots=True)
class Made:
    """A new home. ``left_out``: operations whose contents were erased after the backup.

    ``states`` are its communities' state hashes by id in hex, ``own`` those of own realms.
    """

    home: Path
    node: str
    old_node: str
    members: Sequence[str]
    operations: int
    left_out: int
    parts: int
    states: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)


async def lives(manifest: Manifest) -> str | None:
    """The address at which the node of a backup answers under its old key; None: it is silent."""
    addresses = [Address(one) for one in manifest.addresses if "/p2p/" in one]
    if not addresses:
        return None
    network = network_of(Config(), os.urandom(32), _LOOPBACK, Counter())({}, lambda _event: None)
    await network.start()
    try:
        for address in addresses:
            try:
                await network.connect(address, timeout=LOOK_S)
            except NetworkError:
                continue
            return str(address)
    finally:
        await network.stop()
    return None


async def restore(
    folder: Folder, path: Path, manifest: Manifest, home: Path, pool: VerifierPool, *, alone: bool
) -> Made:
    """A new home of the backup ``path``, whole or not at all.

    Raises ``NotEmpty``, ``OldNodeLives``, ``BadBackup``, OSError.
    """
    await asyncio.to_thread(_see_that_it_is_empty, home)
    if (address := await lives(manifest)) is not None:
        raise OldNodeLives(address=address)
    beside = home.with_name(f".{home.name}.restoring")
    await asyncio.to_thread(shutil.rmtree, beside, ignore_errors=True)
    try:
        made = await unpack(folder, path, manifest, beside, pool, alone=alone)
        await asyncio.to_thread(_take_place, beside, home)
    finally:
        await asyncio.to_thread(shutil.rmtree, beside, ignore_errors=True)
    return made


def _see_that_it_is_empty(home: Path) -> None:
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise NotEmpty(home=home)


def _take_place(beside: Path, home: Path) -> None:
    if home.exists():
        home.rmdir()
    beside.rename(home)
    sync_folder(home.parent)


async def unpack(
    folder: Folder, path: Path, manifest: Manifest, home: Path, pool: VerifierPool, *, alone: bool
) -> Made:
    """Fill a folder that is not there yet with a home. Raises ``BadBackup``, OSError."""
    private_folder(home)
    private_folder(home / "realms")
    contents = Contents(folder, manifest, erased_since(folder, path))
    states: dict[str, str] = {}
    own: dict[str, str] = {}
    parts = 0
    for realm in manifest.realms:
        file = home / "realms" / f"{realm.realm.hex()}.db"
        async with contents.realm(realm, file, pool) as made:
            parts += await _fill(contents, realm, made)
            states[realm.realm.hex()] = (await made.hashes())[1].hex()
        file.chmod(0o600)
    if manifest.own:
        private_folder(home / LOST)
    for realm in manifest.own:
        file = home / LOST / f"{realm.realm.hex()}.db"
        async with contents.realm(realm, file, pool) as made:
            own[realm.realm.hex()] = (await made.hashes())[1].hex()
        file.chmod(0o600)
    for one in manifest.files:
        _write_file(home, one, contents.file(one))
    seed = _new_node_key(home)
    members = await _adopt(home, manifest)
    node = bytes(SigningKey(seed).verify_key).hex()
    owed = Owed(
        manifest.node,
        manifest.addresses,
        manifest.created_ms,
        alone,
        [one.realm.hex() for one in manifest.realms],
        members,
    )
    if owed.realms or owed.members:
        restored.write(home, owed)
    return Made(
        home, node, manifest.node, list(members), manifest.operations, contents.left_out, parts,
        states, own,
    )  # fmt: skip


async def _fill(contents: Contents, realm: RealmBackup, made: Realm) -> int:
    """This node's own settings, and the large parts; how many of these."""
    async with made.store.database.transaction() as connection:
        for name, value in realm.settings:
            if name in KEPT:
                await made.store.set_setting(connection, name, value)
    count = 0
    for ident, position, own, data in contents.parts(realm):
        rows = await made.store.large.parts(
            "o.id = ? AND l.position = ?", (OperationId(ident), position)
        )
        if not rows or rows[0].length != len(data):
            raise BadBackup("part", N_("a photo is not the one that its operation names"))
        if not made.parts.wants(rows[0]):
            continue
        cut = [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]
        progress, part = await made.parts.keep(rows[0], cut, "")
        if progress != "whole":
            raise BadBackup("part", N_("a photo is not the one that its operation names"))
        if own:
            async with made.store.database.transaction() as connection:
                await connection.execute("UPDATE large SET own = 1 WHERE n = ?", (part.n,))
        count += 1
    return count


def _write_file(home: Path, file: FileChunk, data: bytes) -> None:
    path = home / file.path
    private_folder(path.parent)
    write_private(path, data)


def _new_node_key(home: Path) -> bytes:
    """Another transport key; the devices stay, to prove themselves and to end themselves."""
    seed = os.urandom(32)
    NodeKey(home / "node.key").add({_NETWORK: seed})
    return seed


async def _adopt(home: Path, manifest: Manifest) -> dict[str, str]:
    """The node's own files, of this backup's realms only; members and where they live."""
    database = await open_database(home / "node.db", NODE_SCHEMA)
    store = NodeStore(database)
    try:
        here = {one.realm for one in manifest.realms}
        for realm in await store.realms():
            if bytes(realm) not in here:
                await database.write.execute("DELETE FROM realms WHERE realm = ?", (realm,))
                await database.write.execute("DELETE FROM members WHERE realm = ?", (realm,))
        for one in here:
            await store.add_realm(RealmId(one), manifest.created_ms)
        if (jobs := home / "jobs.db").exists():
            known = int(await store.setting(NOTE) or 0)
            await store.set(NOTE, str(await asyncio.to_thread(begun_anew, jobs, known)))
        members = await store.members()
        return {
            member.hex(): realm.hex()
            for member, realm in members.items()
            if (home / "keys" / f"{member.hex()}.key").exists()
        }
    finally:
        await database.close()
