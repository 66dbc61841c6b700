"""Where this node listens and what it carries for others, out of its settings."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from commons_node.config import Config
from commons_node.peering.types import MakeNetwork
from commons_protocol.libp2p_host import Libp2pNetwork, RelayLimits
from commons_protocol.network import Address, Refusals


def network_of(
    config: Config, seed: bytes, listen: Sequence[Address], refusals: Refusals
) -> MakeNetwork:
    """libp2p at these addresses, with this node's transport key; a relay, if it is to be one."""
    relay = carried(config)
    return lambda handlers, on_event: Libp2pNetwork(
        seed, listen, handlers, on_event, refusals, relay=relay
    )


def carried(config: Config) -> RelayLimits | None:
    """What this node carries for others; None if it is no relay."""
    if not config.relay:
        return None
    return RelayLimits(
        reservations=config.relay_reservations,
        circuits=config.relay_circuits,
        circuit_bytes=config.relay_megabytes << 20,
        circuit_s=60.0 * config.relay_minutes,
    )


def at_port(wanted: Sequence[str], port: str | None) -> list[Address]:
    """The addresses with the port of last time in the place of 0, where that is still free."""
    asked = [Address(one) for one in wanted]
    if port is None:
        return asked
    kept = [Address(one.replace("/tcp/0", f"/tcp/{port}")) for one in asked]
    return kept if all(a == b or is_free(b) for a, b in zip(asked, kept, strict=True)) else asked


def is_free(address: str) -> bool:
    """Whether a TCP address, as a multiaddr, can be listened on now."""
    _, family, host, _, port, *_ = address.split("/")
    with socket.socket(socket.AF_INET6 if family == "ip6" else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True
