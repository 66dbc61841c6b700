"""Writing a bundle: everything that this node holds, or what somebody was last known to lack.

What is sent is what a peer could read, by the same pages, in the same causal order: log 0 first.
All of it is of one moment; the realm goes on meanwhile. One page and one chunk are in memory.
Photos and other large parts come behind all operations; see ``parts_out``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from commons_crdt.device import DeviceKeys
from commons_crdt.errors import CommonsError
from commons_crdt.ids import OperationId
from commons_crdt.operation import Operation
from commons_node.bundles import parts_out
from commons_node.realm.realm import Realm
from commons_node.store.database import fetch
from commons_node.store.paging import LOG_ONE
from commons_protocol.bundles.contents import MAX_FOR, Kind, Manifest
from commons_protocol.bundles.gaps import Chain, Ends, by_chain, ranges, starts
from commons_protocol.bundles.slots import Random
from commons_protocol.bundles.writer import Writer
from commons_protocol.ends import ChainEnd
from commons_protocol.parts import PartId
from commons_protocol.replica import Credential, Range

DAY_MS = 86_400_000
LIFETIME_MS = 180 * DAY_MS
"""How long a bundle is taken in without being asked twice, unless its maker says otherwise."""
SMALL_PARTS = 1024
"""Bytes of parts that travel with their operation; longer texts come behind all operations."""
_PAGE = 262_144
_IN = 500
Put = Callable[[bytes], Awaitable[object]]


class NotStanding(CommonsError):
    """This node may not speak for the community: its device does not stand there (any more)."""

    code = "not_standing"
    hint = "unlock a member on this node first: commons-node member unlock"
    status = "locked"


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall be in a bundle. ``for_ends``: the last known ends of those it is made for, by
    device; ``for_wants``: the large parts that they asked for. ``parts_up_to``: bytes of an
    operation's texts, or of one large part, beyond which they stay behind.
    """

    created_ms: int
    lifetime_ms: int = LIFETIME_MS
    since_ms: int = 0
    for_ends: Mapping[bytes, Sequence[ChainEnd]] | None = None
    for_wants: Set[PartId] = frozenset()
    parts_up_to: int | None = None


@dataclass(slots=True)
class Exported:
    """What a bundle holds: operations, devices that can open it, bytes of the file."""

    operations: int = 0
    devices: int = 0
    bytes: int = 0
    parts_left: int = 0
    """Operations whose texts stayed behind, and large parts that did."""
    large_parts: int = 0
    wanted: int = 0
    """Large parts that this node asks for in it."""
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class _Moment:
    ends: Sequence[ChainEnd]
    tips: Mapping[Chain, int]
    pin: OperationId | bytes
    maker: Credential
    keys: DeviceKeys
    recipients: Sequence[bytes]
    first: int | None
    """The number of the first operation of log 1 to send; None for all."""


async def export_bundle(
    realm: Realm, node: bytes, wish: Wish, put: Put, rng: Random = os.urandom
) -> Exported:
    """Give the file's bytes to ``put``, in order; ``node``: this node's id. ``NotStanding``."""
    moment = await realm.as_one(lambda: _moment(realm, wish.since_ms))
    made_for = sorted(wish.for_ends or ())[:MAX_FOR]
    manifest = Manifest(
        realm.realm, moment.pin, moment.keys, node, wish.created_ms,
        wish.created_ms + wish.lifetime_ms, wish.since_ms, tuple(made_for),
    )  # fmt: skip
    writer = Writer(manifest, moment.recipients, moment.maker.sign, rng)
    out = _Out(writer, put, Exported(devices=writer.devices, expires_ms=manifest.expires_ms))
    await out.put(writer.header)
    await out.put_all(writer.ends(moment.ends))
    wanted = await _wanted(realm, moment, wish.for_ends)
    large = 0
    for kind, log in ((Kind.ZERO, 0), (Kind.ONE, 1)):
        async for operation in _read(realm, wanted, log, moment.first):
            size = _size(operation)
            large += size > SMALL_PARTS
            await out.add(kind, _bare(operation) if size > SMALL_PARTS else operation)
            out.done.operations += 1
    for log in (0, 1) if large else ():
        async for operation in _read(realm, wanted, log, moment.first):
            await _parts(out, operation, wish.parts_up_to)
    await _behind(realm, out, moment, wanted, wish)
    return out.done


async def _behind(
    realm: Realm, out: _Out, moment: _Moment, sent: Sequence[Range], wish: Wish
) -> None:
    """The end, and behind it large parts: those that are asked for, and those that are here."""
    asks = await parts_out.lacking(realm)
    choice = await parts_out.choose(realm, sent, moment.first, wish.for_wants, wish.parts_up_to)
    out.done.parts_left += choice.left
    more = bool(asks or choice.parts)
    if more:
        (genesis,), _ = await realm.read((), None, _PAGE, [OperationId(realm.realm)])
        await out.put_all(out.writer.announce(genesis))
    await out.put_all(out.writer.end())
    if not more:
        return
    await out.put_all(out.writer.wanted(asks))
    for part in choice.parts:
        async for piece in parts_out.pieces(realm, part, out.whole):
            await out.put_all(out.writer.piece(piece))
    out.done.wanted = len(asks)
    await out.put_all(out.writer.last(len(asks), out.done.large_parts))


@dataclass(slots=True)
class _Out:
    """Where the bytes go."""

    writer: Writer
    _put: Put
    done: Exported

    async def put(self, data: bytes) -> None:
        await self._put(data)
        self.done.bytes += len(data)

    async def put_all(self, data: Iterable[bytes]) -> None:
        for one in data:
            await self.put(one)

    async def add(self, kind: Kind, operation: Operation) -> None:
        await self.put_all(self.writer.add(kind, operation))

    def whole(self) -> None:
        """A large part was written to its end."""
        self.done.large_parts += 1


async def _moment(realm: Realm, since_ms: int) -> _Moment:
    """All that must be of one moment; the caller has the realm."""
    maker = realm.own_credential
    authority = realm.judge.authority
    if maker is None or realm.node_keys(maker.device) is None:
        raise NotStanding
    standing = authority.standing_devices()
    return _Moment(
        realm.memory.ends.vector().ends,
        realm.memory.tips(),
        realm.judge.pin or realm.realm,
        maker,
        authority.devices[maker.device].keys,
        [grant.keys.sealing for grant in standing.values()],
        await _first_since(realm, since_ms) if since_ms else None,
    )


async def _first_since(realm: Realm, since_ms: int) -> int:
    """The number of the first operation that claims this time or a later one.

    What was stored before it is closed: numbers are a causal order. So what is left out is a
    beginning of all that is here, and nothing that is sent builds on a gap in what is sent.
    """
    query = (
        "SELECT min(o.n) FROM operations o JOIN chains c ON c.n = o.chain"
        " WHERE c.log = 1 AND o.time_ms >= ?"
    )
    ((first,),) = await fetch(realm.store.database.read, query, (since_ms,))
    return int(first) if first is not None else LOG_ONE - 1


async def _wanted(
    realm: Realm, moment: _Moment, for_ends: Mapping[bytes, Sequence[ChainEnd]] | None
) -> list[Range]:
    theirs: list[Ends] = [by_chain(ends) for ends in (for_ends or {}).values()]
    begin = starts(theirs, by_chain(moment.ends), moment.tips)
    doubtful = [start.after for start in begin.values() if start.after is not None]
    here: set[OperationId] = set()
    for at in range(0, len(doubtful), _IN):
        here.update(await realm.store.standings(doubtful[at : at + _IN]))
    return ranges(begin, moment.tips, here)


async def _read(
    realm: Realm, wanted: Sequence[Range], log: int, first: int | None
) -> AsyncIterator[Operation]:
    """The operations of one log, as a peer pages through them."""
    of_log = [one for one in wanted if one.log == log]
    after = LOG_ONE + first - 1 if log and first is not None else None
    while of_log:
        page, after = await realm.read(of_log, after, _PAGE)
        for operation in page:
            yield operation
        if after is None:
            return


def _size(operation: Operation) -> int:
    return sum(len(part or b"") for part in operation.parts)


def _bare(operation: Operation) -> Operation:
    absent = (None,) * len(operation.parts)
    return Operation(operation.header, operation.signature, operation.body, absent)


async def _parts(out: _Out, operation: Operation, most: int | None) -> None:
    """An operation again, for its large parts alone."""
    size = _size(operation)
    if size <= SMALL_PARTS:
        return
    if most is not None and size > most:
        out.done.parts_left += 1
        return
    parts = Operation(operation.header, operation.signature, None, operation.parts)
    await out.add(Kind.PARTS, parts)
