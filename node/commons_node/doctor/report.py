"""The file for somebody who helps: states and figures, and nothing that names anybody.

Of each check only its ``facts`` go in: what a person wrote, ids, keys, paths and addresses stand
in ``detail`` and ``fix``, which stay here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from commons_node.config import Config
from commons_node.doctor.check import Check, worst
from commons_node.keystore.disk import write_private

_OPEN_SETTINGS: Final = frozenset(
    {"lan", "verifier_workers", "log_level", "log_format", "sync_interval_s", "prune"}
)
"""Settings whose values say nothing about anybody; of the others only that they were changed."""
_NUMBER: Final = re.compile(r" [0-9a-f]{8}$")


def report(checks: Sequence[Check], config: Config | None, now_ms: int) -> dict[str, object]:
    """What goes into the file."""
    return {
        "v": 1,
        "made": datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d"),
        "state": worst(list(checks)),
        "checks": [
            {"check": name, "state": one.state, "facts": dict(one.facts)}
            for name, one in zip(_names(checks), checks, strict=True)
        ],
        "settings": _settings(config),
    }


def _names(checks: Sequence[Check]) -> list[str]:
    """Communities by number instead of by id."""
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f" {numbers.setdefault(found[0], len(numbers) + 1)}"

    return [_NUMBER.sub(number, one.check) for one in checks]


def _settings(config: Config | None) -> dict[str, object]:
    if config is None:
        return {}
    standard = Config()
    return {
        key: value if key in _OPEN_SETTINGS else "changed"
        for key in Config.__struct_fields__
        if (value := getattr(config, key)) != getattr(standard, key)
    }


def write_report(path: Path, content: dict[str, object]) -> None:
    """Write it where the person wants it, readable by them alone. Raises OSError."""
    write_private(path, json.dumps(content, indent=2, sort_keys=True).encode() + b"\n")
