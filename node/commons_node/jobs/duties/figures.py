"""A sample of the node's figures, so that somebody who comes later sees how it was."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from commons_node.jobs.handler import Host

KEPT: Final = frozenset(
    {
        "commons_peers_connected", "commons_operations", "commons_waiting_operations",
        "commons_store_bytes", "commons_disk_free_bytes", "commons_send_queue_bytes",
        "commons_refusals_total", "process_cpu_seconds_total", "process_resident_memory_bytes",
    }
)  # fmt: skip
"""Families of the metrics; those with labels are added up."""


def sums(text: str) -> dict[str, float]:
    """The kept families of a text in the format of Prometheus."""
    found: defaultdict[str, float] = defaultdict(float)
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if not line.startswith("#") and name in KEPT:
            found[name] += float(line.rpartition(" ")[2])
    return dict(found)


def run(host: Host) -> dict[str, int]:
    """One value of each."""
    values = sums(str(host.call("view", name="metrics")["text"]))
    host.effect("sample", f"{host.run}", values=values)
    return {"values": len(values)}
