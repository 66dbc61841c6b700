"""The folder of backups: a key file, chunks by their contents, and one manifest for each backup.

Every file is written beside its place, flushed and renamed; a manifest comes last. So whatever
ends a backup (a kill, a full disk) leaves those before it whole. What is there already is not
written again. Nothing here knows operations.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_
from commons_node.backup import manifest as manifests
from commons_node.backup.manifest import Chunk, Manifest
from commons_node.backup.sealed_file import (
    MAX_MESSAGE,
    BadBackup,
    name_of,
    read_sealed,
    size_of,
    write_sealed,
)
from commons_node.keystore import sealing
from commons_node.keystore.disk import create_private, private_folder, sync_folder
from commons_node.whole_file import CannotWrite

KEY: Final = "backup.key"
SUFFIX: Final = ".backup"
PIECE: Final = 1 << 15
_CHUNKS: Final = "chunks"
_OWNER: Final = "backup"
"""Whose key file it is, in place of a member's."""
_BACKUP: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\.backup\Z")
_CHUNK: Final = re.compile(r"[0-9a-f]{64}\Z")
_BESIDE: Final = ".part"
_MOMENT: Final = "%Y%m%dT%H%M%SZ"
_STAMP: Final = len("20260101T000000Z")


class NoBackup(CommonsError):
    """There is no backup in {place}."""

    code: ClassVar[str] = "no_backup"
    hint: ClassVar[str] = "commons-node backup create FOLDER makes one"
    status = "not_found"


class NotABackupFolder(CommonsError):
    """{place} holds something else than backups."""

    code: ClassVar[str] = "bad_file"
    hint: ClassVar[str] = "choose an empty folder, or one that is not there yet"
    status = "usage"


class Busy(CommonsError):
    """Another backup into this folder is being written."""

    code: ClassVar[str] = "busy"
    hint: ClassVar[str] = "wait for it; commons-node status says when it is done"


class Folder:
    """A folder of backups whose key is known. Reads and writes one message at a time."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Use ``opened`` or ``made``."""
        self.path = path
        self._names = _derived(key, b"names")
        self._files = _derived(key, b"files")
        self.written = 0
        """Bytes that were written since it was opened."""

    # -- opening -------------------------------------------------------------------------------

    @classmethod
    def opened(cls, path: Path, passphrase: str) -> Folder:
        """An existing folder. Raises ``NoBackup``, ``WrongPassphrase``, ``BadBackup``."""
        try:
            file = (path / KEY).read_bytes()[: sealing.MAX_FILE]
        except (FileNotFoundError, NotADirectoryError):
            raise NoBackup(place=path) from None
        try:
            unlocked = sealing.unseal(file, _OWNER, passphrase)
        except sealing.DamagedKey:
            raise BadBackup("key", N_("its key file is damaged")) from None
        except sealing.WrongPassphrase:
            raise WrongBackupPassphrase from None
        found = cls(path, unlocked.data_key())
        unlocked.wipe()
        return found

    @classmethod
    def made(cls, path: Path, passphrase: str) -> Folder:
        """An existing folder, or a new one with a key of its own. Raises ``WeakPassphrase`` too."""
        try:
            if not (path / KEY).exists():
                _make(path, passphrase)
        except OSError as error:
            raise CannotWrite(file=path, why=error.strerror or error) from error
        return cls.opened(path, passphrase)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One writer at a time; what an earlier one left half done is swept. Raises ``Busy``."""
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Busy from None
            for folder in (self.path, self.path / _CHUNKS):
                for left in folder.glob(f".*{_BESIDE}"):
                    left.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)

    # -- chunks --------------------------------------------------------------------------------

    def put(self, messages: Sequence[bytes]) -> Chunk:
        """Store these messages, unless they are here. Raises ``CannotWrite``."""
        name = name_of(self._names, messages)
        path = self.path / _CHUNKS / name
        with suppress(FileNotFoundError):
            if path.stat().st_size == size_of(messages):
                return Chunk(name, len(messages))
        self._write(path, b"chunk " + name.encode(), messages)
        return Chunk(name, len(messages))

    def get(self, chunk: Chunk) -> Iterator[bytes]:
        """The messages of a chunk; after the last, it was whole. Raises ``BadBackup``."""
        path = self.path / _CHUNKS / chunk.name
        count = 0
        try:
            with path.open("rb") as source:
                for message in read_sealed(source, self._files, b"chunk " + chunk.name.encode()):
                    count += 1
                    yield message
        except FileNotFoundError:
            raise BadBackup(
                "missing", N_("the chunk {chunk} is not there"), chunk=chunk.name[:8]
            ) from None
        except OSError as error:
            raise BadBackup(
                "unreadable",
                N_("the chunk {chunk} cannot be read ({why})"),
                chunk=chunk.name[:8],
                why=error.strerror,
            ) from error
        if count != chunk.messages:
            raise BadBackup("damaged", N_("the chunk {chunk} is another one"), chunk=chunk.name[:8])

    # -- backups -------------------------------------------------------------------------------

    def backups(self) -> list[Path]:
        """The manifests' files, the newest first."""
        found = [one for one in self.path.glob(f"*{SUFFIX}") if _BACKUP.match(one.name)]
        return sorted(found, key=lambda one: one.name, reverse=True)

    def keep_manifest(self, manifest: Manifest) -> Path:
        """Write what makes the chunks a backup; durable when it returns.

        Its name comes after all that are there: the newest is the one that was made last, although
        a clock was set back between them.
        """
        moment = datetime.fromtimestamp(manifest.created_ms / 1000, UTC).replace(microsecond=0)
        with suppress(ValueError, IndexError):  # somebody's own name, or the first of all
            last = datetime.strptime(self.backups()[0].name[:_STAMP], _MOMENT).replace(tzinfo=UTC)
            moment = max(moment, last + timedelta(seconds=1))
        path = self.path / f"{moment.strftime(_MOMENT)}-{os.urandom(4).hex()}{SUFFIX}"
        self._write(path, b"backup " + path.name.encode(), pieces(manifests.encode(manifest)))
        return path

    def manifest(self, path: Path) -> Manifest:
        """What one of ``backups`` holds. Raises ``BadBackup``."""
        found = bytearray()
        try:
            with path.open("rb") as source:
                for message in read_sealed(source, self._files, b"backup " + path.name.encode()):
                    found += message
                    if len(found) > manifests.MAX_MANIFEST:
                        raise BadBackup("size", N_("its list of contents is too long"))
        except OSError as error:
            raise BadBackup("unreadable", N_("{file} cannot be read"), file=path.name) from error
        return manifests.decode(bytes(found))

    def let_go(self, keep: int) -> int:
        """Delete all backups but the newest ``keep``, and the chunks that none needs; how many.

        A manifest that cannot be read is not counted and not deleted; nor is any chunk then.
        """
        read: dict[Path, Manifest] = {}
        damaged = False
        for path in self.backups():
            try:
                read[path] = self.manifest(path)
            except BadBackup:
                damaged = True
        old = list(read)[max(1, keep) :]
        for path in old:
            path.unlink(missing_ok=True)
            del read[path]
        if old:
            sync_folder(self.path)
        needed = {name for one in read.values() for name in one.chunks}
        for path in () if damaged else (self.path / _CHUNKS).iterdir():
            if _CHUNK.match(path.name) and path.name not in needed:
                path.unlink(missing_ok=True)
        return len(old)

    # -- writing -------------------------------------------------------------------------------

    def _write(self, path: Path, purpose: bytes, messages: Iterable[bytes]) -> None:
        beside = path.with_name(f".{path.name}{_BESIDE}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            try:
                with os.fdopen(os.open(beside, flags, 0o600), "wb") as out:
                    self.written += write_sealed(out, self._files, purpose, messages)
                    out.flush()
                    os.fsync(out.fileno())
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
            sync_folder(path.parent)
        except OSError as error:
            raise CannotWrite(file=self.path, why=error.strerror or error) from error


class WrongBackupPassphrase(CommonsError):
    """The passphrase does not open this folder of backups."""

    code: ClassVar[str] = "wrong_passphrase"
    hint: ClassVar[str] = "it is the one that the first backup into this folder was made with"
    status = "locked"


def pieces(data: bytes) -> list[bytes]:
    """Bytes as messages."""
    return [data[start : start + MAX_MESSAGE] for start in range(0, len(data), MAX_MESSAGE)]


def chosen(place: Path, passphrase: str) -> tuple[Folder, Path, Manifest]:
    """The backup that a person means: a folder's newest, or one by its file. Raises ``NoBackup``.

    A newest one that cannot be read is said, not passed over.
    """
    one = place if place.suffix == SUFFIX else None
    folder = Folder.opened(place.parent if one else place, passphrase)
    path = one or next(iter(folder.backups()), None)
    if path is None or not path.exists():
        raise NoBackup(place=place)
    return folder, path, folder.manifest(path)


def erased_since(folder: Folder, chosen_one: Path) -> Mapping[bytes, dict[bytes, bool]]:
    """By realm: what any backup of the folder says was erased; True with its body."""
    found: dict[bytes, dict[bytes, bool]] = {}
    for path in folder.backups():
        try:
            manifest = folder.manifest(path)
        except BadBackup:
            if path == chosen_one:
                raise
            continue
        for realm in manifest.every:
            known = found.setdefault(realm.realm, {})
            for one in realm.erased:
                known[one.operation] = known.get(one.operation, False) or one.body
    return found


def _derived(key: bytes, what: bytes) -> bytes:
    return blake2b(what, key=key, digest_size=32, person=b"cn-backup").digest()


def _make(path: Path, passphrase: str) -> None:
    sealing.check_passphrase(passphrase)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        left = {one.name for one in path.iterdir()} if path.is_dir() else {""}
        if left - {_CHUNKS}:  # a folder that was begun and not finished
            raise NotABackupFolder(place=path)
    private_folder(path)
    private_folder(path / _CHUNKS)
    file = sealing.seal(_OWNER, os.urandom(32), {}, passphrase, os.urandom)
    create_private(path / KEY, file)
