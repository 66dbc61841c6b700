"""What of a job waits for somebody beside its runs: letters, proposals, and who signs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from commons_crdt.texts import _
from commons_node.jobs.catalogue import reason
from commons_node.jobs.queue import Queue
from commons_node.moments import moment, on_the_clock


def undelivered(queue: Queue, job: str) -> list[dict[str, Any]]:
    """Letters of a job that have not arrived: where to, how often tried, why not, when again."""
    rows = queue.rows(
        "SELECT kind, state, attempts, error, not_before_ms FROM outbox"
        " WHERE job = ? AND state <> 'sent' AND attempts > 0 ORDER BY letter DESC LIMIT 20",
        job,
    )
    return [
        {"to": kind.removeprefix("driver:"), "state": state, "attempts": tried, "error": error,
         "again": moment(again) if state == "ready" else None, "again_ms": again}
        for kind, state, tried, error, again in rows
    ]  # fmt: skip


def resend(queue: Queue, job: str) -> int:
    """Send again now what has not arrived, as if for the first time; how many letters."""
    with queue.transaction() as file:
        done = file.execute(
            "UPDATE outbox SET state = 'ready', attempts = 0, not_before_ms = ?, delay_ms = 0"
            " WHERE job = ? AND (state = 'dead' OR state = 'ready' AND attempts > 0)",
            (queue.now(), job),
        )
    return done.rowcount


def of_letters(
    letters: Sequence[Mapping[str, Any]], job: str, zone: ZoneInfo
) -> list[dict[str, str]]:
    """A sentence for each way and state, of the newest letter; ``letters`` as ``undelivered``."""
    by: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in letters:
        by.setdefault((one["to"], one["state"]), []).append(one)
    return [
        reason(
            "late" if state == "ready" else "lost", job=job, to=to, count=len(found),
            attempts=found[0]["attempts"], error=found[0]["error"],
            next=on_the_clock(min(one["again_ms"] for one in found), zone),
        )
        for (to, state), found in by.items()
    ]  # fmt: skip


def in_words(rows: Sequence[Mapping[str, str]]) -> str | None:
    """All of them below each other, each with what to do; None for nothing."""
    return "\n\n".join(_("{sentence}\nnext: {next_action}").format(**row) for row in rows) or None
