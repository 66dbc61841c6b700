"""The runs of `make scale`: what each is called, how large it is, and which follow each other.

Every job is one process and one seed; the longest come first.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from time import process_time
from typing import Any

from commons_node.testing.scale import bridges, islands, mesh, spread
from commons_node.testing.scale.figures import rounded
from commons_node.testing.scale.router import Settings

Figures = Mapping[str, Any]
Plan = spread.Plan | bridges.Plan | islands.Plan | mesh.Plan


@dataclass(frozen=True, slots=True)
class Size:
    """How large everything is."""

    nodes: int
    writes: int
    """In each phase of the large community."""
    communities: tuple[int, ...]
    hubs: tuple[int, ...]
    meshes: tuple[int, ...]
    """Nodes of communities in which everybody is connected with everybody."""
    neighbours: tuple[int, ...]
    """Of each router, where there is nothing but routers."""


LARGE = Size(
    1000, 8, (10, 100, 1000), (1, 4, 16, 64, 100), (2, 5, 10, 20, 30), (4, 8, 12, 16, 24, 48)
)
MIDDLE = Size(200, 8, (10, 100), (1, 16, 64, 100), (2, 5, 10, 20), (8, 24))
SMALL = Size(60, 5, (10,), (1, 16), (5,), (8,))

_QUIET, _POOR, _BAD, _CHURN = spread.PHASES


def jobs(size: Size, seed: int) -> dict[str, Job]:
    """Every run by its name."""
    whole = spread.Plan(nodes=size.nodes, writes=size.writes, idle_s=30.0, seed=seed)
    alone = spread.Plan(
        nodes=size.nodes, writes=4 * size.writes, anti_entropy=False, idle_s=1.0, seed=seed
    )
    plans: dict[str, Plan] = {
        "spread calm": replace(whole, phases=(_QUIET, _POOR)),
        "spread rough": replace(whole, phases=(_BAD, _CHURN)),
        "gossip alone": alone,
    }
    for communities in sorted(size.communities, reverse=True):
        plans[f"bridges {communities}"] = bridges.Plan(communities, seed=seed)
    dense = spread.Plan(places=64, writes=20, phases=(_QUIET,), idle_s=600.0, seed=seed)
    for nodes in sorted(size.meshes, reverse=True):
        plans[f"mesh {nodes}"] = replace(dense, nodes=nodes, known=nodes)
    for hub in sorted(size.hubs, reverse=True):
        plans[f"hub {hub}"] = bridges.Plan(hub, own=1, ring=False, hub=hub, seed=seed)
    for neighbours in size.neighbours:
        routers = mesh.Plan(300, neighbours, 100, warm_s=120.0, scattered=True, seed=seed)
        plans[f"routers {neighbours}"] = routers
        plans[f"calm routers {neighbours}"] = replace(routers, settings=Settings(opportunistic=0))
    for spare in (0, 4):
        plans[f"islands {spare}"] = islands.Plan(spare=spare, seed=seed)
    return {name: Job(plan) for name, plan in plans.items()}


@dataclass(frozen=True, slots=True)
class Job:
    """One plan, as another process can run it."""

    plan: Plan

    def __call__(self) -> Figures:
        """Run it; what came of it, and the CPU seconds that it took."""
        began = process_time()
        gc.collect()
        gc.disable()  # a fifth of the time, and what is left over is little
        try:
            found = self._run()
        finally:
            gc.enable()
        figures = rounded(found)
        assert isinstance(figures, dict)
        return {**figures, "cpu_s": round(process_time() - began, 1)}

    def _run(self) -> dict[str, Any]:
        match self.plan:
            case spread.Plan():
                return asdict(spread.Spread(self.plan).run())
            case bridges.Plan():
                return asdict(bridges.Bridges(self.plan).run())
            case mesh.Plan():
                return asdict(mesh.Mesh(self.plan).run())
            case _:
                return asdict(islands.Islands(self.plan).run())


def run(todo: Mapping[str, Job], workers: int) -> Iterator[tuple[str, Figures]]:
    """What came of each, as it ends."""
    if workers == 1:
        yield from ((name, job()) for name, job in todo.items())
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        names = {pool.submit(job): name for name, job in todo.items()}
        for ended in as_completed(names):
            yield names[ended], ended.result()
