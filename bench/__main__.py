"""`python -m bench NAME …`: some figures of one town, or all.

Each is one JSON object a line; progress is on stderr.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import (
    authority,
    domain,
    flip,
    flood,
    grow,
    heal,
    idle,
    jobs,
    join,
    latency,
    members,
    mesh,
    peers,
    reconcile,
    start,
    sync,
    tui,
)
from bench.size import Size
from bench.town import Town

BENCHES: Mapping[str, Callable[[Town], dict[str, object]]] = {
    "sync": sync.measure,
    "join": join.measure,
    "heal": heal.measure,
    "reconcile": reconcile.measure,
    "latency": latency.measure,
    "flood": flood.measure,
    "start": start.measure,
    "mesh": mesh.measure,
    "authority": authority.measure,
    "flip": flip.measure,
    "members": members.measure,
    "grow": grow.measure,
    "idle": idle.measure,
    "tui": tui.measure,
    "domain": domain.measure,
    "peers": peers.measure,
    "jobs": jobs.measure,
}


def main(arguments: list[str]) -> int:
    """Measure; exit code 0, or 1 when a measurement did not come to its end."""
    parser = argparse.ArgumentParser(prog="bench/run.py")
    parser.add_argument("name", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--things", type=int, default=10_000)
    parser.add_argument("--edits", type=int, default=4, help="edits of each thing")
    parser.add_argument("--together", type=int, help="things made before they are edited: all")
    parser.add_argument("--apart", type=int, default=500, help="heal: edits on each side")
    parser.add_argument("--writes", type=int, default=200, help="latency: of each kind")
    parser.add_argument(
        "--judged", type=int, default=100_000, help="authority, reconcile: operations"
    )
    parser.add_argument("--devices", type=int, default=1_000, help="authority: devices")
    parser.add_argument("--runs", type=int, default=7, help="start: runs that a median is of")
    parser.add_argument("--members", type=int, default=5_000, help="members: at most so many")
    parser.add_argument("--loans", type=int, default=20_000, help="domain: of five operations")
    parser.add_argument("--idle", type=float, default=180, help="idle, peers: seconds to look on")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for each wait")
    given = parser.parse_args(arguments)
    # choices= would look for the empty list among them, too
    if unknown := set(given.name) - BENCHES.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    # an end from outside also stops the daemons
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names = given.name or list(BENCHES)
    size = Size(
        things=given.things,
        edits=given.edits,
        together=given.together or given.things,
        apart=given.apart,
        writes=given.writes,
        runs=given.runs,
        judged=given.judged,
        devices=given.devices,
        timeout=given.timeout,
        members=given.members,
        idle=given.idle,
        loans=given.loans,
    )
    with (
        tempfile.TemporaryDirectory(prefix="commons-bench-") as folder,
        Town(Path(folder), size) as town,
    ):
        for name in names:
            print(json.dumps({"v": 1, "name": name, **BENCHES[name](town)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
