"""`mesh`: real GossipSub beside the model of it that `make scale` stands on.

So many real libp2p hosts, each in a process of its own (a set of peers has another order in each),
on loopback: all connected with all, or a ring of near neighbours. Members take turns to publish.
The model runs the same plan; `ratio` is real over model. The latency is not compared: it is the
machine's.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.processes import tcp_bytes
from bench.town import Town, say
from commons_node.testing.scale.mesh import Figures, Mesh, Plan, edges

PLANS = (Plan(5, 4), Plan(10, 4), Plan(10, 9), Plan(18, 17, messages=80, warm_s=15.0))
"""The last one has more neighbours than a mesh may hold."""
_SETTLE_S = 6.0
_STOP_S = 20.0
_SEEDS = range(1, 9)


class Process:
    """One host in its process."""

    def __init__(self) -> None:
        """Start it; ``ready`` must follow."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.mesh_host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
        )
        self.address = ""
        self.peer = ""

    def ready(self) -> None:
        """Wait until it listens."""
        said = self._heard()
        self.address, self.peer = said["address"], said["peer"]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.split("/")[4])

    def do(self, **command: object) -> dict[str, Any]:
        """Have it do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a host of the mesh has died")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def measure(_town: Town) -> dict[str, object]:
    """For each plan the real figures, the model's, and one over the other."""
    return {f"{plan.nodes} hosts, {plan.neighbours} neighbours": compared(plan) for plan in PLANS}


def compared(plan: Plan) -> dict[str, object]:
    """One plan, in both ways; the model's figures are means over some seeds."""
    say(f"{plan.nodes} hosts with {plan.neighbours} neighbours each")
    found, model = real(plan), modelled(plan)
    ratio = {
        name: round(getattr(found, name) / model[name], 3)
        for name in ("copies", "hops", "mesh", "bytes")
    }
    return {"real": asdict(found), "model": model, "ratio": ratio}


def modelled(plan: Plan) -> dict[str, float]:
    """The model's mean over seeds."""
    runs = [asdict(Mesh(replace(plan, seed=seed)).run()) for seed in _SEEDS]
    return {name: round(sum(run[name] for run in runs) / len(runs), 3) for name in runs[0]}


def real(plan: Plan) -> Figures:
    """Real hosts."""
    with ExitStack() as stack:
        hosts = [Process() for _ in range(plan.nodes)]
        for host in hosts:
            stack.callback(host.stop)
        for host in hosts:
            host.ready()
        for i, j in edges(plan.nodes, plan.neighbours):
            hosts[i].do(connect=hosts[j].address)
        time.sleep(plan.warm_s)
        for host in hosts:
            host.do(begin=True)
        ports = [host.port for host in hosts]
        before = sum(tcp_bytes(ports).values())
        rng = random.Random(plan.seed)
        for _ in range(plan.messages):
            rng.choice(hosts).do(publish=plan.size)
            time.sleep(plan.pause_s)
        time.sleep(_SETTLE_S)
        size = sum(tcp_bytes(ports).values()) - before
        reports = {host.peer: host.do(report=True) for host in hosts}
    # On loopback each connection is listed from both ends, each with both directions.
    return _figures(plan, reports, size / 2)


def _figures(plan: Plan, reports: Mapping[str, Any], size: float) -> Figures:
    first: dict[str, list[tuple[float, str, str]]] = {}
    copies = 0
    for peer, report in reports.items():
        seen: set[str] = set()
        for message, forwarder, when in report["arrivals"]:
            copies += forwarder != peer
            if message not in seen:
                seen.add(message)
                first.setdefault(message, []).append((when, peer, forwarder))
    hops = [n for arrivals in first.values() for n in _hops(sorted(arrivals)) if n]
    pairs = plan.messages * (plan.nodes - 1)
    sizes = [one for report in reports.values() for one in report["sizes"]]
    return Figures(
        round(copies / pairs, 3), round(sum(hops) / len(hops), 3), max(hops), pairs - len(hops),
        round(sum(sizes) / len(sizes), 2), round(size / plan.messages / plan.nodes),
    )  # fmt: skip


def _hops(arrivals: Sequence[tuple[float, str, str]]) -> list[int]:
    """How far one message went to each host, in the order of their arrivals; 0 to its author."""
    hops: dict[str, int] = {}
    for _, peer, forwarder in arrivals:
        hops[peer] = 0 if peer == forwarder else hops[forwarder] + 1
    return list(hops.values())
