"""The databases: sound as files, and what they show is what their operations give.

Looks at copies that SQLite makes of the files at one moment, so that a running node is neither
stopped nor waited for, and nothing of it is changed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.ids import RealmId
from commons_crdt.texts import N_, _
from commons_node.archive.format import BadArchive
from commons_node.archive.verifying import verify_archive
from commons_node.archive.writing import write_archive
from commons_node.databases import files
from commons_node.doctor.check import Check, Fact
from commons_node.domains import RULES, VIEWS
from commons_node.home import Home
from commons_node.realm.realm import Realm
from commons_node.said import Said, said
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool

_FAULTS = 5
_RESTORE = N_(
    "stop the node, and restore a backup into an empty home: commons-node backup restore FILE; it"
    " fetches what is newer from the community's other nodes; without one, join again"
)
_REPAIR = N_(
    "restart the node: it makes the file anew of what reads, and fetches the rest from the"
    " community's other nodes; if it cannot, restore a backup into an empty home: commons-node"
    " backup restore FILE"
)


_UNJUDGED = BadArchive("unjudged", "").code


class NotCompared(CommonsError):
    """What a community shows could not be compared with its operations: {why}"""

    code: ClassVar[str] = "not_compared"
    hint: ClassVar[str] = "commons-node doctor tries again"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the copies tell that other checks need."""

    newest_ms: int | None
    zones: tuple[str, ...]
    forked: tuple[str, ...] = ()
    """Whose devices told two stories of which none is named yet: members' ids, "" for nobody's."""


def copied(source: Path, folder: Path) -> Path:
    """A copy of a database as of now. Raises sqlite3.Error, OSError."""
    target = folder / source.name
    uri = f"{source.as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True, timeout=10)) as file,
        closing(sqlite3.connect(target)) as copy,
    ):
        file.backup(copy, pages=1024, sleep=0)
    return target


def fault_of(path: Path, schema: Sequence[str]) -> tuple[Said | None, Said, dict[str, Fact]]:
    """What is wrong with the pages, the indices or the schema of one file; what to do; facts."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as file:
            ((found,),) = file.execute("PRAGMA user_version").fetchall()
            faults = [row[0] for row in file.execute(f"PRAGMA integrity_check({_FAULTS})")]
    except sqlite3.Error as error:
        told = said("{path}: {error}.", path=path, error=error)
        return told, said(_REPAIR), {"sound": False}
    facts: dict[str, Fact] = {
        "sound": faults == ["ok"], "schema": found, "mib": path.stat().st_size >> 20,
    }  # fmt: skip
    if faults != ["ok"]:
        told = said(N_("{path} is damaged: {told}"), path=path, told="; ".join(faults))
        return told, said(_REPAIR), facts
    if found > len(schema):
        told = said(
            N_("{path} was written by a newer version (schema {found})."), path=path, found=found
        )
        return told, said(N_("install the newer version of commons-node again")), facts
    return None, said(""), facts


def sound(path: Path, schema: Sequence[str], name: str) -> Check:
    """Whether one file is as it should be."""
    fault, fix, facts = fault_of(path, schema)
    if fault is not None:
        return Check(f"database {name}", "fail", str(fault), str(fix), facts)
    return Check(f"database {name}", "ok", _("{path} is sound.").format(path=path), "", facts)


@asynccontextmanager
async def opened(path: Path, pool: VerifierPool, now_ms: int) -> AsyncIterator[Realm]:
    """The realm in a copy of its file. Raises CommonsError, sqlite3.Error."""
    database = await open_database(path, REALM_SCHEMA)
    realm = Realm(
        RealmId(bytes.fromhex(path.stem)),
        RealmStore(database),
        RULES,
        VIEWS,
        pool,
        lambda: now_ms,
        prune=False,
    )
    try:
        await realm.open()
        yield realm
    finally:
        await realm.close()


async def truth(realm: Realm, folder: Path, pool: VerifierPool, name: str) -> Check:
    """Whether its operations, checked and judged from nothing, give what the views show."""
    archive = folder / f"{name}.archive"
    check = f"truth {name}"
    try:
        written = await write_archive(realm, archive, parts_up_to=0)
        await verify_archive(archive, RULES, VIEWS, pool)
    except BadArchive as error:
        told = _(
            "What is shown of community {name} is not what its operations give: {error}"
        ).format(name=name, error=error)
        return Check(check, "fail", told, _(_RESTORE), {"agrees": False, "code": error.code})
    finally:
        archive.unlink(missing_ok=True)
    count = int(str(written["operations"]))
    told = _("{count} operations, checked and judged from nothing, give what is shown.").format(
        count=count
    )
    return Check(check, "ok", told, "", {"agrees": True, "operations": count})


def shown_otherwise(path: Path) -> Said | None:
    """Why what one community shows is not what its operations give; None if it is.

    Judges a copy from nothing, in this process. Raises ``NotCompared`` where that cannot be done
    now, as when a worker dies; sqlite3.Error, OSError for want of room.
    """

    async def judged() -> Check:
        with tempfile.TemporaryDirectory(prefix="commons-integrity-") as temporary:
            folder = Path(temporary)
            pool = VerifierPool(1)
            try:
                async with opened(copied(path, folder), pool, time.time_ns() // 1_000_000) as realm:
                    return await truth(realm, folder, pool, path.stem[:8])
            finally:
                await pool.stop()

    check = asyncio.run(judged())
    if check.facts.get("code") == _UNJUDGED:
        raise NotCompared(why=check.detail)
    return None if check.state == "ok" else said("{why}", why=check.detail)


async def examine(
    home: Home, pool: VerifierPool, now_ms: int, *, quick: bool
) -> tuple[list[Check], Seen]:
    """All databases of a home; without ``quick`` their operations are judged again, too."""
    checks: list[Check] = []
    newest: list[int] = []
    zones: list[str] = []
    forked: list[str] = []
    with ExitStack() as undo:
        try:
            made = tempfile.TemporaryDirectory(prefix="commons-doctor-")
        except OSError as error:  # the disk with /tmp is the one that fails
            folder = None
            checks.append(_uncopied(error))
        else:
            folder = Path(undo.enter_context(made))
        for path, schema in files(home):
            name = path.stem[:8]
            checks.append(sound(path, schema, name))
            if folder is None or checks[-1].state == "fail" or schema is not REALM_SCHEMA:
                continue
            try:
                async with opened(copied(path, folder), pool, now_ms) as realm:
                    newest += await _newest(realm)
                    zones.append(realm.judge.authority.constitution.timezone)
                    forked += _forked(realm)
                    if not quick:
                        checks.append(await truth(realm, folder, pool, name))
            except (CommonsError, sqlite3.Error, OSError) as error:
                fix = error.way_out if isinstance(error, CommonsError) else _(_RESTORE)
                checks.append(Check(f"truth {name}", "fail", str(error), fix, {"agrees": False}))
    return checks, Seen(max(newest, default=None), tuple(dict.fromkeys(zones)), tuple(forked))


def _forked(realm: Realm) -> set[str]:
    """The owners of devices that are frozen by a fork."""
    judge = realm.judge
    devices = {
        device for device, log in judge.forks
        if judge.end(device, log).why == "fork" and judge.branches.last(device, log) is None
    }  # fmt: skip
    granted = judge.authority.devices
    return {granted[one].member.hex() if one in granted else "" for one in devices}


def _uncopied(error: OSError) -> Check:
    told = _("No copies can be made to compare what is shown: {error}").format(error=error)
    fix = _("make room in /tmp, or see why nothing can be written there")
    return Check("truth", "fail", told, fix, {"copied": False})


async def _newest(realm: Realm) -> list[int]:
    query = "SELECT max(time_ms) FROM operations"
    rows = await realm.store.database.read.execute_fetchall(query)
    return [row[0] for row in rows if row[0] is not None]
