"""Which agents this node has: a row each in the node's file, and the packages in ``agents/``.

A package is a file named by its hash, for this user only; its bytes are checked each time that
they are read. Rows are small and kept in memory; nothing is decided here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.agents.grants import Approval
from commons_node.agents.manifest import Manifest, Setting
from commons_node.agents.package import MAX_PACKAGE, Package, read
from commons_node.agents.refusals import BadPackage
from commons_node.keystore.disk import private_folder, write_private
from commons_node.store.database import Database, fetch
from commons_node.store.upgrading import Unusable

FOLDER: Final = "agents"
AGENTS: Final = """
    CREATE TABLE agents (
        agent TEXT PRIMARY KEY, community BLOB NOT NULL, package BLOB NOT NULL,
        manifest BLOB NOT NULL, approval BLOB NOT NULL, settings BLOB NOT NULL,
        waits INTEGER NOT NULL, installed_ms INTEGER NOT NULL) WITHOUT ROWID
"""
_COLUMNS: Final = "agent, community, package, manifest, approval, settings, waits, installed_ms"


class PackageGone(CommonsError):
    """The file of this agent's package is not there, or is not what was installed."""

    code: ClassVar[str] = "package_gone"
    hint: ClassVar[str] = "install the same package again: commons-node agent install FILE"


class Row(msgspec.Struct, frozen=True):
    """One agent as it is kept. ``waits``: it asks for more than was agreed to.

    ``community``: the one that it works for. ``settings``: those that the host has changed.
    """

    agent: str
    community: bytes
    package: bytes
    manifest: Manifest
    approval: Approval
    settings: Mapping[str, Setting]
    waits: bool
    installed_ms: int


class AgentStore:
    """One for a node; ``load`` before anything else."""

    def __init__(self, home: Path) -> None:
        """``home`` is the node's folder."""
        self._folder = home / FOLDER
        self._database: Database
        self.rows: dict[str, Row] = {}
        """By agent."""
        self._spoilt: set[bytes] = set()
        """Packages whose file was found to be another one, until it is written anew."""

    async def load(self, database: Database) -> None:
        """Read the rows of the node's file; files that belong to none of them go."""
        self._database = database
        rows = await fetch(database.read, f"SELECT {_COLUMNS} FROM agents ORDER BY agent")  # noqa: S608 - own columns
        self.rows = {row[0]: _row(row) for row in rows}
        await asyncio.to_thread(self._sweep)

    async def put(self, row: Row, data: bytes | None = None) -> None:
        """Insert or replace a row, with the bytes of its package; durable when it returns."""
        if data is not None:
            await asyncio.to_thread(self._write, row.package, data)
            self._spoilt.discard(row.package)
        await self._database.write.execute(
            f"INSERT OR REPLACE INTO agents ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",  # noqa: S608 - own columns
            (
                row.agent,
                row.community,
                row.package,
                msgspec.json.encode(row.manifest),
                msgspec.json.encode(row.approval),
                msgspec.json.encode(row.settings),
                row.waits,
                row.installed_ms,
            ),
        )
        self.rows[row.agent] = row
        await asyncio.to_thread(self._sweep)

    async def remove(self, agent: str) -> None:
        """Forget an agent, and its package."""
        await self._database.write.execute("DELETE FROM agents WHERE agent = ?", (agent,))
        self.rows.pop(agent, None)
        await asyncio.to_thread(self._sweep)

    def code(self, package: bytes) -> Package:
        """A package from its file, checked anew. Raises ``PackageGone``."""
        try:
            with self._path(package).open("rb") as file:
                data = file.read(MAX_PACKAGE + 1)
            if hashlib.sha256(data).digest() != package:
                self._spoilt.add(package)
                raise PackageGone
            return read(data, signed=True)
        except (OSError, BadPackage):
            raise PackageGone from None

    def there(self, package: bytes) -> bool:
        """Whether a package's file stands where it should, and was not found to be another one."""
        return package not in self._spoilt and self._path(package).is_file()

    def _path(self, package: bytes) -> Path:
        return self._folder / f"{package.hex()}.agent"

    def _write(self, package: bytes, data: bytes) -> None:
        try:
            private_folder(self._folder)
            write_private(self._path(package), data)
        except OSError as error:
            raise Unusable(file=self._path(package).name, why=error.strerror or error) from error

    def _sweep(self) -> None:
        wanted = {self._path(row.package).name for row in list(self.rows.values())}
        for path in self._folder.glob("*.agent"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)


def _row(row: tuple[str, bytes, bytes, bytes, bytes, bytes, int, int]) -> Row:
    agent, community, package, manifest, approval, settings, waits, installed = row
    try:
        return Row(
            agent,
            community,
            package,
            msgspec.json.decode(manifest, type=Manifest),
            msgspec.json.decode(approval, type=Approval),
            msgspec.json.decode(settings, type=dict[str, Setting]),
            bool(waits),
            installed,
        )
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unusable(file="of installed agents", why=f"{agent} is damaged") from error


__all__ = ["AGENTS", "FOLDER", "AgentStore", "PackageGone", "Row"]
