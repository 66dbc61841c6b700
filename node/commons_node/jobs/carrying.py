"""The file of jobs as a backup carries it over to another machine: what was decided, kept and done.

Nothing in it is under way. A run that had not ended may have been ended by the lost machine, and a
letter that waited may have been sent by it: so the first come over as cancelled, for whoever wants
one tried again, and the second do not come over at all. Keys of effects do, so that what was done
before the backup is not done again; a new run has a number that the lost machine gave to none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from commons_node.jobs.queue import BEFORE
from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.store.upgrading import migrate

LEFT: Final[Mapping[str, str]] = {
    "outbox": "a letter of before is never sent again",
    "triggers": "a schedule begins anew: the lost machine may have done what fell due since",
    "logs": "what programs said; a result stands with its run",
}
"""Tables that do not come over, and why; every other one does."""
LEAP: Final = 1_000_000
"""More runs than the lost machine can have begun after the backup."""
NOTE: Final = "jobs_before"
"""Of the node's setting that has what ``begun_anew`` said last."""
_ENDED: Final = "it had not ended when the backup was made"
_OPEN: Final = "state IN ('ready', 'waiting', 'leased')"


def carried(source: Path, target: Path, now_ms: int) -> None:
    """Write to ``target`` what a backup carries of the file of jobs, as of one moment.

    Raises sqlite3.Error, OSError.
    """
    whole = target.with_name(f"{target.name}.whole")
    try:
        with closing(sqlite3.connect(source, timeout=10)) as file:
            file.execute("VACUUM INTO ?", (str(whole),))
        with closing(sqlite3.connect(whole, isolation_level=None)) as file:
            file.execute("BEGIN")
            _quiet(file, now_ms)
            for table in LEFT:
                file.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            file.execute("COMMIT")
            file.execute("VACUUM INTO ?", (str(target),))  # what was deleted stands in no free page
    finally:
        whole.unlink(missing_ok=True)


def _quiet(file: sqlite3.Connection, now_ms: int) -> None:
    """Nothing is under way any more."""
    file.execute(
        f"UPDATE runs SET state = 'cancelled', fence = fence + 1, ended_ms = ?, term = NULL,"  # noqa: S608 - our own words
        f" lease_ms = NULL, code = 'cancelled', error = ? WHERE {_OPEN}",
        (now_ms, _ENDED),
    )
    file.execute("UPDATE jobs SET running = 0")
    # taken back since, perhaps, at the machine that is lost
    file.execute(
        "UPDATE policies SET ended_ms = ?, ended = 'restored' WHERE ended_ms IS NULL", (now_ms,)
    )
    file.execute(
        "UPDATE receipts SET ended_ms = ?, how = 'lost', cost = reserved WHERE cost IS NULL",
        (now_ms,),
    )
    # signed, perhaps, and not known to be: whoever restores this could sign it a second time
    file.execute(
        "UPDATE proposals SET state = 'dropped', ended_ms = ?, error = ? WHERE state = 'signing'",
        (now_ms, _ENDED),
    )


def begun_anew(path: Path, known: int = 0) -> int:
    """See that no run of this file gets a number that another one may have had; the first but one.

    Operations of effects and keys of letters have it in them. ``known``: what this said last of a
    file that may have forgotten its numbers. Raises sqlite3.Error.
    """
    migrate(path, JOBS_SCHEMA)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        given = [
            file.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
            for table, column in (
                ("runs", "run"), ("effects", "run"), ("receipts", "run"), ("proposals", "run"),
                (f"counts WHERE name = '{BEFORE}'", "value"),
            )
        ]  # fmt: skip
        before = max(known, *map(int, given)) + LEAP
        file.execute("INSERT OR REPLACE INTO counts VALUES (?, ?)", (BEFORE, before))
    return before
