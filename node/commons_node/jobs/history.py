"""What stays of runs that have ended: logs, results, dead letters; and what goes in time."""

from __future__ import annotations

from typing import Final

from commons_node.jobs.queue import Queue
from commons_node.jobs.workers import LINES, Attempt

KEPT: Final = 200
"""Ended runs that stay of each job; dead letters stay until they are retried or cancelled."""
_EFFECTS_MS: Final = 400 * 86_400_000
"""How long the key of an effect is remembered: longer than anything is retried."""
_LETTERS: Final = 1_000
"""Letters that have arrived, and are still known."""


def flush(queue: Queue, run: int, attempt: Attempt) -> None:
    """Write down the lines of an attempt that are not yet; the last ``LINES`` of a run stay."""
    lines = []
    while attempt.lines:
        lines.append(attempt.lines.popleft())  # the loop goes on adding meanwhile
    if not lines:
        return
    now = queue.now()
    with queue.transaction() as file:
        file.executemany(
            "INSERT INTO logs (run, at_ms, text) VALUES (?,?,?)", [(run, now, t) for t in lines]
        )
        file.execute(
            "DELETE FROM logs WHERE run = ? AND line <= (SELECT line FROM logs WHERE run = ?"
            " ORDER BY line DESC LIMIT 1 OFFSET ?)",
            (run, run, LINES),
        )


def tidy(queue: Queue) -> int:
    """Forget what is old; how many runs went."""
    with queue.transaction() as file:
        gone = file.execute(
            "DELETE FROM runs WHERE run IN (SELECT run FROM (SELECT run, row_number() OVER"
            " (PARTITION BY job ORDER BY run DESC) AS n FROM runs"
            " WHERE state IN ('done', 'cancelled')) WHERE n > ?)",
            (KEPT,),
        ).rowcount
        file.execute("DELETE FROM logs WHERE run NOT IN (SELECT run FROM runs)")
        file.execute("DELETE FROM effects WHERE at_ms < ?", (queue.now() - _EFFECTS_MS,))
        file.execute(
            "DELETE FROM outbox WHERE letter IN (SELECT letter FROM outbox WHERE state = 'sent'"
            " ORDER BY letter DESC LIMIT -1 OFFSET ?)",
            (_LETTERS,),
        )
    return int(gone)
