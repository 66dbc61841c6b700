"""What the node and one attempt have to do with each other: calls, effects, refusals, what it took.

The node's own duties say in their own frames what they want; of an agent no such word is believed:
its effects are what the broker has made of its calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from commons_node.jobs import frames
from commons_node.jobs.effects import Effect
from commons_node.jobs.metering import Spent
from commons_node.jobs.workers import Broker, nothing

Ending = frames.Done | frames.Failed


@dataclass(slots=True)
class Refusal:
    """One reason for which calls of one method were refused, and how often."""

    text: str
    count: int = 0


class Dealing(Protocol):
    """One for each attempt."""

    @property
    def effects(self) -> Sequence[Effect] | None:
        """What its calls want to be so; None: the worker says it itself."""
        ...

    @property
    def refused(self) -> Mapping[tuple[str, str], Refusal]:
        """By method and code."""
        ...

    async def answer(self, method: str, params: dict[str, Any], /) -> object:
        """See ``Broker``."""
        ...

    def within(self, start: frames.Start) -> frames.Start:
        """What the worker is told: no more than is paid for."""
        ...

    def ending(self, ended: Ending) -> Ending:
        """How it ended, where the node knows better than its worker."""
        ...

    def spent(self, ended: Ending | None) -> Spent | None:
        """What it took up to now, or to its end; None where nothing is charged."""
        ...


@dataclass(slots=True)
class OwnDuty:
    """Of the node's own jobs: believed, and free of charge."""

    broker: Broker = nothing
    effects: Sequence[Effect] | None = None
    refused: Mapping[tuple[str, str], Refusal] = field(default_factory=dict)

    async def answer(self, method: str, params: dict[str, Any], /) -> object:
        """See ``Dealing``."""
        return await self.broker(method, params)

    def within(self, start: frames.Start) -> frames.Start:
        """See ``Dealing``."""
        return start

    def ending(self, ended: Ending) -> Ending:
        """See ``Dealing``."""
        return ended

    def spent(self, _ended: Ending | None) -> Spent | None:
        """See ``Dealing``."""
        return None


def believed(
    dealing: Dealing, said: Sequence[Effect], ended: Ending
) -> tuple[Ending, list[Effect]]:
    """How the attempt ends, and its effects: one that spoke for itself and may not has failed."""
    if dealing.effects is None:
        return ended, list(said)
    if said and isinstance(ended, frames.Done):
        told = "an agent's worker wanted effects that no call was granted for"
        ended = frames.Failed("bad_frame", told, False, ended.cpu_ms, ended.memory)
    return dealing.ending(ended), list(dealing.effects)
