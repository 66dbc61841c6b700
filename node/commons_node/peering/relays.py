"""The relays that this node has a place at, so that others reach it behind its router.

Each is asked by itself, and asked again; when one takes us, or no longer does, the others hear of
the new addresses. A relay is nobody's peer: it is not in the book and no sync goes to it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.peering.types import RelayBook
from commons_protocol.circuit import is_relayed, through
from commons_protocol.network import (
    Address,
    Blocked,
    NetworkError,
    PeerId,
    RelayRefuses,
    Reservation,
)
from commons_protocol.reserving import Phase, Reserving

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

MOST = 4
"""Relays of one node: each is a connection that stands for ever, and an address in each message."""


class UnknownRelay(CommonsError):
    """This node uses no relay {relay}."""

    code = "relay"
    hint = "`commons-node peer relay list` shows those that it uses."
    status = "not_found"


class TooManyRelays(CommonsError):
    """This node uses {count} relays, and more would not help."""

    code = "relays"
    hint = "`commons-node peer relay drop ADDRESS` leaves one."
    status = "failed"


class NoRelayAddress(CommonsError):
    """{address} is not the address of a relay: {why}."""

    code = "address"
    hint = "Ask who runs it: /ip4/…/tcp/…/p2p/… or /dns/…/tcp/…/p2p/…"
    status = "usage"


@dataclass(frozen=True, slots=True)
class RelayState:
    """One line of ``peer relay list``. ``limits``: of one connection through it; 0: none."""

    address: Address
    phase: Phase
    reason: str
    next_action: str
    until_ms: int | None
    circuit_bytes: int
    circuit_s: float


@dataclass(slots=True)
class _Kept:
    address: Address
    place: Reserving = field(default_factory=Reserving)
    got: Reservation | None = None
    kicked: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    first: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first answer is there, whatever it is."""


class Relays:
    """Owned by peering. All methods run in the daemon's loop."""

    def __init__(self, peering: Peering, book: RelayBook) -> None:
        """``start`` must follow."""
        self._peering = peering
        self._book = book
        self._kept: dict[Address, _Kept] = {}

    async def start(self) -> None:
        """Ask those that the book has."""
        for address in await self._book.load_relays():
            self._keep(address)

    def all(self) -> tuple[RelayState, ...]:
        """How each of them is."""
        return tuple(self._state(kept) for kept in self._kept.values())

    def addresses(self) -> tuple[Address, ...]:
        """Where others reach this node through them now."""
        found = (
            through(kept.address, self._peering.peer)
            for kept in self._kept.values()
            if kept.place.here and kept.got is not None
        )
        return tuple(address for address in found if address is not None)

    def peers(self) -> frozenset[PeerId]:
        """Where this node has a place; it would be lost with the connection."""
        return frozenset(kept.got.relay for kept in self._kept.values() if kept.got is not None)

    def to(self, peer: PeerId) -> tuple[Address, ...]:
        """Where another node is, should it have a place at one of the same relays."""
        found = (
            through(kept.address, peer)
            for kept in self._kept.values()
            if kept.place.here and kept.got is not None and kept.got.relay != peer
        )
        return tuple(address for address in found if address is not None)

    async def add(self, address: Address, seconds: float) -> RelayState:
        """Use a relay from now on; what came of the first question within ``seconds``.

        Raises ``NoRelayAddress``, ``TooManyRelays``.
        """
        if is_relayed(address) or through(address, self._peering.peer) is None:
            why = (
                _("it leads through a relay itself") if is_relayed(address) else _("it is too long")
            )
            raise NoRelayAddress(address=address[:200], why=why)
        known = self._find(address)
        if known is None:
            if len(self._kept) >= MOST:
                raise TooManyRelays(count=len(self._kept))
            known = self._keep(address)
            await self._save()
        try:
            async with asyncio.timeout(seconds):
                await known.first.wait()
        except TimeoutError:
            pass
        return self._state(known)

    async def drop(self, given: str) -> Address:
        """Use a relay no more: by its address or by 8 or more characters of it."""
        found = [kept for kept in self._kept.values() if len(given) >= 8 and given in kept.address]
        if len(found) != 1:
            raise UnknownRelay(relay=given[:200])
        kept = found[0]
        del self._kept[kept.address]
        await self._save()
        if kept.task is not None:
            kept.task.cancel()
        if kept.got is not None:
            await self._leave(kept.got.relay)
        self._peering.moved()
        return kept.address

    async def _leave(self, relay: PeerId) -> None:
        network = self._peering.network
        try:
            await network.release(relay)
            if relay not in self._peering.talks.ways:
                await network.disconnect(relay)
        except NetworkError:
            return  # with the network its place has gone as well

    def gone(self, peer: PeerId) -> None:
        """The last connection with somebody has ended."""
        for kept in self._kept.values():
            if kept.got is not None and kept.got.relay == peer and kept.place.here:
                kept.place.lost(self._now(), random.random())  # noqa: S311 - jitter, no secret
                kept.kicked.set()
                self._peering.moved()

    def wake(self) -> None:
        """Another network: ask all of them."""
        for kept in self._kept.values():
            kept.place.kick()
            kept.kicked.set()

    # --- one relay ---

    def _find(self, address: Address) -> _Kept | None:
        """The one that is meant, with or without its peer id."""
        bare = address.partition("/p2p/")[0]
        for known, kept in self._kept.items():
            if known == address or known.partition("/p2p/")[0] == bare:
                return kept
        return None

    def _keep(self, address: Address) -> _Kept:
        kept = self._kept[address] = _Kept(address)
        kept.task = self._peering.spawn(self._run(kept), "keep a place at a relay")
        return kept

    async def _run(self, kept: _Kept) -> None:
        while True:
            try:
                async with asyncio.timeout(kept.place.wait(self._now()) / 1000):
                    await kept.kicked.wait()
                kept.kicked.clear()
                continue
            except TimeoutError:
                pass
            here = kept.place.here
            kept.place.ask()
            await self._ask(kept)
            kept.first.set()
            if kept.place.here != here:
                self._peering.moved()

    async def _ask(self, kept: _Kept) -> None:
        network, seconds = self._peering.network, self._peering.settings.dial_timeout
        chance = random.random()  # noqa: S311 - jitter, no secret
        try:
            got = await network.reserve(kept.address, seconds)
        except (RelayRefuses, Blocked) as error:
            kept.place.failed(self._now(), "refused", error.reason or str(error), chance)
        except NetworkError as error:
            kept.place.failed(self._now(), "unreachable", error.reason or str(error), chance)
        else:
            kept.got = got
            if got.relay not in network.peers():
                kept.place.failed(self._now(), "unreachable", _("the connection has gone"), chance)
                return
            kept.place.granted(self._now(), got.seconds, chance)
            await self._named(kept, got.relay)

    async def _named(self, kept: _Kept, relay: PeerId) -> None:
        """Who answered at an address without a name: from now on nobody else may."""
        if "/p2p/" in kept.address or self._kept.get(kept.address) is not kept:
            return
        full = Address(f"{kept.address}/p2p/{relay}")
        self._kept = {(full if a == kept.address else a): k for a, k in self._kept.items()}
        kept.address = full
        await self._save()

    def _state(self, kept: _Kept) -> RelayState:
        place, got = kept.place, kept.got if kept.place.here else None
        left = place.until - self._now() if place.until is not None else None
        return RelayState(
            kept.address,
            place.phase,
            place.reason,
            place.next_action,
            self._peering.clock.now() + left if left is not None else None,
            got.circuit_bytes if got is not None else 0,
            got.circuit_s if got is not None else 0.0,
        )

    async def _save(self) -> None:
        addresses: Sequence[Address] = tuple(self._kept)
        await self._book.save_relays(addresses)

    def _now(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)
