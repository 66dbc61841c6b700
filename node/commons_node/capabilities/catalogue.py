"""All methods that an agent may call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from commons_node.capabilities import (
    coding,
    fetching,
    modelling,
    plain,
    proposing,
    querying,
    storing,
    telling,
)
from commons_node.capabilities.capability import Capability

_MODULES: Final = (querying, proposing, telling, storing, fetching, modelling, plain, coding)
CAPABILITIES: Final[Mapping[str, Capability]] = {
    one.name: one for module in _MODULES for one in module.CAPABILITIES
}
"""By name, in the order of the reference."""
