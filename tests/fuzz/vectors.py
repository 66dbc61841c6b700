"""The committed vectors of `docs/protocol`, as bytes to begin with."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from commons_crdt.operation import Operation

FOLDER = Path(__file__).parents[2] / "docs" / "protocol" / "vectors"


@lru_cache
def vectors(name: str) -> Any:
    """One file of vectors, parsed."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def operations() -> dict[str, Operation]:
    """The operations of the judge's story by name; each is signed."""
    return {one["name"]: _operation(one) for one in vectors("judge")["operations"]}


def _operation(one: dict[str, Any]) -> Operation:
    body = one["body"]
    return Operation(
        bytes.fromhex(one["header"]),
        bytes.fromhex(one["signature"]),
        None if body is None else bytes.fromhex(body),
        tuple(None if part is None else bytes.fromhex(part) for part in one["parts"]),
    )
