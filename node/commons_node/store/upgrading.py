"""Bringing a file of an earlier version to the newest schema, with a copy of it made first.

The copy, ``<name>.before-<schema>``, is whole before the first step begins, and stays until the
new file has been read through. Each step is one transaction: a kill or a full disk leaves the
file at a schema that the next start goes on from. Nothing is touched where the copy has no room;
of a home's files none is, where they have none together (`see_that_all_can`).
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.keystore.disk import sync_folder

PATIENCE_S: Final = 10.0
"""How long a statement waits for another process that holds the file."""
_SPARE: Final = 16 << 20
_BEFORE: Final = re.compile(r"\.before-[0-9]+\Z")

log = structlog.get_logger(component="store")


class TooNew(CommonsError):
    """The file {file} was written by a newer version of commons-node (schema {found})."""

    code = "downgrade"
    hint = "install the newer version again; or restore a backup that this one made, elsewhere"


class TooOld(CommonsError):
    """The file {file} was written by an early version of commons-node (schema {found}), whose rules
    hold no more.
    """

    code = "outdated"
    hint = "start with an empty home, and join again with a new invite"


class Unusable(CommonsError):
    """The file {file} cannot be used: {why}."""

    code = "database"
    hint = "check that the disk has room, is sound and is writable"


class NoRoom(CommonsError):
    """Changing files of an earlier version ({file}) takes {needed} MiB; {free} are free."""

    code = "disk"
    hint = "make room on that disk, and start again; nothing was changed"


def free_at(path: Path) -> int:
    """Bytes that this user may still write beside ``path``."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize


def see_that_all_can(
    files: Sequence[tuple[Path, Sequence[str]]], free: Callable[[Path], int] = free_at
) -> None:
    """Before the first of a home's files is changed: each can be, and there is room for all.

    They are changed one after the other: a copy of one at a time, and what each grows by. What
    cannot be read is left to whoever mends it. Raises ``TooNew``, ``TooOld``, ``NoRoom``.
    """
    older: dict[Path, int] = {}
    for path, schema in files:
        try:
            uri = f"{path.as_uri()}?mode=rw"  # who only reads leaves a log beside the file
            with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S)) as file:
                ((version,),) = file.execute("PRAGMA user_version").fetchall()
        except sqlite3.Error:
            continue
        _see_that_it_can(path, schema, version)
        if 0 < version < len(schema) and not _copies(path):
            older[path] = path.stat().st_size
    if not older:
        return
    needed = sum(older.values()) + max(older.values()) + _SPARE
    room = free(next(iter(older)))
    if room < needed:
        names = ", ".join(one.name[:8] for one in older)
        raise NoRoom(file=names, needed=needed >> 20, free=room >> 20)


def _see_that_it_can(path: Path, schema: Sequence[str], version: int) -> None:
    if version > len(schema):
        raise TooNew(file=path.name, found=version)
    if version and not schema[version - 1]:
        raise TooOld(file=path.name, found=version)


def migrate(path: Path, schema: Sequence[str], free: Callable[[Path], int] = free_at) -> int | None:
    """Bring the file to the newest schema; the schema it came from, None if it was the newest.

    Raises ``TooNew``, ``TooOld``, ``NoRoom``, ``Unusable`` or sqlite3.Error.
    """
    with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE_S)) as file:
        ((version,),) = file.execute("PRAGMA user_version").fetchall()
        _see_that_it_can(path, schema, version)
        older = 0 < version < len(schema)
        if older:
            _copy(file, path, version, free)
        file.execute("PRAGMA journal_mode = WAL")
        for number in range(version, len(schema)):
            file.executescript(
                f"BEGIN IMMEDIATE; {schema[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
            )
        copies = _copies(path)
        if copies:
            _see_that_it_is_sound(file, path, copies)
    path.chmod(0o600)
    for copy in copies:
        copy.unlink(missing_ok=True)
    if older:
        log.info("upgraded", file=path.name[:8], schema=len(schema), before=version)
    return version if older else None


def _copies(path: Path) -> list[Path]:
    """Copies of before a step, of this start or of one that was cut off; the oldest first."""
    found = path.parent.glob(f"{path.name}.before-*")
    return sorted(one for one in found if _BEFORE.search(one.name))


def _copy(file: sqlite3.Connection, path: Path, version: int, free: Callable[[Path], int]) -> None:
    """A copy that is whole and durable, or none. One of an earlier start stays as it is."""
    if _copies(path):
        return
    beside = path.with_name(f".{path.name}.before.part")
    size = path.stat().st_size
    needed = 2 * size + _SPARE  # the copy, and what the steps write beside the file
    if free(path) < needed:
        raise NoRoom(file=path.name, needed=needed >> 20, free=free(path) >> 20)
    try:
        beside.unlink(missing_ok=True)
        file.execute("VACUUM INTO ?", (str(beside),))
        beside.chmod(0o600)
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.rename(path.with_name(f"{path.name}.before-{version}"))
        sync_folder(path.parent)
    except OSError as error:
        raise Unusable(file=path.name, why=error.strerror or error) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _see_that_it_is_sound(file: sqlite3.Connection, path: Path, copies: Sequence[Path]) -> None:
    """Raise ``Unusable`` naming the copy, which then stays, if the new file is not whole."""
    faults = [row[0] for row in file.execute("PRAGMA integrity_check(1)")]
    if faults != ["ok"]:
        why = _("after the upgrade it is damaged ({fault}); as it was before it is {copy}").format(
            fault=faults[0], copy=copies[0]
        )
        raise Unusable(file=path.name, why=why)
