"""A node of a version to come: this program, with two more steps of the realm's file.

One of the steps takes its time, by the disk and then by the processor, so that a test can end the
node within it on any machine. Run as
``python -m tests.e2e.newer run …``, in place of ``python -m commons_node``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from commons_node.store import realm_schema

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


if __name__ == "__main__":
    # before anything else reads it
    vars(realm_schema)["REALM_SCHEMA"] = later(realm_schema.REALM_SCHEMA)

    from commons_node.starting import main

    sys.exit(main(sys.argv[1:]))
