"""`python -m tests.soak --minutes 5 [--seed N] [--nodes 5]`: what `make soak` calls.

One JSON object on stdout, progress on stderr. Exit code 0; 1 if anything did not hold, with the
folder that is kept; 2 for wrong arguments; 130 for Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.soak.plan import make
from tests.soak.report import report
from tests.soak.storm import MOST_NAMES, Storm

_READ_FIRST = """\
soak: {count} violations, the first: {first}
  the seed         make soak MINUTES={minutes:g} SEED={seed} NODES={nodes}
  what happened    {folder}/story.jsonl (faults, calm moments, what was false; seconds)
  what was written {folder}/ledger.jsonl (operations that a node acknowledged)
  a daemon's log   {folder}/alice/log and so on; the homes are as they were left
  one operation    commons-node --home {folder}/alice run --no-lan, then: explain ID
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one soak."""
    given = _parser().parse_args(arguments)
    seed = given.seed if given.seed is not None else random.randrange(1 << 32)
    plan = make(seed, given.minutes * 60, MOST_NAMES[: given.nodes])
    if given.plan:
        sys.stdout.write(json.dumps(asdict(plan)) + "\n")
        return 0
    _say(f"SEED={seed}, plan {plan.digest()}: {given.minutes:g} minutes, {given.nodes} nodes")
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    kept = False
    try:
        storm = Storm(plan, folder, _say)
        try:
            storm.go()
        except Exception as error:
            storm.figures.violated(f"the soak itself fell over: {error!r}")
            _say(traceback.format_exc())
        kept = bool(storm.figures.violations)
        if kept:
            _say(_read_first(storm, folder, given))
        sys.stdout.write(json.dumps(report(plan, storm, given.minutes)) + "\n")
        return 1 if kept else 0
    except KeyboardInterrupt:
        _say("interrupted; nothing is left behind")
        return 130
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _read_first(storm: Storm, folder: Path, given: argparse.Namespace) -> str:
    violations = storm.figures.violations
    return _READ_FIRST.format(
        count=len(violations), first=violations[0], folder=folder, seed=storm.plan.seed,
        minutes=given.minutes, nodes=given.nodes,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=_minutes, default=5.0, help="of storm")
    parser.add_argument("--seed", type=int, help="repeats a plan")
    parser.add_argument("--nodes", type=int, default=5, choices=range(3, len(MOST_NAMES) + 1))
    parser.add_argument("--plan", action="store_true", help="print the plan, and do nothing")
    return parser


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0.1 <= minutes <= 10_000:
        raise argparse.ArgumentTypeError("0.1 to 10000 minutes")
    return minutes


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
