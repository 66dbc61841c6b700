"""The one line that a soak prints: the object of CONTRACT.md, and what explains it."""

from __future__ import annotations

from collections import Counter

from tests.soak.plan import Plan
from tests.soak.storm import Storm

PARTITIONS = ("block", "split", "mute")


def report(plan: Plan, storm: Storm, minutes: float) -> dict[str, object]:
    """``lost``, ``divergent``, ``false_converged`` and ``violations`` must be 0 or empty."""
    figures, relay = storm.figures, storm.relay.counts
    struck = figures.struck
    residents = [home.resident for home in storm.homes.values()]
    did: Counter[str] = sum((one.did for one in residents), Counter())
    refused: Counter[str] = sum((one.errors for one in residents), Counter())
    killed = sum(home.house.killed for home in storm.homes.values())
    return {
        "v": 1,
        "name": "soak",
        "minutes": minutes,
        "seed": plan.seed,
        "plan": plan.digest(),
        "nodes": len(plan.names),
        "kills": killed,
        "restarts": struck["restart"] + struck["away"],
        "partitions": sum(struck[kind] for kind in PARTITIONS),
        "dropped_links": struck["cut"] + struck["split"],
        "faults": dict(sorted(struck.items())),
        "skipped": dict(sorted(figures.skipped.items())),
        "relay": {name: n for name, n in sorted(relay.items()) if name != "bytes"},
        "writes": len(storm.ledger.entries()),
        "deeds": dict(sorted(did.items())),
        "refused_writes": dict(sorted(refused.items())),
        "lost": len(figures.lost),
        "divergent": figures.divergent,
        "false_converged": figures.false_converged,
        "claims": dict(sorted(figures.claims.items())),
        "seconds_to_heal": figures.heals,
        "peak_pss_bytes": dict(sorted(figures.peaks.items())),
        "slowest_call_s": round(figures.slowest_call_s, 2),
        "wire_bytes": relay["bytes"],
        "refusals": figures.refused(),
        "violations": figures.violations[:50],
    }
