"""What the makers of bundles were last known to have: the only news of a node without a network."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.texts import _
from commons_node.realm.realm import Realm
from commons_node.store.database import fetch
from commons_node.store.upgrading import Unusable
from commons_protocol.bundles.gaps import Chain, count, lacking
from commons_protocol.ends import ChainEnd
from commons_protocol.parts import PartId

_END = struct.Struct(">32sBQ32sQQ32s")
_WANT = struct.Struct(">32s32s")
_COLUMNS = "device, node, created_ms, imported_ms"


@dataclass(frozen=True, slots=True)
class Maker:
    """A node that made a bundle, and when (ms UTC); ``node``: the id of its transport key."""

    device: DeviceId
    node: bytes
    created_ms: int
    imported_ms: int


async def remember(
    realm: Realm, maker: Maker, ends: Sequence[ChainEnd], wants: Sequence[PartId] | None
) -> None:
    """Note what a maker had, and which large parts it asked for, unless something newer is known.

    ``wants`` None: what it asked for was not read.
    """
    row = (maker.device, maker.node, maker.created_ms, maker.imported_ms, _packed(ends))
    newest = "SELECT 1 FROM carried WHERE device = ? AND created_ms > ?"

    async def write() -> None:
        async with realm.store.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO carried VALUES (?,?,?,?,?) ON CONFLICT (device) DO UPDATE SET"
                " node = excluded.node, created_ms = excluded.created_ms,"
                " imported_ms = excluded.imported_ms, ends = excluded.ends"
                " WHERE excluded.created_ms >= carried.created_ms",
                row,
            )
            newer = await fetch(connection, newest, (maker.device, maker.created_ms))
            if wants is not None and not newer:
                asked = b"".join(_WANT.pack(*one) for one in wants)
                await realm.store.set_setting(connection, _asked(maker.device), asked)

    await realm.as_one(write)


async def makers(realm: Realm) -> list[Maker]:
    """Everybody whose bundles came here, the latest first; this node's own device is none."""
    rows = await fetch(
        realm.store.database.read,
        f"SELECT {_COLUMNS} FROM carried ORDER BY created_ms DESC, device",  # noqa: S608 - own columns
    )
    own = realm.own_credential.device if realm.own_credential else b""
    return [Maker(DeviceId(row[0]), *row[1:]) for row in rows if row[0] != own]


async def ends_of(realm: Realm, device: bytes) -> list[ChainEnd]:
    """What a maker had, as its newest bundle says; nothing if none is known."""
    query = "SELECT ends FROM carried WHERE device = ?"
    rows = await fetch(realm.store.database.read, query, (device,))
    return _unpacked(rows[0][0]) if rows else []


async def wants_of(realm: Realm, device: bytes) -> set[PartId]:
    """The large parts that a maker had not, as its newest bundle says; none if none is known."""
    found = await realm.store.outside.setting(_asked(device)) or b""
    try:
        return {PartId(OperationId(one), hash_) for one, hash_ in _WANT.iter_unpack(found)}
    except struct.error as error:
        raise Unusable(file=_("of a realm"), why=_("what a bundle said is damaged")) from error


def _asked(device: bytes) -> str:
    return f"bundle_wants_{device.hex()}"


def ended(realm: Realm) -> list[Chain]:
    """Chains of which more may stand elsewhere than counts anywhere."""
    judge = realm.judge
    cut = [chain for chain in realm.memory.tips() if judge.end(*chain).seq is not None]
    return [*cut, *judge.forks]


async def missing_of(realm: Realm, device: bytes) -> int:
    """How many operations a maker had that are not here."""
    found = lacking(await ends_of(realm, device), realm.memory.tips(), ended(realm))
    return count(found)


def member_of(realm: Realm, device: bytes) -> MemberId | None:
    """Whose node it is."""
    grant = realm.judge.authority.devices.get(DeviceId(device))
    return grant.member if grant else None


def _packed(ends: Sequence[ChainEnd]) -> bytes:
    return b"".join(_END.pack(*end) for end in ends)


def _unpacked(data: bytes) -> list[ChainEnd]:
    try:
        rows = list(_END.iter_unpack(data))
    except struct.error as error:
        raise Unusable(file=_("of a realm"), why=_("what a bundle said is damaged")) from error
    return [
        ChainEnd(DeviceId(device), log, seq, OperationId(ident), fork, hollow, more)
        for device, log, seq, ident, fork, hollow, more in rows
    ]
