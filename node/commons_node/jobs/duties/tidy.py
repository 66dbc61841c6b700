"""Give back what the databases hold and nobody needs: logs of writing, free pages, old statistics.

Deletes nothing of anybody's: what old runs of jobs leave behind is forgotten by the scheduler.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from commons_node.databases import files
from commons_node.home import Home
from commons_node.jobs.handler import Host

_FREE = 0.25
"""The part of the file of jobs that is free before it is written anew, smaller."""
_PATIENCE_S = 5.0


def run(host: Host) -> dict[str, int]:
    """Each file in turn; one that is in use is left for the next time."""
    home = Home(Path(str(host.given["home"])))
    before = after = 0
    for path, _schema in files(home):
        before += _size(path)
        try:
            _tidy(path, whole=path.name == "jobs.db")
        except sqlite3.Error as error:
            host.log(f"{path.name}: left as it is: {error}")
        after += _size(path)
    host.log(f"bytes before {before}, after {after}")
    return {"bytes": after, "given_back": max(before - after, 0)}


def _tidy(path: Path, *, whole: bool) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE_S)) as file:
        file.execute("PRAGMA optimize")
        ((pages,),) = file.execute("PRAGMA page_count").fetchall()
        ((free,),) = file.execute("PRAGMA freelist_count").fetchall()
        if whole and free > pages * _FREE:
            file.execute("VACUUM")
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _size(path: Path) -> int:
    both = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in both if file.exists())
