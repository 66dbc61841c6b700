"""Which databases a home has, and the schema that each should have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from commons_node.home import Home
from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.own.lost import LOST
from commons_node.store.node_store import NODE_SCHEMA
from commons_node.store.realm_schema import REALM_SCHEMA


def files(home: Home) -> list[tuple[Path, Sequence[str]]]:
    """Every database of a home with the schema that it should have."""
    found: list[tuple[Path, Sequence[str]]] = [(home.path / "node.db", NODE_SCHEMA)]
    found.append((home.path / "jobs.db", JOBS_SCHEMA))
    for folder in ("realms", "own", LOST):
        found += [(path, REALM_SCHEMA) for path in sorted((home.path / folder).glob("*.db"))]
    return [(path, schema) for path, schema in found if path.exists()]
