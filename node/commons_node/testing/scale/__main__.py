"""Run how large it may grow: all of it, or some runs by name; the last line is one JSON object.

python -m commons_node.testing.scale                       # all, some minutes on two cores
python -m commons_node.testing.scale --size small          # seconds
python -m commons_node.testing.scale --only hub islands
python -m commons_node.testing.scale --write docs/scale.md # put the tables there
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from commons_node.testing.scale import report
from commons_node.testing.scale.jobs import LARGE, MIDDLE, SMALL, Figures, jobs, run

_SIZES = {"large": LARGE, "middle": MIDDLE, "small": SMALL}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing was missed and nothing trespassed, 1 if not."""
    asked = _parser().parse_args(arguments)
    todo = jobs(_SIZES[asked.size], asked.seed)
    if asked.only:
        todo = {n: job for n, job in todo.items() if any(n.startswith(o) for o in asked.only)}
    began = time.monotonic()
    results: dict[str, Figures] = {}
    for name, figures in run(todo, asked.workers):
        results[name] = figures
        _say(sys.stderr, f"{name}: {figures['cpu_s']} CPU seconds")
        _say(sys.stdout, json.dumps({"run": name, **figures}))
    tables = report.tables({name: results[name] for name in todo})
    for name, text in tables.items():
        _say(sys.stderr, f"\n{name}\n\n{text}")
    if asked.write is not None:
        asked.write.write_text(report.write(asked.write.read_text("utf-8"), tables), "utf-8")
    total = _sum(results)
    _say(sys.stdout, json.dumps({**total, "seconds": round(time.monotonic() - began, 1)}))
    return 1 if total["missed"] or total["trespasses"] or total["diverged"] else 0


def _sum(results: Mapping[str, Figures]) -> dict[str, object]:
    """What decides: with anti-entropy nothing is missed, and communities stay apart."""
    whole = [f for name, f in results.items() if name.startswith(("spread", "mesh"))]
    phases = [phase for figures in whole for phase in figures["phases"]]
    bridges = [f for name, f in results.items() if name.startswith("bridges")]
    apart = [f for name, f in results.items() if name.startswith(("bridges", "hub"))]
    return {
        "v": 1,
        "name": "scale",
        "runs": len(results),
        "missed": sum(phase["missed"] for phase in phases),
        "locked_out": sum(phase["locked_out"] for phase in phases),
        "diverged": sum(f["plan"]["communities"] - f["converged"] for f in bridges),
        "trespasses": sum(f["trespasses"] for f in apart),
        "cpu_s": round(sum(figures["cpu_s"] for figures in results.values()), 1),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m commons_node.testing.scale", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--size", choices=_SIZES, default="large")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="runs whose name begins so")
    parser.add_argument("--workers", type=int, default=2, help="processes that share the runs")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="put the tables there")
    return parser


def _say(where: TextIO, line: str) -> None:
    where.write(line + "\n")
    where.flush()


if __name__ == "__main__":
    sys.exit(main())
