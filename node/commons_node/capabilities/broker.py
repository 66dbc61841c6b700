"""The broker: every call of an agent is checked here, each time anew, and answered or refused.

In order: whether there is such a method, whether it is granted now, whether the run has credits
left, its parameters, its rate; then the capability itself checks collection, filter, fields and
rows; then the size of the answer. What is refused has a code, and stands in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from commons_crdt.errors import CommonsError
from commons_node.agents.manifest import AgentLimits, Grant
from commons_node.capabilities.capability import Calling, Capability, bounded
from commons_node.capabilities.catalogue import CAPABILITIES
from commons_node.capabilities.inside import Inside
from commons_node.capabilities.permit import Permit
from commons_node.capabilities.rates import Rates
from commons_node.capabilities.refusals import (
    BadParameters,
    Fault,
    NoMethod,
    NotGranted,
    OverBudget,
)
from commons_node.jobs.dealing import Ending, Refusal
from commons_node.jobs.effects import Effect
from commons_node.jobs.frames import Failed, Start
from commons_node.jobs.job import BESIDE_MIB
from commons_node.jobs.lease import Lease
from commons_node.jobs.metering import CREDIT, TARIFF, Spent
from commons_node.jobs.workers import Attempt

MOST_ANSWER: Final = 900 << 10
"""Bytes of one answer: it goes in one frame."""
_FREE: Final = Grant()
_MIB: Final = 1 << 20

log = structlog.get_logger(component="agents")


class AgentDealing:
    """One for each attempt of an agent's run; see ``Dealing``."""

    def __init__(
        self,
        inside: Inside,
        rates: Rates,
        permit: Callable[[], Permit | None],
        lease: Lease,
        attempt: Attempt,
    ) -> None:
        """``permit`` says what the host lets the agent do now; None: nothing."""
        now, limits = permit(), lease.job.limits
        self._permit = permit
        self._rates = rates
        self._calling = Calling(
            inside, lease, attempt, str(lease.job.agent), now or Permit(granted={})
        )
        self.refused: dict[tuple[str, str], Refusal] = {}
        self.calls = 0
        self.cost = 0
        """Of calls, in thousandths of a credit."""
        self._paid = TARIFF.pays(lease.reserved, limits.memory_mib + BESIDE_MIB, limits.wall_s)
        attempt.most_fuel = self._paid.fuel

    @property
    def effects(self) -> list[Effect]:
        """What its calls want to be so."""
        return self._calling.effects

    def spent(self, ended: Ending | None) -> Spent:
        """What it took: of a worker that speaks no more, its fuel is not known."""
        attempt, limits = self._calling.attempt, self._calling.lease.job.limits
        if ended is None:
            memory = limits.memory_mib * attempt.wall_ms
            return Spent(attempt.fuel or None, memory, self.calls, self.cost)
        mib = -(-ended.memory // _MIB)
        return Spent(
            ended.fuel, mib * attempt.wall_ms, self.calls, self.cost, ended.runner, ended.engine
        )

    def within(self, start: Start) -> Start:
        """No more fuel and no more time than its credits pay for."""
        wall = min(start.limits.wall_s, self._paid.wall_s)
        return msgspec.structs.replace(
            start,
            limits=msgspec.structs.replace(start.limits, wall_s=wall),
            given={**start.given, "fuel": min(self._asked, self._paid.fuel)},
        )

    @property
    def _asked(self) -> int:
        """Fuel, of its own limits."""
        return int(str(self._calling.lease.job.given.get("fuel", AgentLimits().fuel)))

    def ending(self, ended: Ending) -> Ending:
        """What its credits have ended says so."""
        if not isinstance(ended, Failed):
            return ended
        attempt, lease = self._calling.attempt, self._calling.lease
        fuel = ended.code == "fuel" and (attempt.most_fuel or 0) < self._asked
        late = ended.code == "timeout" and self._paid.wall_s < lease.job.limits.wall_s
        if not fuel and not late:
            return ended
        used = min(TARIFF.cost(self.spent(ended)), lease.reserved)
        told = OverBudget(most=lease.reserved / CREDIT, used=f"{used / CREDIT:g}")
        return msgspec.structs.replace(ended, code=told.code, error=str(told), again=False)

    async def answer(self, method: str, params: dict[str, Any], /) -> object:
        """See the module. Raises ``CommonsError`` to refuse."""
        try:
            return await self._answer(method, params)
        except CommonsError as error:
            self._note(method, error)
            raise
        except Exception as error:  # a fault of ours is the call's, and never the node's
            log.exception("capability_failed", method=method, agent=self._calling.agent)
            fault = Fault(method=method, why=type(error).__name__)
            self._note(method, fault)
            raise fault from error

    def _note(self, method: str, error: CommonsError) -> None:
        known = method if method in CAPABILITIES else "?"
        found = self.refused.setdefault((known, error.code), Refusal(str(error)[:500]))
        found.count += 1
        if found.count == 1:  # each reason once: who asks a million times fills no log
            self._calling.attempt.lines.append(f"refused {known} ({error.code}): {error}"[:2_000])

    async def _answer(self, method: str, params: dict[str, Any]) -> object:
        capability = CAPABILITIES.get(method)
        if capability is None:
            raise NoMethod(method=ascii(method[:40]))
        calling = self._calling
        grant = self._granted(capability)
        self._afford(capability)
        try:
            given = msgspec.convert(params, capability.params)
        except (msgspec.ValidationError, RecursionError) as error:
            raise BadParameters(method=method, why=error) from None
        if grant.rate is not None and not calling.dry:
            await self._rates.use(calling.agent, method, grant.rate)
        wanted = len(calling.effects)
        value = await capability.run(calling, grant, given)
        try:
            bounded(method, value, min(grant.max_bytes or MOST_ANSWER, MOST_ANSWER))
        except CommonsError:
            del calling.effects[wanted:]
            raise
        self.cost += capability.cost
        calling.attempt.most_fuel = max(self._paid.fuel - TARIFF.fuel(self.cost), 0)
        return value

    def _granted(self, capability: Capability) -> Grant:
        """The grant as it is now. Raises ``NotGranted``."""
        permit = self._permit()
        if permit is None:
            raise NotGranted(method=capability.name, why="the agent is paused, or was removed")
        if permit.package != self._calling.permit.package:
            raise NotGranted(method=capability.name, why="the agent was replaced meanwhile")
        self._calling.permit = permit
        if capability.free:
            return _FREE
        grant = permit.granted.get(capability.name)
        if grant is None:
            raise NotGranted(method=capability.name, why="the host has not granted it")
        return grant

    def _afford(self, capability: Capability) -> None:
        """Calls are refused beyond what the run may cost. Raises ``OverBudget``."""
        self.calls += 1
        most = self._calling.lease.reserved
        used = TARIFF.cost(self.spent(None))
        if used + capability.cost > most:
            raise OverBudget(most=most / CREDIT, used=f"{used / CREDIT:g}")


__all__ = ["AgentDealing"]
