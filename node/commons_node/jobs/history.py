"""What stays of runs that have ended: logs, results, dead letters; and what goes in time."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from commons_node.jobs import windows
from commons_node.jobs.agent_effects import EXPIRES_MS
from commons_node.jobs.dealing import Refusal
from commons_node.jobs.queue import Queue
from commons_node.jobs.workers import LINES, Attempt

KEPT: Final = 200
"""Ended runs that stay of each job; and as many dead ones, until they are retried or cancelled."""
KEYS_MS: Final = 400 * 86_400_000
"""How long the key of an effect is remembered, longer than anything is retried; and receipts."""
KEYS: Final = 10_000
"""Keys that are remembered of each job, the newest."""
_LETTERS: Final = 1_000
"""Letters that have arrived, and are still known; and as many that never will."""
_FEW: Final = 1_000
"""Receipts and samples that stay of a job that has stored too much."""


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


def forget_ended(file: sqlite3.Connection, job: str, kept: int) -> None:
    """The oldest runs of a job: so many that have ended stay, and as many dead ones."""
    for states in ("'done', 'cancelled'", "'dead'"):
        gone = file.execute(
            f"SELECT run FROM runs WHERE job = ? AND state IN ({states})"  # noqa: S608 - our own words
            " ORDER BY run DESC LIMIT -1 OFFSET ?",
            (job, kept),
        ).fetchall()
        for table in ("logs", "refusals", "runs"):
            file.executemany(f"DELETE FROM {table} WHERE run = ?", gone)  # noqa: S608 - our own names


def forget_said(file: sqlite3.Connection, job: str, now: int) -> None:
    """What a job has said and noted and nobody waits for: letters, proposals, figures, receipts."""
    file.execute("DELETE FROM outbox WHERE job = ? AND state <> 'ready'", (job,))
    file.execute(
        "DELETE FROM proposals WHERE job = ? AND (state NOT IN ('open', 'signing')"
        " OR (state = 'open' AND at_ms < ?))",
        (job, now - EXPIRES_MS),
    )
    file.execute("DELETE FROM proposed WHERE proposal NOT IN (SELECT proposal FROM proposals)")
    for table, order in (("samples", "at_ms"), ("receipts", "began_ms")):
        file.execute(
            f"DELETE FROM {table} WHERE job = ?1 AND {order} <= (SELECT {order} FROM {table}"  # noqa: S608 - our own names
            f" WHERE job = ?1 ORDER BY {order} DESC LIMIT 1 OFFSET ?2)",
            (job, _FEW),
        )


def _forget_keys(file: sqlite3.Connection, before: int) -> None:
    """Old keys, and those of each job beyond the newest; never one whose letter or proposal waits.

    What has come of a key goes with it, so that the key can come again: nothing stands twice under
    one key.
    """
    file.execute(
        "DELETE FROM effects WHERE (at_ms < ? OR (job, operation) IN (SELECT job, operation FROM"
        " (SELECT job, operation, row_number() OVER (PARTITION BY job ORDER BY at_ms DESC) AS n"
        " FROM effects) WHERE n > ?))"
        " AND (job, operation) NOT IN (SELECT job, operation FROM outbox WHERE state = 'ready')"
        " AND (job, operation) NOT IN (SELECT job, operation FROM proposals"
        " WHERE state IN ('open', 'signing'))",
        (before, KEYS),
    )
    for table in ("outbox", "proposals"):
        file.execute(
            f"DELETE FROM {table} WHERE (job, operation) NOT IN"  # noqa: S608 - our own names
            " (SELECT job, operation FROM effects)"
        )


def tidy(queue: Queue) -> int:
    """Forget what is old; how many runs went."""
    with queue.transaction() as file:
        gone = file.execute(
            "DELETE FROM runs WHERE run IN (SELECT run FROM (SELECT run, row_number() OVER"
            " (PARTITION BY job, state = 'dead' ORDER BY run DESC) AS n FROM runs"
            " WHERE state IN ('done', 'cancelled', 'dead')) WHERE n > ?)",
            (KEPT,),
        ).rowcount
        for table in ("logs", "refusals"):
            file.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT run FROM runs)")  # noqa: S608 - our own names
        old = queue.now() - KEYS_MS
        file.execute("DELETE FROM receipts WHERE ended_ms < ?", (old,))
        file.execute(
            "DELETE FROM proposals WHERE state = 'open' AND at_ms < ?", (old - EXPIRES_MS,)
        )
        _forget_keys(file, old)
        file.execute("DELETE FROM proposed WHERE proposal NOT IN (SELECT proposal FROM proposals)")
        windows.tidy(queue, file)
        for state in ("sent", "dead"):
            file.execute(
                "DELETE FROM outbox WHERE letter IN (SELECT letter FROM outbox WHERE state = ?"
                " ORDER BY letter DESC LIMIT -1 OFFSET ?)",
                (state, _LETTERS),
            )
    return int(gone)
