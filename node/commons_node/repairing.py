"""A damaged file is moved aside and made anew: of what still reads, and of what peers have.

Each file is looked at before it is opened, when SQLite meets damage in it, and its contents once
after each start and once a day; the job `integrity` compares what is shown with the operations.
What reads from a damaged file goes the way of a peer's operations, so nothing damaged is shown or
passed on. Where something could not be read, this node's own newest acts may be gone: it signs
nothing before it has met another node, as a copied home. Where hardly anything reads, what the
node's own file keeps of its standing (`NodeStore.standing`) is enough to ask others for the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId, RealmId
from commons_crdt.operation import Operation
from commons_crdt.texts import _, ngettext
from commons_node.jobs.carrying import NOTE, begun_anew
from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.said import Said, said
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_node.store.remaking import made_anew
from commons_node.store.salvage import Salvage, broken_page, changed_parts, fault_in, put_in_place

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.realm.realm import Realm
    from commons_node.store.large_parts import LargePart

log = structlog.get_logger(component="store")

_BATCH: Final = 256
_DAY_S: Final = 24 * 3600.0


class BeyondRepair(CommonsError):
    """The file {file} is damaged ({why}), and too little reads of it to ask other nodes for it."""

    code: ClassVar[str] = "database"
    hint: ClassVar[str] = (
        "move this home away and restore a backup: commons-node backup restore FILE; without one,"
        " join again from an empty home"
    )
    status = "failed"


class Mending(CommonsError):
    """The disk has damaged the file {file} of a community: it is being made anew."""

    code: ClassVar[str] = "database"
    hint: ClassVar[str] = "try again in a moment; commons-node status says what came of it"
    status = "failed"


@dataclass(frozen=True, slots=True)
class Repaired:
    """One file that was made anew: why, where the damaged one is, what came of it.

    ``bare``: so little read that only others can give it again; ``left``: it is what a lost
    machine left, of which nobody else has what did not read.
    """

    file: str
    why: Said
    aside: str
    taken: int
    refused: int
    lost: bool
    bare: bool = False
    left: bool = False

    def shown(self) -> dict[str, object]:
        """For ``status``."""
        return {
            "file": self.file,
            "why": str(self.why),
            "aside": self.aside,
            "operations": self.taken,
            "refused": self.refused,
            "lost": self.lost,
        }


class Repairs:
    """Belongs to one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        """Looks at nothing yet."""
        self._daemon = daemon
        self.done: list[Repaired] = []
        self.away: dict[RealmId, CommonsError] = {}
        """Realms that are shown to nobody now: they are being mended, or could not be."""
        self.photos = 0
        """Photos that the disk has changed, and that were let go."""
        self._suspected: set[RealmId | None] = set()
        self._jobs_suspected = False

    # -- before a file is opened ---------------------------------------------------------------

    async def node_file(self, path: Path) -> None:
        """See that the node's own file is sound, or make it anew of what reads."""
        if not (why := await asyncio.to_thread(broken_page, path)):
            return
        aside = await made_anew(path, NODE_SCHEMA)
        database = await open_database(path, NODE_SCHEMA)
        try:
            store = NodeStore(database)
            for file in sorted((path.parent / "realms").glob("*.db")):
                await store.add_realm(RealmId(bytes.fromhex(file.stem)), self._daemon.now_ms())
        finally:
            await database.close()
        self._note(Repaired(path.name, said("{why}", why=why), aside.name, 0, 0, lost=True))

    async def jobs_file(self, path: Path) -> None:
        """See that the file of jobs is sound, or make it anew of what reads."""
        if why := await asyncio.to_thread(broken_page, path):
            aside = await made_anew(path, JOBS_SCHEMA)
            # runs may be gone whose effects are kept, or whose letters have arrived
            store = self._daemon.store
            known = int(await store.setting(NOTE) or 0)
            await store.set(NOTE, str(await asyncio.to_thread(begun_anew, path, known)))
            self._note(Repaired(path.name, said("{why}", why=why), aside.name, 0, 0, lost=True))

    async def realm_file(self, realm: RealmId, path: Path) -> None:
        """See that a community's file is sound, or make it anew of what reads."""
        if why := await asyncio.to_thread(broken_page, path):
            await self._anew(realm, path, said("{why}", why=why))

    async def lost_file(self, realm: RealmId, path: Path) -> None:
        """As ``realm_file``, for what a lost machine left; its contents are compared as well.

        They are read once. Nothing is ever signed there, so nobody need be met before.
        """
        if (why := await asyncio.to_thread(fault_in, path)) is not None:
            await self._anew(realm, path, why, left=True)

    async def opened(self, realm: RealmId, opening: Awaitable[object]) -> None:
        """Open a realm at the start; one beyond repair stands aside, and the rest goes on."""
        try:
            await opening
        except BeyondRepair as error:
            self.away[realm] = error
            log.warning("stands_aside", realm=realm.hex()[:8], why=str(error))

    async def members(self) -> None:
        """Members whose keys are here, and whose community the node's own file forgot."""
        daemon = self._daemon
        known = await daemon.store.members()
        for name in daemon.keystore.members():
            member = MemberId(bytes.fromhex(name))
            for realm, community in daemon.communities.items():
                here = member in community.realm.judge.authority.identities
                if member not in known and here:
                    await daemon.store.add_member(member, realm)

    # -- while the node runs -------------------------------------------------------------------

    async def stay(self) -> None:
        """Look at the contents of every file, and again each day."""
        while True:
            for realm in self._open():
                await self.look(realm)
            await asyncio.sleep(_DAY_S)

    def _open(self) -> list[RealmId]:
        return [*self._daemon.communities, *self._daemon.own.held]

    def suspect(self, realm: RealmId | None = None) -> None:
        """SQLite has met damage in a file that is in use; None: in the node's own."""
        if realm not in self._suspected:
            self._suspected.add(realm)
            self._daemon.spawn(self._look_soon(realm))

    async def _look_soon(self, realm: RealmId | None) -> None:
        try:
            await (self._look_at_own_file() if realm is None else self.look(realm))
        finally:
            self._suspected.discard(realm)

    async def _look_at_own_file(self) -> None:
        database = self._daemon.store.database
        if not await asyncio.to_thread(broken_page, database.path):
            return
        await database.close()
        await self.node_file(database.path)
        database.swap(await open_database(database.path, NODE_SCHEMA))
        self._daemon.watch_damage(database, None)

    def suspect_jobs(self) -> None:
        """SQLite has met damage in the file of jobs."""
        if not self._jobs_suspected:
            self._jobs_suspected = True
            self._daemon.spawn(self._look_at_jobs())

    async def _look_at_jobs(self) -> None:
        scheduler = self._daemon.jobs.scheduler
        try:
            if await asyncio.to_thread(broken_page, scheduler.path):
                await scheduler.mended(lambda: self.jobs_file(scheduler.path))
                await self._daemon.agents.arrange()
        finally:
            self._jobs_suspected = False

    async def look(self, realm: RealmId) -> None:
        """Compare what one realm's file holds with the hashes that were signed."""
        if (held := self._held(realm)) is None:
            return
        path = held.store.database.path
        why = await asyncio.to_thread(fault_in, path)
        if why is None:
            await self._look_at_parts(held)
        elif self._held(realm) is held:
            await self.replace(realm, why)

    async def _look_at_parts(self, held: Realm) -> None:
        """Let go of photos that are not those that were signed; they are fetched again."""
        for n in await asyncio.to_thread(changed_parts, held.store.database.path):
            for part in await held.store.large.parts("l.n = ?", (n,)):
                await held.parts.checked(part, of_disk=True)

    def part_gone(self, realm: Realm, part: LargePart) -> None:
        """A photo was another one than was signed, and is let go."""
        self.photos += 1
        log.error("damaged_part", realm=realm.realm.hex()[:8], operation=part.operation.hex()[:8])
        self._daemon.parts.wake(realm)

    async def told(self, name: str, why: str, inode: int, *, parts: bool = False) -> None:
        """Somebody has looked at the file of this stem and ``inode``, and found it damaged.

        It may have been made anew since. ``parts``: only photos in it are.
        """
        if name == "node":
            self.suspect()
        if name == "jobs":
            self.suspect_jobs()
        for realm in self._open():
            held = self._held(realm)
            if realm.hex() != name or held is None or _inode(held) != inode:
                continue
            if parts:
                await self._look_at_parts(held)
            else:
                await self.replace(realm, said("{why}", why=why))

    async def replace(self, realm: RealmId, why: Said) -> None:
        """Make an open realm's file anew; until that is done nobody is shown anything of it."""
        daemon = self._daemon
        if (held := self._held(realm)) is None:
            return
        path = held.store.database.path
        own = daemon.own.held.pop(realm, None) is not None
        daemon.communities.pop(realm, None)
        self.away[realm] = Mending(file=path.name)
        await daemon.peering.let_go(realm)
        await held.close()
        try:
            await self._anew(realm, path, why)
        except CommonsError as error:
            self.away[realm] = error
            log.warning("not_repaired", file=path.name[:8], why=str(error))
            return
        await (daemon.own.open(realm) if own else daemon.reopen(realm))
        del self.away[realm]
        daemon.peering.refresh()
        daemon.spawn(daemon.learn_own_tips())

    def _held(self, realm: RealmId) -> Realm | None:
        community = self._daemon.communities.get(realm)
        return community.realm if community is not None else self._daemon.own.held.get(realm)

    async def _anew(self, realm: RealmId, path: Path, why: Said, *, left: bool = False) -> None:
        daemon = self._daemon
        log.error("damaged", file=path.name[:8], why=str(why))
        salvage = Salvage(path)
        fresh = path.with_name(f"{path.stem}.new")
        for tail in ("", "-wal", "-shm"):
            fresh.with_name(fresh.name + tail).unlink(missing_ok=True)
        made = await daemon.make_realm(realm, fresh)
        refused = 0
        try:
            each = salvage.operations()
            while batch := await asyncio.to_thread(_some, each):
                refused += sum((await made.ingest(batch, "repair")).refused.values())
            bare = not await made.store.outside.count() or not self._stands(made)
            if bare:
                await made.ingest(list(await daemon.store.standing(realm)), "repair")
            taken = await made.store.outside.count()
            if not taken or not self._stands(made):
                raise BeyondRepair(file=path.name, why=why)
        finally:
            await made.close()
        lost = salvage.lost or refused > 0 or bare
        if lost and not left:
            daemon.unsure()
        aside = await asyncio.to_thread(put_in_place, fresh, path)
        told = Repaired(path.name, why, aside.name, taken, refused, lost=lost, bare=bare, left=left)
        self._note(told)

    def _stands(self, made: Realm) -> bool:
        """Whether what was read says that this node is of the community: others ask for that."""
        own = self._daemon.standing.device(made.realm)
        return own is None or own.keys.id in made.judge.authority.devices

    def _note(self, repaired: Repaired) -> None:
        self.done.append(repaired)
        log.error("repaired", file=repaired.file[:8], kept=repaired.aside, lost=repaired.lost)
        self._daemon.events.publish("repaired", repaired.shown())

    def in_words(self) -> str | None:
        """What a person must know of it; None if nothing was repaired."""
        beyond = [one for one in self.away.values() if isinstance(one, BeyondRepair)]
        told = [f"{one} {one.way_out}" for one in beyond]
        if self.done and not beyond:
            told.append(_files(self.done))
        for one in self.done:
            if one.left and one.lost:
                text = _(
                    "What no longer reads of {file} was written on a lost machine for one member"
                    " alone: only the backup that this home was made of has it."
                )
                told.append(text.format(file=one.file))
            elif one.bare:
                text = _(
                    "Hardly anything of {file} read: all of it comes anew from other nodes. If"
                    " there is none that has it, restore a backup: commons-node backup restore"
                    " FILE."
                )
                told.append(text.format(file=one.file))
        if self.photos:
            told.append(
                ngettext(
                    "The disk has changed a photo of this node: it was let go, and is fetched again"
                    " from another node. Look after the disk.",
                    "The disk has changed {count} photos of this node: they were let go, and are"
                    " fetched again from other nodes. Look after the disk.",
                    self.photos,
                ).format(count=self.photos)
            )
        return " ".join(told) or None


def _files(done: Sequence[Repaired]) -> str:
    count = len(done)
    return ngettext(
        "The disk has damaged a file of this node: it was made anew of what still read, and"
        " what is missing comes from other nodes. The damaged one is kept as {kept}. Look after"
        " the disk, and make a backup.",
        "The disk has damaged {count} files of this node: they were made anew of what still"
        " read, and what is missing comes from other nodes. The damaged ones are kept as"
        " {kept}. Look after the disk, and make a backup.",
        count,
    ).format(count=count, kept=", ".join(one.aside for one in done))


def _inode(held: Realm) -> int:
    return held.store.database.path.stat().st_ino


def _some(each: Iterator[Operation]) -> list[Operation]:
    return list(islice(each, _BATCH))
