"""What a backup holds of a node and gives back: photos, jobs, agents; and what it leaves out."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.agents import made as package
from tests.unit.pictures import jpeg
from tests.unit.street import Home as Node
from tests.unit.street import homes

from commons_node.backup.commands import same_disk
from commons_node.backup.folder import chosen
from commons_node.backup.reading import verify
from commons_node.backup.restoring import unpack
from commons_node.backup.sealed_file import BadBackup
from commons_node.backup.writing import Made, Parts, Source, create
from commons_node.domains.resources.photos import strip
from commons_node.home import Home
from commons_node.jobs import definitions
from commons_node.jobs.job import Job
from commons_node.jobs.queue import Queue
from commons_node.keystore.node_key import NodeKey
from commons_node.registry import File
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_node.verifier.pool import VerifierPool

pytestmark = pytest.mark.usefixtures("light")

SAFE = "two rivers meet in the old town"
PHOTO = jpeg(200_000)
AGENT = package()


@dataclass
class House:
    """Alice's node, as far as a backup sees it; ``file`` is its community's."""

    node: Node
    home: Home
    folder: Path
    file: Path
    pool: VerifierPool

    async def backup(self, parts: Parts = "own") -> Made:
        now = self.node.now_ms()
        source = Source(self.home, "ab" * 32, (), [self.node.realm], now)
        return await create(source, self.folder, SAFE, keep=9, parts=parts)

    async def restored(self, path: Path) -> int:
        """A home made of the newest; how many photos are in it."""
        folder, one, manifest = chosen(self.folder, SAFE)
        return (await unpack(folder, one, manifest, path, self.pool, alone=True)).parts


def jobs_of(home: Path) -> Queue:
    return Queue(home / "jobs.db", "life", lambda: 0, lambda: 0)


@pytest.fixture
async def house(tmp_path: Path, pool: VerifierPool) -> AsyncIterator[House]:
    async with homes(tmp_path, pool, "north", rules=2) as (north,):
        await north.do("cia", "resource.add", name="Drill", number="1")
        await north.do("cia", "resource.photo.add", resource="1", file=File("d.jpg", PHOTO))
        home = Home(tmp_path / "home")
        home.create()
        NodeKey(home.node_key).add({"network": bytes(32)})
        database = await open_database(home.path / "node.db", NODE_SCHEMA)
        await NodeStore(database).add_realm(north.realm.realm, 1)
        await database.close()
        queue = jobs_of(home.path)
        definitions.define(queue, Job("chore", "handler"))
        definitions.pause(queue, "chore", paused=True)
        queue.close()
        (home.path / "agents").mkdir(mode=0o700)
        name = f"{hashlib.sha256(AGENT).hexdigest()}.agent"
        (home.path / "agents" / name).write_bytes(AGENT)
        yield House(north, home, tmp_path / "safe", tmp_path / "north.db", pool)


def bytes_of(home: Path) -> bytes:
    """The chunks of all photos of a home's only community."""
    (file,) = (home / "realms").glob("*.db")
    with closing(sqlite3.connect(file)) as opened:
        return b"".join(row[0] for row in opened.execute("SELECT bytes FROM chunks ORDER BY first"))


async def test_photos_jobs_and_agents_come_back(house: House, tmp_path: Path) -> None:
    made = await house.backup()
    assert made.left_out == ()
    folder, _, manifest = chosen(house.folder, SAFE)
    assert (await verify(folder, manifest, house.pool)).state_hash.values()
    home = tmp_path / "new"
    assert await house.restored(home) == 1
    assert bytes_of(home).endswith(strip("d.jpg", PHOTO).data), "the photo as it was signed"
    (kept,) = (home / "agents").iterdir()
    assert kept.read_bytes() == AGENT
    queue = jobs_of(home)
    assert list(definitions.defined(queue)) == ["chore"]
    assert queue.rows("SELECT job FROM jobs WHERE paused_ms IS NOT NULL") == [("chore",)]
    queue.close()


async def test_which_photos_are_in_it_is_chosen(house: House, tmp_path: Path) -> None:
    """Added here, all that are here, or none; where somebody else added it, it is not own."""
    found: dict[Parts, int] = {}
    chosen_first: tuple[Parts, ...] = ("own", "all", "none")
    for parts in chosen_first:
        await house.backup(parts)
        found[parts] = await house.restored(tmp_path / parts)
    assert found == {"own": 1, "all": 1, "none": 0}
    async with house.node.realm.store.database.transaction() as connection:
        await connection.execute("UPDATE large SET own = 0")
    for parts in chosen_first[:2]:
        await house.backup(parts)
        found[parts] = await house.restored(tmp_path / f"other-{parts}")
    assert (found["own"], found["all"]) == (0, 1)


async def test_what_the_disk_has_changed_is_left_out_and_said(house: House) -> None:
    async with house.node.realm.store.database.transaction() as connection:
        row = await connection.execute_fetchall("SELECT bytes FROM chunks WHERE first = 0")
        ((data,),) = row
        changed = bytes([data[0] ^ 1]) + data[1:]
        await connection.execute("UPDATE chunks SET bytes = ? WHERE first = 0", (changed,))
    (file,) = (house.home.path / "agents").iterdir()
    file.write_bytes(AGENT[:-1] + b"?")
    gone: list[object] = []
    house.node.realm.parts.on_damage = gone.append
    made = await house.backup()
    said = [str(one) for one in made.left_out]
    assert len(said) == 2, said
    assert "photos that the disk has damaged: 1" in said[0]
    assert "package" in said[1]
    assert len(gone) == 1, "and it is wanted again"
    assert len(await house.node.realm.parts.lacking()) == 1
    folder, _, manifest = chosen(house.folder, SAFE)
    await verify(folder, manifest, house.pool)
    assert [one.path for one in manifest.files] == ["node.key", "node.db", "jobs.db"]


async def test_a_photo_that_was_changed_in_a_backup_is_found(house: House) -> None:
    """As backups of before had it, whose writer did not look."""
    await house.backup()
    folder, _, manifest = chosen(house.folder, SAFE)
    realm = manifest.realms[0]
    bad = replace(realm.parts[0], chunk=folder.put([b"x" * 100]))
    wrong = replace(manifest, realms=(replace(realm, parts=(bad,)),))
    with pytest.raises(BadBackup, match="photo"):
        await verify(folder, wrong, house.pool)


def test_a_folder_beside_the_node_is_told_from_one_on_another_disk(tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    assert same_disk(tmp_path / "stick", tmp_path), "as where a stick was not mounted"
    assert not same_disk(Path("/dev"), tmp_path)
