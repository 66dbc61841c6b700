"""The network over libp2p. The only package that imports libp2p or trio; importing it takes 0.6 s.

It carries frames and hints between authenticated nodes, and knows nothing of what they mean.
"""

from commons_protocol.libp2p_host.gate import Limits, RelayLimits
from commons_protocol.libp2p_host.identity import peer_id_of
from commons_protocol.libp2p_host.network import Libp2pNetwork

__all__ = ["Libp2pNetwork", "Limits", "RelayLimits", "peer_id_of"]
