"""What capabilities see of the node: this, and nothing else of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from commons_node.agents.manifest import Manifest
from commons_node.jobs.desk import Desk
from commons_node.registry import Command, Registry, Request

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from commons_node.daemon import Daemon
    from commons_node.drivers.held import Drivers
    from commons_node.models.held import Models
    from commons_node.web import Web


class Code(Protocol):
    """A package of an agent, its hash checked."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def files(self) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class Inside:
    """``request`` asks in the name of nobody, in the community of the principal that is given.

    ``acts``: the commands that may be proposed, by name.
    """

    registry: Registry
    acts: Mapping[str, Command]
    request: Callable[[str], Request[Daemon]]
    desk: Desk
    drivers: Drivers
    models: Models
    web: Web | None
    """None: this host lets no agent ask the internet."""
    code: Callable[[bytes], Code]
    now_ms: Callable[[], int]
    zone: Callable[[], ZoneInfo]
    name_of: Callable[[str], Awaitable[str]]
    """What a principal, a community, is called."""
