"""What stays of runs that have ended: logs, results, dead letters; and what goes in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from commons_node.jobs import windows
from commons_node.jobs.agent_effects import EXPIRES_MS
from commons_node.jobs.dealing import Refusal
from commons_node.jobs.queue import Queue
from commons_node.jobs.workers import LINES, Attempt

KEPT: Final = 200
"""Ended runs that stay of each job; dead letters stay until they are retried or cancelled."""
_EFFECTS_MS: Final = 400 * 86_400_000
"""How long the key of an effect is remembered, longer than anything is retried; and receipts."""
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


def note_refusals(queue: Queue, run: int, refused: Mapping[tuple[str, str], Refusal]) -> None:
    """What an attempt was refused, and how often; of a run the last attempt is told."""
    if not refused:
        return
    with queue.transaction() as file:
        file.execute("DELETE FROM refusals WHERE run = ?", (run,))
        file.executemany(
            "INSERT INTO refusals VALUES (?,?,?,?,?)",
            [(run, method, code, one.text, one.count) for (method, code), one in refused.items()],
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
        for table in ("logs", "refusals"):
            file.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT run FROM runs)")  # noqa: S608 - our own names
        old = queue.now() - _EFFECTS_MS
        file.execute("DELETE FROM effects WHERE at_ms < ?", (old,))
        file.execute("DELETE FROM receipts WHERE ended_ms < ?", (old,))
        file.execute("DELETE FROM proposals WHERE state <> 'open' AND ended_ms < ?", (old,))
        file.execute(
            "DELETE FROM proposals WHERE state = 'open' AND at_ms < ?", (old - EXPIRES_MS,)
        )
        file.execute("DELETE FROM proposed WHERE proposal NOT IN (SELECT proposal FROM proposals)")
        windows.tidy(queue, file)
        file.execute(
            "DELETE FROM outbox WHERE letter IN (SELECT letter FROM outbox WHERE state = 'sent'"
            " ORDER BY letter DESC LIMIT -1 OFFSET ?)",
            (_LETTERS,),
        )
    return int(gone)
