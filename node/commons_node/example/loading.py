"""Loading the example street into a node, and taking it away again."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId, RealmId
from commons_node.community import Community
from commons_node.example.memory import DAY_MS
from commons_node.example.past import LOADING, Past
from commons_node.example.people import FOUNDER, PASSPHRASE, STREET
from commons_node.example.year import live
from commons_node.registry import Request

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="example")
_SETTING = "example"
_OWN_SETTING = "example-own"
"""Where its people's own realms are noted: they are nobody's, so that this gives nobody away."""
_GONE = ("", "-wal", "-shm")


class ThereAlready(CommonsError):
    """The example street is on this node already."""

    code: ClassVar[str] = "exists"
    hint: ClassVar[str] = "commons-node example remove"


class NoExample(CommonsError):
    """There is no example street on this node."""

    code: ClassVar[str] = "unknown"
    hint: ClassVar[str] = "commons-node example load"
    status = "not_found"


async def load(request: Request[Daemon], seed: int, days: int) -> Mapping[str, object]:
    """Live the year, then take the community in as if it had always been here."""
    daemon = request.node
    if await _loaded(daemon) is not None:
        raise ThereAlready
    _sweep(daemon)
    began, busy = time.monotonic(), time.process_time()
    past = Past(daemon, daemon.now_ms() - days * DAY_MS)

    def tell(day: int) -> None:
        daemon.events.publish("example", {"done": day + 1, "total": days})

    try:
        year = await live(past, seed, days, tell)
        community = await past.community(request)
        operations = sum((await past.see(None, "community.hash"))["operations"].values())
        members = len(community.realm.judge.authority.members())
        founder = await community.member(FOUNDER)
    except BaseException:
        await past.close()
        await _forget_keys(daemon, past.members)
        _sweep(daemon)
        raise
    await past.close()
    await _take_in(daemon, past, community)
    session = request.session or daemon.sessions.new()
    session.unlock(await daemon.keystore.unlock(founder.hex(), PASSPHRASE))
    return {
        "community": community.id,
        "name": STREET,
        "member": founder.hex(),
        "member_name": FOUNDER,
        "passphrase": PASSPHRASE,
        "members": members,
        "things": len(year.things),
        "loans": year.loans,
        "checkins": year.checkins,
        "operations": operations,
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(time.process_time() - busy, 2),
        "session": session.token,
    }


async def _take_in(daemon: Daemon, past: Past, community: Community) -> None:
    """The file gets its name, and the daemon opens it with the clock of everybody."""
    assert past.path is not None
    realm = community.realm.realm
    target = past.path.with_name(past.path.name.removesuffix(LOADING))
    await asyncio.to_thread(os.replace, past.path, target)
    await daemon.store.set(_SETTING, realm.hex())
    await daemon.store.set(_OWN_SETTING, " ".join(sorted(one.hex() for one in past.own.held)))
    await daemon.own.adopt(past.own)
    for member in past.members:
        await daemon.store.add_member(member, realm)
    await daemon.store.add_realm(realm, daemon.now_ms())
    await daemon.reopen(realm)
    daemon.signing.fresh(realm)  # no other node has ever had these keys
    daemon.peering.refresh()
    log.info("example_loaded", community=realm.hex()[:8])


async def remove(daemon: Daemon) -> Mapping[str, object]:
    """Take the example away: its file, its people's keys, every trace in the node's own file."""
    realm = await _loaded(daemon)
    if realm is None:
        raise NoExample
    members = [one for one, of in (await daemon.store.members()).items() if of == realm]
    community = daemon.communities.pop(realm, None)
    if community is not None:
        await daemon.peering.let_go(realm)
        await daemon.forget(community)
    await daemon.store.forget_realm(realm)
    await daemon.store.set(_SETTING, "")
    for one in (await daemon.store.setting(_OWN_SETTING) or "").split():
        await daemon.own.forget(RealmId(bytes.fromhex(one)))
    await daemon.store.set(_OWN_SETTING, "")
    await _forget_keys(daemon, members)
    file = daemon.home.path / "realms" / f"{realm.hex()}.db"
    for ending in _GONE:
        file.with_name(file.name + ending).unlink(missing_ok=True)
    daemon.peering.refresh()
    return {"community": realm.hex(), "name": STREET, "members": len(members)}


async def _loaded(daemon: Daemon) -> RealmId | None:
    text = await daemon.store.setting(_SETTING)
    realm = RealmId(bytes.fromhex(text)) if text else None
    return realm if realm in await daemon.store.realms() else None


async def _forget_keys(daemon: Daemon, members: list[MemberId]) -> None:
    for member in members:
        await daemon.keystore.remove(member.hex())


def _sweep(daemon: Daemon) -> None:
    """Take away what a load that was interrupted left."""
    for file in (daemon.home.path / "realms").glob(f"*.db{LOADING}*"):
        file.unlink(missing_ok=True)
    shutil.rmtree(daemon.home.path / f"own{LOADING}", ignore_errors=True)
