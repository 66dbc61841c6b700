"""Files that the disk has damaged: how that is noticed, and what still reads from them.

SQLite notices a broken page, not a changed byte in a text. So what operations hold is compared
with the hashes that their signed headers name. Nothing here writes to a damaged file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commons_crdt.errors import Refused
from commons_crdt.operation import Operation, body_hash, decode_header, operation_id, part_hash
from commons_crdt.texts import N_
from commons_node.keystore.disk import sync_folder
from commons_node.said import Said, of_error, said
from commons_node.store.upgrading import PATIENCE_S

_STEP: Final = 256
_SMALLEST: Final = 128
"""Bytes of a file for each row that it may hold, where the file cannot say how many there are."""
_TAILS: Final = ("-wal", "-shm")
_OPERATIONS: Final = (
    "SELECT n, id, header, signature, body FROM operations WHERE n >= ? AND n < ? ORDER BY n"
)
_PARTS: Final = "SELECT position, bytes FROM parts WHERE operation = ? ORDER BY position"
_CHUNKS: Final = (
    "SELECT c.bytes FROM large l JOIN chunks c ON c.part = l.n"
    " WHERE l.operation = ? AND l.position = ? AND l.whole ORDER BY c.first"
)


def broken_page(path: Path) -> str:
    """What SQLite finds wrong with a file; "" for nothing, or where there is no file."""
    if not path.exists():
        return ""
    try:
        with closing(_opened(path)) as file:
            faults = [row[0] for row in file.execute("PRAGMA quick_check(1)")]
    except sqlite3.OperationalError as error:
        return str(error) if "malformed" in str(error) else ""  # it is locked, or has no room
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if faults == ["ok"] else str(faults[0])


def changed_bytes(path: Path) -> Said | None:
    """The first operation that is not what its header names; None if there is none.

    Reads the whole file, at its own pace and beside whoever uses it.
    """
    try:
        with closing(_opened(path)) as file:
            ((last,),) = file.execute("SELECT coalesce(max(n), 0) FROM operations")
            for first in range(1, last + 1, _STEP):
                rows = file.execute(_OPERATIONS, (first, first + _STEP)).fetchall()
                for n, ident, header, _, body in rows:
                    if why := _differs(ident, header, body, file.execute(_PARTS, (n,)).fetchall()):
                        return said(why, operation=ident.hex()[:8])
    except sqlite3.OperationalError as error:
        return of_error(error) if "malformed" in str(error) else None
    except sqlite3.DatabaseError as error:
        return of_error(error)
    return None


def fault_in(path: Path) -> Said | None:
    """What is wrong with a realm's pages or operations; None for nothing."""
    why = broken_page(path)
    return said("{why}", why=why) if why else changed_bytes(path)


def changed_parts(path: Path) -> list[int]:
    """Large parts that are whole here and not those that were signed, by their numbers.

    Reads all of them, at its own pace. What cannot be read at all is another's finding.
    """
    found = []
    with closing(_opened(path)) as file, suppress(sqlite3.DatabaseError):
        listed = file.execute("SELECT n, hash FROM large WHERE whole ORDER BY n").fetchall()
        for n, wanted in listed:
            rows = file.execute("SELECT bytes FROM chunks WHERE part = ? ORDER BY first", (n,))
            if part_hash(b"".join(row[0] for row in rows)) != wanted:
                found.append(n)  # or it was let go this moment: whoever acts on this looks again
    return found


def _differs(
    ident: bytes, header: bytes, body: bytes | None, parts: Sequence[tuple[int, bytes | None]]
) -> str:
    try:
        if operation_id(header) != ident:
            return N_("operation {operation}: its header is another one")
        named = decode_header(header)
    except Refused:
        return N_("operation {operation}: its header cannot be read")
    if body is not None and body_hash(body) != named.body_hash:
        return N_("operation {operation}: its contents are not those that were signed")
    for position, part in parts:
        if position >= len(named.parts):
            return N_("operation {operation}: it has more parts than were signed")
        if part is not None and part_hash(part) != named.parts[position].hash:
            return N_("operation {operation}: a text of it is not the one that was signed")
    return ""


@dataclass(slots=True)
class Salvage:
    """What still reads from a damaged file; ``lost``: some rows could not be read at all."""

    path: Path
    lost: bool = False
    read: int = 0

    def operations(self) -> Iterator[Operation]:
        """Every operation that reads, as it stands there; whoever takes it checks it."""
        with closing(_opened(self.path)) as file:
            for rows in self._rows(file):
                for n, _, header, signature, body in rows:
                    self.read += 1
                    yield Operation(header, signature, body, self._parts(file, n, header))

    def _rows(self, file: sqlite3.Connection) -> Iterator[list[Any]]:
        for first in range(1, self._last(file) + 1, _STEP):
            try:
                yield file.execute(_OPERATIONS, (first, first + _STEP)).fetchall()
            except sqlite3.DatabaseError:
                self.lost = True
                for n in range(first, first + _STEP):
                    with suppress(sqlite3.DatabaseError):
                        yield file.execute(_OPERATIONS, (n, n + 1)).fetchall()

    def _last(self, file: sqlite3.Connection) -> int:
        try:
            ((last,),) = file.execute("SELECT coalesce(max(n), 0) FROM operations")
        except sqlite3.DatabaseError:
            self.lost = True
            return self.path.stat().st_size // _SMALLEST
        return int(last)

    def _parts(self, file: sqlite3.Connection, n: int, header: bytes) -> tuple[bytes | None, ...]:
        """Small parts and large ones that are whole; None for what does not read or fit."""
        try:
            refs = decode_header(header).parts
        except Refused:
            return ()
        found: list[bytes | None] = [None] * len(refs)
        try:
            small = dict(file.execute(_PARTS, (n,)).fetchall())
            for position, ref in enumerate(refs):
                data = small.get(position)
                if data is None and ref.length > _STEP:
                    data = b"".join(row[0] for row in file.execute(_CHUNKS, (n, position)))
                if data and part_hash(data) == ref.hash:
                    found[position] = data
        except sqlite3.DatabaseError:
            self.lost = True
        return tuple(found)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """What reads of a small table of this program's own."""
        found: list[tuple[Any, ...]] = []
        with closing(_opened(self.path)) as file:
            try:
                found.extend(map(tuple, file.execute(f"SELECT * FROM {table}")))  # noqa: S608 - our own name
            except sqlite3.DatabaseError:
                self.lost = True  # what came before the fault is kept
        return found


def put_in_place(fresh: Path, path: Path) -> Path:
    """Let a new file take a damaged one's place; where the damaged one is kept.

    At every moment one of the two stands at ``path``.
    """
    number = sum(1 for _ in path.parent.glob(f"{path.name}.damaged-*")) + 1
    aside = path.with_name(f"{path.name}.damaged-{number}")
    aside.hardlink_to(path)
    for tail in _TAILS:  # an old log must never be read into the new file
        with suppress(FileNotFoundError):
            path.with_name(path.name + tail).rename(aside.with_name(aside.name + tail))
    os.replace(fresh, path)  # noqa: PTH105 - atomic, and said so
    sync_folder(path.parent)
    return aside


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=PATIENCE_S)
