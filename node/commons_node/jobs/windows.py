"""How much of something was used in a span of time: rates of calls, and budgets of credits.

A window begins with the first use and lasts its length. While the node runs, time is what its clock
since the machine's start says, so that no change of the wall clock opens a window early or holds
it open; while the node was off it is what the wall clock says, and never less than nothing.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from commons_node.jobs.queue import Queue

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Window:
    """What is used of the window that is open now, and for how long it still is."""

    used: int
    passed_ms: int
    left_ms: int


def look(queue: Queue, name: str, length_ms: int) -> Window:
    """The window of a name as it is now; an empty one where none is open."""
    rows = queue.rows(
        "SELECT used, passed_ms, at_ms, boot_ms, term FROM windows WHERE name = ?", name
    )
    if not rows:
        return Window(0, 0, length_ms)
    used, passed, at, boot, term = rows[0]
    since = queue.boot() - boot if term == queue.term else queue.now() - at
    passed += max(since, 0)
    if passed >= length_ms:
        return Window(0, 0, length_ms)
    return Window(used, passed, length_ms - passed)


def take(queue: Queue, file: sqlite3.Connection, name: str, amount: int, length_ms: int) -> Window:
    """Use so much more, or give so much back; within the caller's transaction."""
    found = look(queue, name, length_ms)
    used = max(found.used + amount, 0)
    file.execute(
        "INSERT OR REPLACE INTO windows VALUES (?,?,?,?,?,?)",
        (name, used, found.passed_ms, queue.now(), queue.boot(), queue.term),
    )
    return Window(used, found.passed_ms, found.left_ms)


def tidy(queue: Queue, file: sqlite3.Connection) -> None:
    """Forget windows that nobody has touched for so long that none of them is open."""
    file.execute(
        "DELETE FROM windows WHERE at_ms < ? AND term <> ?", (queue.now() - 8 * DAY_MS, queue.term)
    )
