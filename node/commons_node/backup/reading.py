"""Reading a backup whole: every byte authenticated, every operation judged again from nothing.

Nothing in a backup is believed because it was in a backup: its operations go the way that a
peer's go, and give the set and the state that its list of contents names, or it is refused.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from commons_crdt.errors import Refused
from commons_crdt.operation import Operation, decode_header, operation_id, part_hash
from commons_crdt.texts import N_
from commons_node.archive.format import BadArchive, Head
from commons_node.archive.verifying import compare, judged
from commons_node.backup.folder import Folder
from commons_node.backup.home_files import MOST
from commons_node.backup.manifest import FileChunk, Manifest, RealmBackup
from commons_node.backup.sealed_file import MAX_MESSAGE, BadBackup
from commons_node.domains import RULES, VIEWS
from commons_node.realm.realm import Realm
from commons_node.said import said
from commons_node.verifier.pool import VerifierPool
from commons_protocol.filed import decode_operation


@dataclass(frozen=True, slots=True)
class Verified:
    """A backup that is what it says: what its communities are, by id in hex."""

    operations: int
    bytes: int
    state_hash: Mapping[str, str]
    set_hash: Mapping[str, str]


class Contents:
    """Reads one backup of a folder; ``erased`` is what a later backup says was erased, by realm."""

    def __init__(
        self,
        folder: Folder,
        manifest: Manifest,
        erased: Mapping[bytes, Mapping[bytes, bool]] | None = None,
    ) -> None:
        """Reads nothing yet."""
        self.manifest = manifest
        self._folder = folder
        self._erased = erased or {}
        self.bytes = 0
        self.left_out = 0
        """Operations whose contents are in the backup and were erased since."""

    def operations(self, realm: RealmBackup) -> Iterator[Operation]:
        """Every operation of a community, as ``erased`` leaves it. Raises ``BadBackup``."""
        erased = self._erased.get(realm.realm, {})
        for chunk in realm.chunks:
            for message in self._folder.get(chunk):
                self.bytes += len(message)
                try:
                    operation = decode_operation(message)
                except Refused as error:
                    raise BadBackup(
                        "format", N_("an operation is no operation ({why})"), why=error.why
                    ) from error
                ident = operation_id(operation.header)
                yield self._without(operation, erased[ident]) if ident in erased else operation

    def _without(self, operation: Operation, body: bool) -> Operation:
        bare = Operation(
            operation.header,
            operation.signature,
            None if body else operation.body,
            tuple(None for _ in operation.parts),
        )
        self.left_out += bare != operation
        return bare

    def parts(self, realm: RealmBackup) -> Iterator[tuple[bytes, int, bool, bytes]]:
        """(operation, position, own, bytes) of the large parts that were not erased since."""
        erased = self._erased.get(realm.realm, {})
        listed = {one.operation for one in realm.erased if one.body}
        for part in realm.parts:
            if part.operation in erased or part.operation in listed:
                continue
            data = b"".join(self._folder.get(part.chunk))
            self.bytes += len(data)
            yield part.operation, part.position, part.own, data

    def file(self, file: FileChunk) -> bytes:
        """A file of the home."""
        if file.chunk.messages * MAX_MESSAGE > MOST + MAX_MESSAGE:
            raise BadBackup("size", N_("{file} is larger than it may be"), file=file.path)
        data = b"".join(self._folder.get(file.chunk))
        self.bytes += len(data)
        return data

    @asynccontextmanager
    async def realm(
        self, realm: RealmBackup, path: Path, pool: VerifierPool
    ) -> AsyncIterator[Realm]:
        """One community, or own realm, in a new file, judged and compared. Raises ``BadBackup``."""
        before = self.left_out
        try:
            head = head_of(realm)
            async with judged(path, head, self.operations(realm), RULES, VIEWS, pool) as made:
                if self.left_out == before:
                    await compare(made, head)
                yield made
        except BadArchive as error:
            raise BadBackup(
                error.code.removeprefix("archive_"), said("{why}", why=error.details["why"])
            ) from error


async def verify(folder: Folder, manifest: Manifest, pool: VerifierPool) -> Verified:
    """Read all of it and judge it; what it holds. Raises ``BadBackup``."""
    contents = Contents(folder, manifest)
    states: dict[str, str] = {}
    sets: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="commons-verify-") as temporary:
        for realm in manifest.realms:
            path = Path(temporary) / f"{realm.realm.hex()}.db"
            async with contents.realm(realm, path, pool) as made:
                of_set, of_state = await made.hashes()
                sets[realm.realm.hex()], states[realm.realm.hex()] = of_set.hex(), of_state.hex()
            _check_parts(contents, realm, path)
        for realm in manifest.own:
            async with contents.realm(realm, Path(temporary) / f"{realm.realm.hex()}.db", pool):
                pass  # compared with what the list names when it was opened
        for file in manifest.files:
            _check_file(file, contents.file(file), Path(temporary))
    return Verified(manifest.operations, contents.bytes, states, sets)


def head_of(realm: RealmBackup) -> Head:
    """What its operations must give. Raises ``BadBackup``."""
    if not realm.operations or not realm.chain or realm.chain[0] != realm.realm:
        raise BadBackup("format", N_("its list of contents contradicts itself"))
    return Head(
        realm.realm, realm.pin, realm.chain, realm.operations, realm.set_hash, realm.state_hash
    )


def _check_parts(contents: Contents, realm: RealmBackup, path: Path) -> None:
    """Every large part is the one that its operation names."""
    with closing(sqlite3.connect(path)) as file:
        for ident, position, _, data in contents.parts(realm):
            rows = file.execute("SELECT header FROM operations WHERE id = ?", (ident,)).fetchall()
            refs = decode_header(rows[0][0]).parts if rows else ()
            if position >= len(refs) or part_hash(data) != refs[position].hash:
                raise BadBackup("part", N_("a photo is not the one that its operation names"))


def _check_file(file: FileChunk, data: bytes, folder: Path) -> None:
    """A database reads, a package is the one of its name."""
    if file.path.endswith(".agent") and hashlib.sha256(data).hexdigest() != Path(file.path).stem:
        raise BadBackup("agent", N_("the package of an agent in it is another one"))
    if not file.path.endswith(".db"):
        return
    path = folder / file.path
    path.write_bytes(data)
    try:
        with closing(sqlite3.connect(path)) as found:
            faults = [row[0] for row in found.execute("PRAGMA integrity_check(1)")]
    except sqlite3.Error as error:
        faults = [str(error)]
    if faults != ["ok"]:
        raise BadBackup(
            "database",
            N_("the node's own file {file} in it is damaged: {why}"),
            file=file.path,
            why=faults[0],
        )
