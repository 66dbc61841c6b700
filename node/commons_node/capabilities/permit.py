"""What a host lets one agent do just now; asked for at every call, so that less is less at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from commons_node.agents.manifest import AgentLimits, Grant


@dataclass(frozen=True, slots=True)
class Permit:
    """``granted`` by method: what was asked for and approved. ``package``: the hash of the code.

    ``publisher``: hex of the key that signed it; ``version`` as people write it.
    """

    granted: Mapping[str, Grant]
    package: bytes = b""
    version: str = ""
    publisher: str = ""
    limits: AgentLimits = field(default_factory=AgentLimits)
