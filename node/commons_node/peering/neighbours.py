"""The LAN: show the beacon, read those of others, and tell peering where members' nodes are."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from commons_node.peering.types import Lan
from commons_protocol import beacon
from commons_protocol.names import peer_key, peer_of_key
from commons_protocol.network import Address

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering
    from commons_protocol.lan.found import FoundPeer

_log = logging.getLogger(__name__)


class Neighbours:
    """Does nothing without a ``Lan``."""

    def __init__(self, peering: Peering, lan: Lan | None, interfaces: Sequence[str] | None) -> None:
        """``start`` must follow."""
        self._peering = peering
        self._lan = lan
        self._interfaces = interfaces
        self._started = False
        self._heard: list[FoundPeer] = []

    async def start(self) -> None:
        """Show this node; a LAN that does not work is only logged."""
        ports = re.findall(r"/tcp/([0-9]+)", " ".join(self._peering.bound))
        if self._lan is None or not ports:
            return
        try:
            await self._lan.start(
                self._interfaces,
                int(ports[0]),
                self._record,
                self._found,
            )
            self._started = True
        except Exception:
            _log.exception("the LAN beacon does not work")

    async def stop(self) -> None:
        """Show nothing any more."""
        if self._lan is not None and self._started:
            await self._lan.stop()

    def changed(self) -> None:
        """Realms or epochs are others than before: a new record, and a new look at old ones."""
        if self._lan is None or not self._started:
            return
        self._peering.spawn(self._lan.rotate(), "rotate the LAN beacon")
        for found in tuple(self._heard):
            self._found(found)

    def _keys(self) -> list[bytes]:
        newest, older = [], []
        for replica in self._peering.replicas():
            keys = [key for _, key in replica.epochs()]
            newest += keys[:1]
            older += keys[1:]
        return newest + older

    def _record(self) -> Mapping[str, bytes]:
        return beacon.show(self._keys(), peer_key(self._peering.peer), secrets.token_bytes)

    def _found(self, found: FoundPeer) -> None:
        self._heard = [*[f for f in self._heard if f != found][-63:], found]
        for key in beacon.read(found.txt, self._keys()):
            peer = peer_of_key(key)
            self._peering.acquaintance.found(
                peer,
                tuple(
                    Address(f"/ip{6 if ':' in ip else 4}/{ip}/tcp/{found.port}/p2p/{peer}")
                    for ip in found.addresses
                ),
            )
