"""`driver list`: what stands about on this node for agents, and what is lacking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from commons_node.registry import Column, Reading, Registry, Request, Table, View

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class Nothing(msgspec.Struct):
    """No arguments."""


async def list_drivers(request: Request[Daemon], _args: Nothing) -> Reading:
    """As config.toml has them."""
    capabilities = request.node.jobs.capabilities
    return Reading(
        {"drivers": capabilities.drivers.rows(), "models": list(capabilities.models.names)}
    )


REGISTRY = Registry(
    views=(
        View("driver.list", "What stands about on this node for agents.", Nothing, list_drivers,
             table=Table("drivers", (Column("driver", "Driver"), Column("kind", "Kind"),
                                     Column("state", "State"), Column("summary", "What it does"),
                                     Column("why", "Why not"), Column("next_action", "Next")),
                         "None: see drivers in config.toml.")),
    ),
    nouns={"driver": "printers, notifiers and sensors that agents may use"},
)  # fmt: skip
