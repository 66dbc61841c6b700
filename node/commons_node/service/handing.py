"""Handing a node over to another host: the home goes into one file, and runs here no more.

A home that runs twice forks every chain of its devices. So the old one is marked before the file
is made, and refuses to start from then on; the new one waits before it signs until it has met a
node that knew it (`home.moved`). A copy that is kept, a backup, is another thing: `backup`.

The file is a tar with the digest of each of its members at the end. It holds the node's own keys,
unsealed: whoever reads it can be this node.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.backup.restored import FILE as RESTORED
from commons_node.backup.restored import Restored
from commons_node.home import Home
from commons_node.keystore.disk import private_folder, sync_folder, write_private
from commons_node.moments import moment

MARK: Final = "handed-over"
_DIGESTS: Final = "commons-node-digests.json"
_STAYS: Final = frozenset({"lock", "api.sock", "sessions"})
"""Of ``run``: what only concerns a process or a terminal of the old machine."""
_MOST_DIGESTS: Final = 16 << 20


class HandedOver(CommonsError):
    """This home was handed over on {day}, as {file}; it must not run here as well."""

    code: ClassVar[str] = "handed_over"
    hint: ClassVar[str] = (
        "start it on the new host; only if it never started there:"
        " commons-node service hand-over --undo"
    )
    status = "locked"


class NothingToHandOver(CommonsError):
    """There is no node in {home}."""

    code: ClassVar[str] = "no_home"
    hint: ClassVar[str] = "commons-node paths; --home DIR says which"
    status = "not_found"


class NotHandedOver(CommonsError):
    """The home {home} was not handed over."""

    code: ClassVar[str] = "not_handed_over"
    hint: ClassVar[str] = "commons-node run"
    status = "failed"


class HomeTaken(CommonsError):
    """There is something in {home} already."""

    code: ClassVar[str] = "home_taken"
    hint: ClassVar[str] = "choose an empty one with --home DIR"
    status = "failed"


class NoCopy(CommonsError):
    """The home {home} is where it last ran: it waits for no other node."""

    code: ClassVar[str] = "no_copy"
    hint: ClassVar[str] = "commons-node run"
    status = "failed"


class BadHandOver(CommonsError):
    """The file {file} is not a whole hand-over: {why}."""

    code: ClassVar[str] = "bad_hand_over"
    hint: ClassVar[str] = "copy it again; the old host has it still"
    status = "failed"


def check(home: Home) -> None:
    """Refuse a home that was handed over. Raises HandedOver."""
    try:
        told = json.loads((home.path / MARK).read_text(encoding="utf-8"))
        day, file = str(told["day"]), str(told["file"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, LookupError, TypeError):
        day, file = "?", "?"
    raise HandedOver(day=day, file=file)


def hand_over(home: Home, file: Path) -> dict[str, object]:
    """Write the home to ``file`` (which must not be there) and let it run here no more.

    Raises NothingToHandOver, HandedOver, AlreadyRunning, FileExistsError, OSError.
    """
    if not home.node_key.is_file():
        raise NothingToHandOver(home=home.path)
    with home:
        check(home)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        day = moment(time.time_ns() // 1_000_000)
        write_private(home.path / MARK, json.dumps({"day": day, "file": str(file)}).encode())
        home.give_back(home.path / MARK)
        try:
            with os.fdopen(handle, "wb") as out:
                files = _pack(home, out)
                out.flush()
                os.fsync(out.fileno())
            sync_folder(file.parent)
            _check_whole(file)
        except BaseException:
            with suppress(OSError):
                file.unlink()
            (home.path / MARK).unlink(missing_ok=True)
            raise
    return {"home": str(home.path), "file": str(file), "files": files,
            "bytes": file.stat().st_size, "next": []}  # fmt: skip


def undo(home: Home) -> dict[str, object]:
    """Let it run here again: the file never arrived. Raises NotHandedOver, AlreadyRunning."""
    if not (home.path / MARK).exists():
        raise NotHandedOver(home=home.path)
    with home:
        (home.path / MARK).unlink()
        sync_folder(home.path)
    return {"home": str(home.path), "next": []}


def take_over(file: Path, home: Home, *, alone: bool = False) -> dict[str, object]:
    """Unpack a hand-over into an empty home. Raises HomeTaken, BadHandOver, OSError.

    ``alone``: there is no other node that it could meet first, and the file is started here only.
    """
    if home.path.exists() and any(home.path.iterdir()):
        raise HomeTaken(home=home.path)
    _check_whole(file)
    beside = home.path.with_name(f".{home.path.name}.{os.getpid()}")
    private_folder(beside)
    try:
        count = 0
        with tarfile.open(file, "r:") as packed:
            for member in packed:
                if member.name == _DIGESTS:
                    continue
                path = beside / member.name
                private_folder(path.parent)
                source = packed.extractfile(member)
                assert source is not None, "it was looked at already"
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                with os.fdopen(os.open(path, flags, 0o600), "wb") as out:
                    for block in _blocks(source):
                        out.write(block)
                    out.flush()
                    os.fsync(out.fileno())
                count += 1
        if alone:
            (beside / "run" / "place").unlink(missing_ok=True)
        if home.path.exists():
            home.path.rmdir()
        beside.rename(home.path)
        sync_folder(home.path.parent)
    except BaseException:
        _remove(beside)
        raise
    return {"home": str(home.path), "files": count, "next": []}


def stay(home: Home) -> dict[str, object]:
    """Let a home that counts as a copy sign without having met anybody.

    For who knows that there is nobody to meet, and that it runs nowhere else: the way out for a
    node that is the only one of its community, and was moved, mended or restored.
    Raises NothingToHandOver, AlreadyRunning, HandedOver, DamagedNote, NoCopy.
    """
    if not home.path.is_dir():
        raise NothingToHandOver(home=home.path)
    with home:
        check(home)
        restored = Restored(home.path)
        if not (home.moved() or restored.must_meet):
            raise NoCopy(home=home.path)
        home.place.unlink(missing_ok=True)
        sync_folder(home.run)
        restored.go_alone()
        home.give_back(*home.path.glob(RESTORED))
    return {"home": str(home.path), "next": []}


def met_nobody(home: Home) -> bool:
    """Whether this node has never met another one of its communities, as far as its file tells."""
    try:
        with closing(
            sqlite3.connect(f"{(home.path / 'node.db').as_uri()}?mode=ro", uri=True)
        ) as db:
            return not db.execute("SELECT 1 FROM shares LIMIT 1").fetchall()
    except sqlite3.Error:
        return False


def owned_by(folder: Path, user: str) -> None:
    """Give a home to the user that its service runs as. Raises LookupError, OSError."""
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user, user)


def _files(home: Home) -> Iterator[Path]:
    """Everything that makes the node, and no link: what it leads to is not ours."""
    for path in sorted(home.path.rglob("*")):
        inside = path.relative_to(home.path).parts
        if path.is_symlink() or not path.is_file() or inside == (MARK,):
            continue
        if inside[0] == "run" and inside[1] in _STAYS:
            continue
        yield path


def _pack(home: Home, out: IO[bytes]) -> int:
    digests: dict[str, str] = {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for path in _files(home):
            name = path.relative_to(home.path).as_posix()
            with path.open("rb") as source:
                digests[name] = _digest(source)
                source.seek(0)
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = os.fstat(source.fileno()).st_size, 0o600
                packed.addfile(entry, source)
        listed = json.dumps(digests, sort_keys=True).encode()
        entry = tarfile.TarInfo(_DIGESTS)
        entry.size, entry.mode = len(listed), 0o600
        packed.addfile(entry, BytesIO(listed))
    return len(digests)


def _check_whole(file: Path) -> None:
    """Read it back: plain files below one folder, each with its digest. Raises BadHandOver."""
    seen: dict[str, str] = {}
    listed: object = None
    try:
        with tarfile.open(file, "r:") as packed:
            for member in packed:
                source = packed.extractfile(member) if member.isreg() else None
                if source is None or not _below(member.name) or member.name in seen:
                    raise BadHandOver(file=file, why=_("there is something else in it"))
                if member.name == _DIGESTS:
                    listed = json.loads(source.read(_MOST_DIGESTS))
                else:
                    seen[member.name] = _digest(source)
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        raise BadHandOver(file=file, why=error) from None
    except OSError as error:
        raise BadHandOver(file=file, why=error.strerror or error) from None
    if listed != seen or "node.key" not in seen:
        raise BadHandOver(file=file, why=_("it was damaged on the way"))


def _below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and str(path) == name


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    while block := source.read(1 << 20):
        yield block


def _digest(source: IO[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=32)
    for block in _blocks(source):
        digest.update(block)
    return digest.hexdigest()


def _remove(folder: Path) -> None:
    """What was begun, deepest first."""
    for path in sorted(folder.rglob("*"), reverse=True):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
    with suppress(OSError):
        folder.rmdir()
