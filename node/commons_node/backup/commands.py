"""``backup create``: the verb, and the same for the schedule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_, _
from commons_node.backup import state as states
from commons_node.backup.writing import Made, Parts, Source, create
from commons_node.realm.realm import Realm
from commons_node.registry import Command, Count, Registry, Request, folder, option, passphrase
from commons_node.said import Said, of_error, said
from commons_node.service.veils import refuse_veiled
from commons_node.store.database import Damaged
from commons_node.store.salvage import fault_in
from commons_node.whole_file import CannotWrite

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_PROGRESS_S = 0.2
_ALL = 1 << 20
_AWAY = N_("the community {file}, whose file is damaged; all older backups are kept")
_MADE = N_(
    "{operations} operations of {realms} communities are in {file}; {bytes} bytes of it are new."
    " Check it: commons-node backup verify FILE"
)
_MADE_BESIDE = N_(
    "{operations} operations of {realms} communities are in {file}; {bytes} bytes of it are new."
    " Check it: commons-node backup verify FILE\nIt is on the same disk as {same_disk}: what"
    " breaks one breaks both. Make one on another disk or stick, too."
)
_MADE_WITHOUT = N_(
    "{operations} operations of {realms} communities are in {file}; {bytes} bytes of it are new."
    " Not in it: {left_out}. Check it: commons-node backup verify FILE"
)
_DAMAGED = N_("the file {file} of a lost machine is damaged ({why})")
_TWICE = N_("what only the file {file} of a lost machine has, until its member has unlocked")


class Create(msgspec.Struct):
    """Arguments of ``backup create``."""

    folder: Annotated[str, folder("the folder of the backups; a new one is made")]
    passphrase: Annotated[str, passphrase("Passphrase of the backups", new=True)]
    keep: Annotated[
        Count, option("how many backups stay in the folder; older ones are deleted")
    ] = 7
    parts: Annotated[Parts, option("which photos: added here, all that are here, or none")] = "own"


async def run_create(request: Request[Daemon], args: Create) -> Mapping[str, object]:
    """Write one more backup of this node into a folder."""
    path = checked_folder(args.folder)
    home = request.node.home.path
    made = await backed_up(request.node, path, args.passphrase, keep=args.keep, parts=args.parts)
    return {
        "file": str(made.path),
        "realms": made.realms,
        "operations": made.operations,
        "bytes": made.written,
        "deleted": made.let_go,
        "state_hash": made.state_hash or None,
        "left_out": "; ".join(map(str, made.left_out)) or None,
        "same_disk": str(home) if await asyncio.to_thread(same_disk, path, home) else None,
    }


def same_disk(one: Path, other: Path) -> bool:
    """Whether two folders are in one file system, as when a stick was not mounted."""
    return one.stat().st_dev == other.stat().st_dev


async def backed_up(daemon: Daemon, path: Path, phrase: str, *, keep: int, parts: Parts) -> Made:
    """One more backup, and a note of how that went. Raises what ``create`` raises, ``Veiled``."""
    refuse_veiled(path, write=True)
    found = await states.load(daemon.store)
    found.tried_ms = daemon.now_ms()
    try:
        async with AsyncExitStack() as opened_here:
            own, left_out = await _own(daemon, opened_here)
            away = [said(_AWAY, file=one.hex()[:8]) for one in daemon.repairs.away]
            source = Source(
                daemon.home,
                daemon.node,
                daemon.addresses,
                [community.realm for community in daemon.communities.values()],
                daemon.now_ms(),
                own,
                [*away, *left_out],
            )
            keep = _ALL if away else keep  # no older one goes that may be the only one with it
            tell = _progress(daemon)
            made = await create(source, path, phrase, keep=keep, parts=parts, tell=tell)
    except (CommonsError, OSError) as error:
        if isinstance(error, Damaged):  # whichever it was: each is looked at before it is mended
            daemon.repairs.suspect()
            daemon.repairs.suspect_jobs()
        found.failed = of_error(error)
        await _noted(daemon, found)
        daemon.events.publish("backup", {"what": "failed", "detail": str(error)})
        raise
    found.last_ms, found.place, found.failed = found.tried_ms, str(path), None
    found.operations, found.written = made.operations, made.written
    found.left_out = made.left_out
    await _noted(daemon, found)
    daemon.events.publish("backup", {"what": "made", "detail": made.path.name})
    return made


async def _own(daemon: Daemon, opened_here: AsyncExitStack) -> tuple[list[Realm], list[Said]]:
    """Members' own realms, and those of a lost machine that nobody has taken up; what is not."""
    own = {one.realm: one for one in daemon.own.replicas()}
    live = set(own)
    left_out = []
    for realm, file in daemon.own.lost.files().items():
        if realm in live:  # two of one name: what only the lost one has is written into this one
            left_out.append(said(_TWICE, file=file.name[:8]))
        elif realm in daemon.repairs.away:
            continue  # said with the others that stand aside
        elif why := await asyncio.to_thread(fault_in, file):
            left_out.append(said(_DAMAGED, file=file.name[:8], why=why))
        else:
            own[realm] = await daemon.make_realm(realm, file)
            opened_here.push_async_callback(own[realm].close)
    return list(own.values()), left_out


async def _noted(daemon: Daemon, found: states.BackupState) -> None:
    """The disk that is full may be this one, too: the note is not worth a failure."""
    try:
        await states.save(daemon.store, found)
    except Exception as error:
        daemon.events.publish("backup", {"what": "unnoted", "detail": str(error)})


def _progress(daemon: Daemon) -> Callable[[int], None]:
    last = 0.0

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_S:
            last = now
            daemon.events.publish("backup", {"what": "bytes", "bytes": done, "total": None})

    return tell


def checked_folder(folder: str) -> Path:
    """The path of a folder that backups may go to; ``CannotWrite``."""
    path = Path(folder)
    if not path.is_absolute():
        raise CannotWrite(file=folder, why=_("it is no absolute path of a folder"))
    return path


REGISTRY = Registry(
    commands=(
        Command("backup.create", "Write a sealed backup of this node into a folder.", Create,
                run_create, timeout_s=3600.0, progress="backup",
                says=(_MADE_WITHOUT, _MADE_BESIDE, _MADE)),
    ),
    nouns={"backup": "copies of this node, sealed with a passphrase"},
)  # fmt: skip
