"""What this node carries for others, out of its settings."""

from __future__ import annotations

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
