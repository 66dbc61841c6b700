"""The broker at home in a daemon: what it sees of it, and the drivers and models of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commons_crdt.ids import RealmId
from commons_node.capabilities.broker import AgentDealing
from commons_node.capabilities.inside import Inside
from commons_node.capabilities.permit import Permit
from commons_node.capabilities.proposing import proposable
from commons_node.capabilities.rates import Rates
from commons_node.capabilities.telling import may_notify, may_use
from commons_node.drivers.driver import Around
from commons_node.drivers.held import Drivers
from commons_node.jobs.around import Around as Surroundings
from commons_node.jobs.desk import Desk
from commons_node.jobs.lease import Lease
from commons_node.jobs.outbox import Letter
from commons_node.jobs.workers import Attempt
from commons_node.models.held import Models
from commons_node.registry import Registry, Request
from commons_node.web import Web

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

REMOVED: Final = "its agent was removed"
"""Why a letter was dropped."""


class Capabilities:
    """One for a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        """Touches no device and starts nothing. Raises ``BadConfig``."""
        config = daemon.config
        self._daemon = daemon
        self.web = Web()
        self.drivers = Drivers(config.drivers, Around(self.web, daemon.home.path))
        self.models = Models(config.models, config.models_memory_mib)
        self._inside: Inside
        self._rates: Rates

    def start(self, registry: Registry, desk: Desk, around: Surroundings) -> None:
        """The verbs of this node, and the file of its jobs."""
        self._rates = Rates(desk, around.boot)
        self._inside = Inside(
            registry=registry,
            acts=proposable(registry),
            request=lambda community: Request(self._daemon, community=community),
            desk=desk,
            drivers=self.drivers,
            models=self.models,
            web=self.web if self._daemon.config.agents_http else None,
            code=lambda package: self._daemon.agents.code(package.hex()),
            now_ms=self._daemon.now_ms,
            zone=around.zone,
            name_of=self._name_of,
        )

    async def _name_of(self, principal: str) -> str:
        community = self._daemon.communities.get(RealmId(bytes.fromhex(principal)))
        return await community.name() if community is not None else principal[:8]

    async def stop(self) -> None:
        """End the models."""
        await self.models.stop()

    def dealing(self, lease: Lease, attempt: Attempt) -> AgentDealing:
        """What an attempt at a run of an agent may do."""
        agent = str(lease.job.agent)
        return AgentDealing(self._inside, self._rates, lambda: self._permit(agent), lease, attempt)

    def refuse(self, letter: Letter) -> str | None:
        """Why a letter of an agent never leaves: it, or its driver, was taken away meanwhile."""
        kind, _, driver = letter.to.partition(":")
        if kind != "driver":  # the node's own
            return None
        found = [one for one in self._daemon.agents.all() if one.job == letter.job]
        if not found:
            return REMOVED
        tells, sends = map(found[0].granted.get, ("notify.send", "driver.send"))
        if any(may_use(grant, driver) for grant in (tells, sends) if grant is not None):
            return None
        if tells is not None and may_notify(tells, driver) and self.drivers.notifies(driver):
            return None
        return f"the host has taken back the driver {driver}"

    def _permit(self, agent: str) -> Permit | None:
        """What the host lets an agent do now; None if it may do nothing."""
        found = self._daemon.agents.installed(agent)
        if found is None or found.state == "suspended":
            return None
        return Permit(
            found.granted, bytes.fromhex(found.package), found.manifest.version,
            found.manifest.publisher, found.limits,
        )  # fmt: skip
