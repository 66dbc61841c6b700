"""Addresses of nodes that are reached through a relay: how they are written, and read.

`/ip4/203.0.113.5/tcp/4001/p2p/RELAY/p2p-circuit/p2p/PEER`: dial the relay, ask it for the peer
(libp2p circuit relay v2). The relay's own id may be missing. Codes that people carry have no room
for a peer id; where one was read the peer stands as the check that the code had, which is ours
alone: `…/p2p-circuit/check/HEX`. Text only: nothing here dials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from commons_crdt.texts import N_
from commons_protocol.names import peer_key
from commons_protocol.network import Address, PeerId, Unreachable

_CIRCUIT = "/p2p-circuit"
_REST = re.compile(r"/p2p/([1-9A-HJ-NP-Za-km-z]{1,64})\Z|/check/((?:[0-9a-f]{2}){10,16})\Z")
LONGEST = 200
"""Characters of an address in a message or a file (`wire.AddressText`)."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A way through a relay: ``relay`` is dialled, then either ``peer`` or ``check`` asked for."""

    relay: Address
    peer: PeerId | None
    check: bytes = b""


def is_relayed(address: str) -> bool:
    """Does this address lead through a relay?"""
    return _CIRCUIT in address


def split(address: Address) -> Circuit | None:
    """The parts of a relayed address, None for any other. Raises ``Unreachable`` if broken."""
    if not is_relayed(address):
        return None
    relay, _, rest = address.partition(_CIRCUIT)
    found = _REST.match(rest)
    if not relay or found is None:
        raise Unreachable(
            N_("{address!r} is not an address through a relay"), address=address[:LONGEST]
        )
    if found[2]:
        return Circuit(Address(relay), None, bytes.fromhex(found[2]))
    try:
        peer_key(PeerId(found[1]))
    except ValueError as error:
        raise Unreachable(
            N_("{address} names no node: {why}"), address=address, why=error
        ) from error
    return Circuit(Address(relay), PeerId(found[1]))


def through(relay: Address, peer: PeerId) -> Address | None:
    """``peer`` at a relay's address; None if that is too long to be passed on."""
    address = Address(f"{relay}{_CIRCUIT}/p2p/{peer}")
    return address if len(address) <= LONGEST else None


def by_check(relay: Address, check: bytes) -> Address:
    """The node of which only the check is known, at a relay's address."""
    return Address(f"{relay}{_CIRCUIT}/check/{check.hex()}")


def straight_first(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """The same addresses, those without a relay before the others."""
    return tuple(sorted(addresses, key=is_relayed))
