"""`heal`: two nodes that were apart while both were written on become equal again.

Each member edits things that the other does not touch. From the moment that they may meet until
`sync wait` says converged. Beside it: the same operations verified and stored plainly, and the
bytes that each side lacked.
"""

from __future__ import annotations

import time

from bench import floor
from bench.ledger import last, written_after
from bench.town import Town, say


def measure(town: Town) -> dict[str, object]:
    """``operations, seconds, floor_seconds, wire_bytes, missing_bytes``."""
    town.synced()
    alice, bob, apart = town.alice, town.bob, town.size.apart
    bob.do("peer.block", node=alice.node)
    town.stop()
    before = [last(node.home) for node in (alice, bob)]
    say(f"{apart} edits on each side")
    town.write(alice, "edit", 0, apart - 1, 1000)
    town.write(bob, "edit", apart, 2 * apart - 1, 1001)
    missing = [
        row
        for node, n in zip((alice, bob), before, strict=True)
        for row in written_after(node.home, n)
    ]
    town.start()
    wire = town.wire()
    say("they meet")
    began = time.monotonic()
    bob.do("peer.unblock", node=alice.node)
    town.meet()
    town.equal()
    seconds = time.monotonic() - began
    wire = town.wire() - wire
    return {
        "operations": len(missing),
        "seconds": round(seconds, 3),
        "floor_seconds": round(floor.verify_and_store(missing, town.folder), 3),
        "wire_bytes": wire,
        "missing_bytes": sum(one.size for one in missing),
    }
