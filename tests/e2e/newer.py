"""A node of a version to come: this program, with two more steps of one kind of its files.

One of the steps takes its time, by the disk and then by the processor, so that a test can end the
node within it on any machine. Run as
``python -m tests.e2e.newer run …``, in place of ``python -m commons_node``. The environment says
of which kind, ``FILES`` (realm, node or jobs), and how long it takes, ``ROWS``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

ROWS = 60_000
_SLOW = (
    "CREATE TABLE slow (n INTEGER PRIMARY KEY, text BLOB);"
    " INSERT INTO slow SELECT value, zeroblob(2000) FROM"
    " (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < {rows})"
    " SELECT value FROM c); DELETE FROM slow;"
    " INSERT INTO later SELECT count(*) FROM"
    " (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c"
    " WHERE value < 50 * {rows}) SELECT value FROM c)"
)


def later(schema: Sequence[str], rows: int = ROWS) -> tuple[str, ...]:
    """A schema with steps that a later version may have; the last one takes its time."""
    return (*schema, "CREATE TABLE later (n INTEGER)", _SLOW.format(rows=rows))


def _patched(kind: str, rows: int) -> None:
    """Before anything else reads the schema."""
    if kind == "realm":
        from commons_node.store import realm_schema as room
    elif kind == "jobs":
        from commons_node.jobs import schema as room  # type: ignore[no-redef]
    else:
        from commons_node.store import node_store as room  # type: ignore[no-redef]
    name = f"{kind.upper()}_SCHEMA"
    vars(room)[name] = later(vars(room)[name], rows)


if __name__ == "__main__":
    _patched(os.environ.get("FILES", "realm"), int(os.environ.get("ROWS", ROWS)))

    from commons_node.starting import main

    sys.exit(main(sys.argv[1:]))
