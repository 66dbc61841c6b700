"""The node's figures in the text format of Prometheus, collected when somebody asks.

Names follow https://prometheus.io/docs/practices/naming/. No member, no device and no name of
anybody is in it; communities and peers stand by the beginning of their ids. The library is the one
that libp2p loads in this process anyway; its global registry is not used.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from commons_crdt.verdict import Verdict
from commons_node.health.overview import Standing, of_kept, of_node, refusals_of
from commons_node.jobs.outbox import STATES as LETTERS
from commons_node.jobs.states import State
from commons_node.store.waiting import MAX_BYTES, MAX_COUNT
from commons_protocol.reasons import CATALOGUE
from commons_protocol.status import ORDER

if TYPE_CHECKING:
    from commons_node.community import Community
    from commons_node.daemon import Daemon
    from commons_node.jobs.scheduler import Scheduler

SHORT = 12
"""Hex digits of an id in a label."""


async def exposition(daemon: Daemon) -> str:
    """All families, as text."""
    peers = daemon.peering.peers()
    found: list[Metric] = [*_node(daemon), *_limits(daemon), *_memory()]
    standings = [
        (community, await of_kept(daemon.keeping, community, peers))
        for community in daemon.communities.values()
    ]
    found += _sync([standing for _, standing in standings], daemon)
    found += await _jobs(daemon.jobs.scheduler)
    found += await _store([community for community, _ in standings])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(found))
    return _text(registry)


def _text(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


class _Found(Collector):
    """What was collected already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """Nothing is computed here."""
        return self._found


def _gauge(name: str, text: str, value: float | None = None, labels: str = "") -> GaugeMetricFamily:
    return GaugeMetricFamily(f"commons_{name}", text, value=value, labels=labels.split() or None)


def _counter(
    name: str, text: str, value: float | None = None, labels: str = ""
) -> CounterMetricFamily:
    return CounterMetricFamily(f"commons_{name}", text, value=value, labels=labels.split() or None)


def _node(daemon: Daemon) -> Iterator[Metric]:
    yield _gauge("uptime_seconds", "Since the node started.", time.monotonic() - daemon.started)
    yield _gauge("network_up", "1 while the network runs.", daemon.peering.network.state == "up")
    peers = daemon.peering.peers()
    yield _gauge(
        "peers_connected", "Known nodes that are connected.", sum(p.connected for p in peers)
    )
    by_state = _gauge(
        "peers", "Known nodes, by how the worst community with them stands.", labels="state"
    )
    counts = Counter(peer.sync.state for peer in peers)
    for state in ORDER:
        by_state.add_metric([state], counts[state])
    yield by_state
    refused = _counter("refusals", "What was refused, by code.", labels="code")
    total = Counter(daemon.refusals)
    for community in daemon.communities.values():
        total.update(community.realm.refusals)
    for code, count in sorted(total.items()):
        refused.add_metric([code], count)
    yield refused


def _limits(daemon: Daemon) -> Iterator[Metric]:
    load = daemon.peering.load
    queue = _gauge(
        "ingest_batches_waiting", "Batches that wait or are being stored.", labels="kind"
    )
    taken = _counter("ingest_batches", "Batches that were taken in.", labels="kind")
    shed = _counter("shed_batches", "Batches that were not taken for want of time.", labels="kind")
    for kind in ("pull", "path", "push", "gossip"):
        queue.add_metric([kind], load.waiting[kind])
        taken.add_metric([kind], load.taken[kind])
        shed.add_metric([kind], load.shed[kind])
    yield from (queue, taken, shed)
    yield _counter("sync_frames", "Frames that peers sent on streams to compare.", load.frames)
    talks = daemon.peering.talks.now.values()
    yield _gauge(
        "send_queue_bytes", "Bytes that wait for slow peers.", sum(t.queued for t in talks)
    )
    penalties = daemon.peering.guard.penalties()
    nodes = sum(one.subject == one.node for one in penalties)
    yield _gauge("penalties", "Nodes that are kept out for breaking rules.", nodes)
    yield _gauge("disk_free_bytes", "Room on the disk of the home.", daemon.room.free)
    yield _gauge("disk_reserve_bytes", "Room that stays for small acts.", daemon.room.reserve)
    withheld = daemon.room.withheld
    yield _counter("disk_withheld_operations", "Not taken for want of disk.", withheld)
    yield _gauge("verifier_workers", "Processes that check.", len(daemon.pool.pids()))
    yield _counter("verifier_deaths", "Workers that died under a batch.", daemon.pool.deaths)
    most = _gauge("waiting_limit", "What may wait in one community.", labels="unit")
    most.add_metric(["operations"], MAX_COUNT)
    most.add_metric(["bytes"], MAX_BYTES)
    yield most


def _sync(standings: Iterable[Standing], daemon: Daemon) -> Iterator[Metric]:
    state = _gauge("sync_state", "1 for the word that `status` has.", labels="community state")
    with_peer = _gauge(
        "sync_peer_state", "1 for the word of each peer.", labels="community peer state"
    )
    causes = _gauge(
        "sync_causes", "What keeps it from agreement, by code.", labels="community code"
    )
    missing = _gauge(
        "sync_missing_operations", "Known to be at the peer, and not here.", labels="community peer"
    )
    refused = _gauge(
        "sync_refused_operations", "Of the peer's, not taken here.", labels="community peer code"
    )
    compared = _gauge(
        "sync_compared_timestamp_seconds", "When they last compared.", labels="community peer"
    )
    for code, count in Counter(cause.code for cause in of_node(daemon)).items():
        causes.add_metric(["", code], count)
    for standing in standings:
        ident = standing.community.hex()[:SHORT]
        state.add_metric([ident, standing.state], 1)
        met = [*standing.causes, *(cause for row in standing.rows for cause in row.causes)]
        for code, count in sorted(Counter(cause.code for cause in met).items()):
            assert code in CATALOGUE
            causes.add_metric([ident, code], count)
        for row in standing.rows:
            both = [ident, row.peer.node[:SHORT]]
            with_peer.add_metric([*both, row.sync.state], 1)
            missing.add_metric(both, row.sync.missing)
            for code, count in sorted(refusals_of(row.sync).items()):
                refused.add_metric([*both, code], count)
            if row.compared is not None:
                compared.add_metric(both, row.compared / 1000)
    yield from (state, with_peer, causes, missing, refused, compared)


async def _jobs(scheduler: Scheduler) -> list[Metric]:
    rows = await scheduler.desk.call(
        lambda queue: (
            queue.rows("SELECT state, count(*) FROM runs GROUP BY state"),
            queue.rows("SELECT state, count(*) FROM outbox GROUP BY state"),
        )
    )
    runs = _gauge("job_runs", "Runs of jobs that are known, by state.", labels="state")
    letters = _gauge("job_letters", "Letters of jobs to the outside, by state.", labels="state")
    for family, counts, states in ((runs, rows[0], State), (letters, rows[1], LETTERS)):
        held = dict(counts)
        for state in states:
            family.add_metric([state], held.get(state, 0))
    ended = _counter("job_attempts", "Attempts that ended, by what became of it.", labels="state")
    for state, count in sorted(scheduler.attempts.ended.items()):
        ended.add_metric([state], count)
    workers, left = len(scheduler.workers.pids()), scheduler.budget.left_s
    return [
        runs,
        letters,
        ended,
        _gauge("job_workers", "Processes that run jobs, or wait for one.", workers),
        _gauge("job_cpu_left_seconds", "Processor time that jobs may take now.", left),
    ]


async def _store(communities: Iterable[Community]) -> list[Metric]:
    operations = _gauge("operations", "Stored operations, by verdict.", labels="community verdict")
    waiting = _gauge("waiting_operations", "Kept aside, by reason.", labels="community reason")
    size = _gauge("store_bytes", "Size of the community's file and its log.", labels="community")
    for community in communities:
        ident = community.id[:SHORT]
        rows = await community.query("SELECT verdict, count(*) FROM operations GROUP BY verdict")
        counts = {Verdict(verdict): count for verdict, count in rows}
        for verdict in Verdict:
            operations.add_metric([ident, verdict.name.lower()], counts.get(verdict, 0))
        for reason, count in sorted((await community.realm.store.waiting_count()).items()):
            waiting.add_metric([ident, reason], count)
        path = community.realm.store.database.path
        files = (path, path.with_name(f"{path.name}-wal"))
        size.add_metric([ident], sum(file.stat().st_size for file in files if file.exists()))
    return [operations, waiting, size]


def _memory() -> Iterator[Metric]:
    """Of the daemon's own process, in the standard names."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    yield GaugeMetricFamily("process_resident_memory_max_bytes", "The most so far.", value=most)
    cpu = used.ru_utime + used.ru_stime
    yield CounterMetricFamily("process_cpu_seconds", "User and system time.", value=cpu)
    now = _resident()
    if now is not None:
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", value=now)


def _resident() -> int | None:
    """Resident bytes of this process, where the system says so cheaply."""
    try:
        text = Path("/proc/self/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None
