"""How often an agent has called a method, kept over restarts.

Uses are taken from the file some at a time, so that a rate of thousands costs no commit a call;
what was taken and not used when the node dies is lost to the agent, never won.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from commons_node.agents import quantities
from commons_node.capabilities.refusals import OverRate
from commons_node.jobs import windows
from commons_node.jobs.desk import Desk
from commons_node.jobs.queue import Queue

_SHARE: Final = 50
"""A fiftieth of a rate is taken at once, one at least."""


class Rates:
    """One for a node."""

    def __init__(self, desk: Desk, boot: Callable[[], int]) -> None:
        """``desk`` is the file of jobs; ``boot`` as its queue's, in milliseconds."""
        self._desk = desk
        self._boot = boot
        self._one = asyncio.Lock()
        self._taken: dict[str, tuple[int, int]] = {}
        """Uses that are left of what was taken, and until when."""

    async def use(self, agent: str, method: str, rate: str) -> None:
        """One call. Raises ``OverRate``."""
        most, seconds = quantities.rate(rate)
        name, length = f"rate/{agent}/{method}/{seconds}", seconds * 1000

        def work(queue: Queue) -> tuple[int, int]:
            """How many were taken, perhaps none, and for how long the window is open."""
            found = windows.look(queue, name, length)
            some = min(max(most // _SHARE, 1), most - found.used)
            if some > 0:
                with queue.transaction() as file:
                    windows.take(queue, file, name, some, length)
            return some, found.left_ms

        async with self._one:
            left, until = self._taken.get(name, (0, 0))
            if not left or self._boot() >= until:
                left, open_ms = await self._desk.call(work)
                if left <= 0:
                    raise OverRate(method=method, rate=rate, seconds=-(-open_ms // 1000))
                until = self._boot() + open_ms
            self._taken[name] = (left - 1, until)
