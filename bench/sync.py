"""`sync`: an empty node of the community fetches everything from the one that holds it.

From the moment that bob may dial alice (he is a member already, and both daemons are up) until
both have converged and show equal state hashes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from bench import floor
from bench.ledger import written_after
from bench.processes import Peak
from bench.town import Town, say

_CORES = 2


def measure(town: Town) -> dict[str, object]:
    """``operations, seconds, per_second, floor_per_second, ratio, wire_bytes, rss_mb``.

    Also ``cpu_seconds`` of each side, which say more than ``seconds`` on a busy machine, and
    ``floor_cpu_seconds``; ``ratio_at_best`` is what the ratio would be if both cores had nothing
    else to do and never waited. The floor is the mean of a run before and a run after.
    """
    town.filled()
    alice, bob = town.alice, town.bob
    rows = written_after(alice.home, 0)
    before_it = floor.spent(rows, town.folder)
    town.start()
    before = town.count(bob)
    wire = town.wire()
    work = [node.cpu() for node in (alice, bob)]
    say("bob syncs")
    with Peak(alice.memory, bob.memory) as peak:
        began = time.monotonic()
        bob.do("peer.unblock", node=alice.node)
        town.meet()
        town.equal()  # what the views show counts, not what lies in the store
        seconds = time.monotonic() - began
        wire = town.wire() - wire
    busy_with = [
        _spent(earlier, node.cpu()) for node, earlier in zip((alice, bob), work, strict=True)
    ]
    for node, threads in zip((alice, bob), busy_with, strict=True):
        busy = sorted(((n, name) for name, n in threads.items() if n >= 0.05), reverse=True)
        say(f"CPU seconds at {node.name}: {', '.join(f'{name} {n:.2f}' for n, name in busy)}")
    operations = town.count(bob) - before
    town.done(2)
    after_it = floor.spent(rows, town.folder)
    plain, least = ((one + other) / 2 for one, other in zip(before_it, after_it, strict=True))
    cpu = [sum(threads.values()) for threads in busy_with]
    per_second, floor_per_second = operations / seconds, len(rows) / plain
    return {
        "operations": operations,
        "seconds": round(seconds, 2),
        "per_second": round(per_second),
        "floor_per_second": round(floor_per_second),
        "ratio": round(per_second / floor_per_second, 3),
        "wire_bytes": wire,
        "rss_mb": [round(one / 1e6) for one in peak.highest],
        "cpu_seconds": [round(one, 2) for one in cpu],
        "floor_cpu_seconds": round(least, 2),
        "ratio_at_best": round((least / len(rows)) / (sum(cpu) / _CORES / operations), 3),
    }


def _spent(earlier: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds since then, by thread."""
    return {name: seconds - earlier.get(name, 0.0) for name, seconds in now.items()}
