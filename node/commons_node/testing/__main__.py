"""Run seeds from a shell: one with its story and picture, or many with their sum.

python -m commons_node.testing --seed 7 --timeline seven.svg
python -m commons_node.testing --seed 7 --story 3fa9
python -m commons_node.testing --seeds 200 --first 1
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from commons_node.testing import picture, telling
from commons_node.testing.batch import Ran, many
from commons_node.testing.plan import SMALL, USUAL, Plan, command, read
from commons_node.testing.storm import run


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every invariant held, 1 if not."""
    asked = _parser().parse_args(arguments)
    plan = read(asked.plan) if asked.plan else SMALL if asked.small else USUAL
    if asked.seed is not None:
        return _one(asked.seed, plan, asked.story, asked.timeline, asked.quiet)
    seeds = range(asked.first, asked.first + asked.seeds)
    total = many(seeds, plan, asked.workers, lambda ran: _heard(ran, plan))
    _say([json.dumps(total.json())])
    return 1 if any(ran.wrong for ran in total.runs) or total.idle() else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m commons_node.testing", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, help="run this one, and tell what happened")
    parser.add_argument("--story", metavar="OPERATION", help="the story of one operation")
    parser.add_argument("--timeline", metavar="FILE.svg", type=Path, help="draw the run")
    parser.add_argument("--quiet", action="store_true", help="how it ended, no timeline")
    parser.add_argument("--small", action="store_true", help="6 nodes instead of 20, as in tests")
    parser.add_argument("--plan", metavar="JSON", help="another story; a failing test prints it")
    parser.add_argument("--seeds", type=int, default=10, help="run so many, one after the other")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--workers", type=int, default=2, help="processes that share them")
    return parser


def _one(seed: int, plan: Plan, story: str | None, file: Path | None, quiet: bool) -> int:
    outcome, town = run(seed, plan)
    if story:
        _say(telling.story(town, story.lower()))
    elif not quiet:
        _say(telling.timeline(town))
    if file is not None:
        file.write_text(picture.svg(town), encoding="utf-8")
    _say(telling.verdict(outcome))
    return 1 if outcome.wrong else 0


def _heard(ran: Ran, plan: Plan) -> None:
    if ran.wrong:
        told = "\n  ".join(ran.wrong)
        _say([f"seed {ran.seed} fails: {command(ran.seed, plan)}\n  {told}"])
    else:
        _say([f"seed {ran.seed} holds ({ran.cpu_s:.1f} s)"])


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
