"""`start`: how long a node with everything in it takes to be ready, and a command to answer.

Medians of several runs. Beside the start: importing what the daemon imports, and nothing else.
Beside `status`: `python -c 'import click'`, the least that a command line in Python costs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.town import Town, say

_RUN_S = 60.0


def measure(town: Town) -> dict[str, object]:
    """``operations, seconds, import_seconds, rss_mb, status_seconds, click_seconds, ratio``."""
    if town.fresh:
        town.filled()
    runs, alice = town.size.runs, town.alice
    town.stop()
    say(f"{runs} starts")
    starts = []
    for _ in range(runs):
        alice.stop()
        starts.append(alice.start())
    time.sleep(3.0)
    memory = alice.memory()
    python = [sys.executable, "-c"]
    commands = str(Path(sys.executable).with_name("commons-node"))
    status = [commands, "--home", str(alice.home), "status", "--json"]
    run(status)  # the node counts its hashes once
    times = alternating(
        runs, status, [*python, "import click"], [*python, "import commons_node.daemon"]
    )
    answer, click, imports = (statistics.median(one) for one in times)
    return {
        "operations": town.count(alice),
        "seconds": round(statistics.median(starts), 3),
        "import_seconds": round(imports, 3),
        "rss_mb": round(memory / 1e6),
        "status_seconds": round(answer, 3),
        "click_seconds": round(click, 3),
        "ratio": round(answer / click, 2),
    }


def alternating(runs: int, *commands: Sequence[str]) -> list[list[float]]:
    """Seconds of each command's runs; they take turns, so that noise strikes all alike."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(runs):
        for command, its in zip(commands, times, strict=True):
            its.append(run(command))
    return times


def run(command: Sequence[str]) -> float:
    """Seconds of one run of a command that must succeed."""
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=_RUN_S)
    return time.monotonic() - began
