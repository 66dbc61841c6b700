"""Writes the vectors beside this script: `python docs/protocol/make_vectors.py`.

Deterministic: keys and salts are hashes of names, times are written down. A released vector never
changes; a change of format is a new version with vectors of its own. `tests/unit/test_vectors.py`
computes them again, byte by byte. What is in them is made in `making`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from making import (  # noqa: E402 - they lie beside this
    archives,
    bundles,
    envelopes,
    large_parts,
    presence,
    signatures,
    syncing,
)
from making.authority_story import authority_story  # noqa: E402 - likewise
from making.judge_story import story  # noqa: E402 - likewise
from making.outcome import listed  # noqa: E402 - likewise


def files() -> dict[str, str]:
    """Every vector file's name and text."""
    made: dict[str, object] = {
        "operations": envelopes.operations(),
        "devices": envelopes.devices(),
        "members": envelopes.members(),
        "signatures": signatures.signatures(),
        "hashes": envelopes.hashes(),
        "judge": listed(story()),
        "authority": listed(authority_story()),
        "archive": archives.archive(),
        "bundle": bundles.bundle(),
        "bundle-parts": bundles.bundle_parts(),
        "sync": syncing.sync(),
        "parts": large_parts.parts(),
        "spaces": presence.spaces(),
    }
    return {f"{name}.json": json.dumps(value, indent=1) + "\n" for name, value in made.items()}


if __name__ == "__main__":
    (HERE / "vectors").mkdir(exist_ok=True)
    for name, text in files().items():
        (HERE / "vectors" / name).write_text(text, encoding="utf-8")
