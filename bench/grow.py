"""`grow`: bytes on disk and memory of a node, by the number of operations that it holds.

Things with four edits each, as in `sync`; the node is stopped, written to, and started again, so
that its memory is what it needs to run, not what writing needed.
"""

from __future__ import annotations

import time

from bench.author import PASSPHRASE
from bench.ledger import last
from bench.node import Node
from bench.town import Town, say

_STEPS = 4
_WARM_S = 5.0


def measure(town: Town) -> dict[str, object]:
    """By operations: bytes of the realm's file, PSS of daemon and workers, seconds to start."""
    node = Node("alice", town.folder / "grow")
    each = town.size.things // 10
    found: dict[str, object] = {}
    try:
        node.start()
        node.do("community.init", name="Grow", member="Alice", passphrase=PASSPHRASE)
        for step in range(_STEPS):
            node.stop()
            if step:
                say(f"{each * (1 + town.size.edits)} operations more")
                town.write(node, "make", each, town.size.edits, each)
            seconds = node.start()
            time.sleep(_WARM_S)
            (file,) = (node.home / "realms").glob("*.db")
            found[f"{last(node.home)} operations"] = {
                "file_bytes": file.stat().st_size,
                "pss_mb": round(node.memory() / 1e6, 1),
                "start_s": round(seconds, 2),
            }
    finally:
        node.stop()
    return found
