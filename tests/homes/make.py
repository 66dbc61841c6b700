"""Homes as earlier versions wrote them, one for each schema number: ``make homes`` adds what lacks.

A home of today is written by real acts. One of an earlier schema holds what that schema had room
for: its tables, with the rows of today's that fit them. Committed once, a home is never made again:
the point is that today's program opens what stands there.
"""

from __future__ import annotations

import json
import lzma
import sqlite3
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.e2e.neighbourhood import agree, street

from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.store.node_store import NODE_SCHEMA
from commons_node.store.realm_schema import REALM_SCHEMA

SCHEMAS: Mapping[str, Sequence[str]] = {
    "realm": REALM_SCHEMA, "node": NODE_SCHEMA, "jobs": JOBS_SCHEMA,
}  # fmt: skip
HERE = Path(__file__).parent
HASHES = HERE / "hashes.json"


def file_of(kind: str, number: int) -> Path:
    """Where the file of a schema number is kept: ``realm``, ``node`` or ``jobs``."""
    return HERE / f"{kind}-{number}.db.xz"


def wanted() -> list[tuple[str, int]]:
    """Every schema number that today's program says it can open."""
    return [
        (kind, number)
        for kind, schema in SCHEMAS.items()
        for number in range(1, len(schema) + 1)
        if schema[number - 1]
    ]


def lacking() -> list[tuple[str, int]]:
    """Those of which no home is committed."""
    return [one for one in wanted() if not file_of(*one).exists()]


def unpacked(kind: str, number: int, path: Path) -> Path:
    """The file of a schema number, at ``path``."""
    path.write_bytes(lzma.decompress(file_of(kind, number).read_bytes()))
    return path


def known(name: str) -> dict[str, str]:
    """What a file of ``file_of`` must open to, by its name: ``realm-4``."""
    found: dict[str, str] = json.loads(HASHES.read_text())[name]
    return found


def old_home(home: Path, number: int, node: int = 1) -> dict[str, str]:
    """A home whose files are of earlier versions; what its community must be."""
    found = known(f"realm-{number}")
    (home / "realms").mkdir(parents=True)
    unpacked("node", node, home / "node.db")
    unpacked("realm", number, home / "realms" / f"{found['realm']}.db")
    for one in (home, home / "realms"):
        one.chmod(0o700)
    return found


def main() -> None:
    """Write what lacks."""
    missing = lacking()
    if not missing:
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found = lived_in(folder)
        known = json.loads(HASHES.read_text()) if HASHES.exists() else {}
        for kind, number in missing:
            old = folder / f"{kind}-{number}.db"
            as_of(folder / f"{kind}.db", old, SCHEMAS[kind][:number])
            file_of(kind, number).write_bytes(lzma.compress(old.read_bytes(), preset=9))
            known[f"{kind}-{number}"] = found
            sys.stdout.write(f"{file_of(kind, number).name}\n")
        HASHES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def lived_in(folder: Path) -> dict[str, str]:
    """A real home's files, ``realm.db`` and ``node.db``; what they hold."""
    with street() as elm_street:
        alice, bob = elm_street.community("alice", "bob")
        drill = alice.do("resource.add", name="Drill", number="1")["resource"]
        lamp = alice.do("resource.add", name="Lamp", number="2")["resource"]
        alice.do("resource.edit", resource=drill, notice="kept under the blue tarpaulin")
        agree(alice, bob)
        bob.do("loan.request", resource="1", days=3)
        alice.do("resource.erase", resource=lamp)
        agree(alice, bob)
        alice.do("job.run", job="figures", wait=60)
        of_set, of_state = alice.hashes()
        alice.stop()
        (realm,) = (alice.home / "realms").glob("*.db")
        (folder / "realm.db").write_bytes(realm.read_bytes())
        for name in ("node.db", "jobs.db"):
            (folder / name).write_bytes((alice.home / name).read_bytes())
        return {"realm": realm.stem, "set": of_set, "state": of_state, "peer": bob.node}


def as_of(newest: Path, old: Path, schema: Sequence[str]) -> None:
    """The rows of a file in the tables and columns that an earlier schema had."""
    with closing(sqlite3.connect(old, isolation_level=None)) as file:
        for script in schema:
            file.executescript(script)
        file.execute(f"PRAGMA user_version = {len(schema)}")
        file.execute("ATTACH ? AS newest", (str(newest),))
        tables = file.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            own = [row[1] for row in file.execute(f"PRAGMA main.table_info({table})")]
            there = {row[1] for row in file.execute(f"PRAGMA newest.table_info({table})")}
            columns = ", ".join(one for one in own if one in there)
            if columns:
                file.execute(
                    f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newest.{table}"  # noqa: S608 - own names
                )
        file.execute("DETACH newest")
        file.execute("VACUUM")


if __name__ == "__main__":
    main()
