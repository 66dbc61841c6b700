"""Letters to the outside: delivered at least once, each with the same key every time.

A letter is written in the transaction that completes its run, so none is lost and none is sent for
a run that failed. Between sending and noting that it was sent the node may die: then it is sent
again, and whoever receives it knows it by its key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import msgspec
import structlog

from commons_node.jobs.backoff import delay_ms
from commons_node.jobs.desk import Desk
from commons_node.jobs.job import Retry
from commons_node.jobs.queue import Queue

RETRY: Final = Retry(attempts=20, base_s=5.0, cap_s=6 * 3600.0)
_AT_ONCE: Final = 32
STATES: Final = ("ready", "sent", "dead")
"""Of a letter."""

log = structlog.get_logger(component="jobs")


@dataclass(frozen=True, slots=True)
class Letter:
    """``key`` is ``job/operation``."""

    number: int
    key: str
    to: str
    body: Mapping[str, Any]
    attempts: int


Deliver = Callable[[Letter], Awaitable[None]]
"""Sends one, and returns when it has arrived. Raises anything when it has not."""


def waiting(queue: Queue) -> list[Letter]:
    """Letters that may be sent now, the oldest first."""
    rows = queue.rows(
        "SELECT letter, job, operation, kind, body, attempts FROM outbox WHERE state = 'ready'"
        " AND (not_before_ms <= ?1 OR not_before_ms > ?1 + delay_ms) ORDER BY letter LIMIT ?2",
        queue.now(), _AT_ONCE,
    )  # fmt: skip
    return [
        Letter(number, f"{job}/{operation}", kind, msgspec.json.decode(body), attempts)
        for number, job, operation, kind, body, attempts in rows
    ]


def sent(queue: Queue, letter: Letter) -> None:
    """It has arrived."""
    with queue.transaction() as file:
        file.execute("UPDATE outbox SET state = 'sent' WHERE letter = ?", (letter.number,))


def unsent(queue: Queue, letter: Letter, error: str, rng: Random) -> str:
    """It has not: the state now, ``ready`` for later or ``dead``."""
    attempts = letter.attempts + 1
    state = "ready" if attempts < RETRY.attempts else "dead"
    wait = delay_ms(RETRY, attempts, rng)
    with queue.transaction() as file:
        file.execute(
            "UPDATE outbox SET state = ?, attempts = ?, not_before_ms = ?, delay_ms = ?, error = ?"
            " WHERE letter = ?",
            (state, attempts, queue.now() + wait, wait, error[:500], letter.number),
        )
    return state


class Outbox:
    """Sends what waits; one at a time, in order."""

    def __init__(self, desk: Desk, ways: Mapping[str, Deliver], rng: Random) -> None:
        """``ways``: how a letter goes, by where ``to``."""
        self._desk = desk
        self._ways = ways
        self._rng = rng
        self.sent = 0

    async def empty(self) -> int:
        """Send what may be sent now; how many have arrived."""
        arrived = 0
        for letter in await self._desk.call(waiting):
            try:
                way = self._ways.get(letter.to)
                if way is None:
                    raise LookupError(f"there is no way to {letter.to!r}")
                await way(letter)
            except Exception as error:  # a driver's fault is the letter's, and no other's
                told = f"{type(error).__name__}: {error}"
                log.warning("letter_not_sent", key=letter.key, to=letter.to, why=told)
                await self._desk.call(lambda q, one=letter, t=told: unsent(q, one, t, self._rng))  # type: ignore[misc]  # defaults bind the loop's values
            else:
                await self._desk.call(lambda q, one=letter: sent(q, one))  # type: ignore[misc]  # likewise
                arrived += 1
        self.sent += arrived
        return arrived
