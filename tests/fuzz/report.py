"""What a run of libFuzzer amounts to: read from its log, said in a line, summed up in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_COVERAGE = re.compile(r"^#\d+\s+(\w+)\s+cov: (\d+)", re.MULTILINE)
_INPUTS = re.compile(r"^(?:stat::number_of_executed_units: (\d+)|#(\d+)\t)", re.MULTILINE)
_CORPUS = re.compile(r"corp: (\d+)/")
KEPT = "Test unit written to"
"""What stands before the name of the file, in our words and in libFuzzer's."""
FINDING = "=== Uncaught Python exception: ==="
_KEPT = re.compile(rf"{KEPT} (\S+)")
CLEAN, CRASHED = 0, 77
"""How libFuzzer ends: after its time, and after a finding."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One target's run. ``before``, ``after``: places of the code that were reached by the corpus
    alone, and in the end. ``findings``: files. ``code``: how the process ended.
    """

    name: str
    inputs: int
    seconds: float
    before: int
    after: int
    corpus: int
    findings: tuple[str, ...]
    code: int
    tail: str

    @property
    def failed(self) -> bool:
        """Something was found, or it did not run to its end."""
        return bool(self.findings) or self.code != CLEAN or not self.inputs


def outcome(name: str, log: str, code: int, seconds: float, folder: Path) -> Outcome:
    """Read a log. A process that ended without a word about why has itself as a finding."""
    reached = [(word, int(count)) for word, count in _COVERAGE.findall(log)]
    inputs = [int(a or b) for a, b in _INPUTS.findall(log)]
    sizes = _CORPUS.findall(log)
    kept = tuple(dict.fromkeys(_KEPT.findall(log)))
    if not kept and code not in {CLEAN, CRASHED}:
        kept = (str(folder / "log"),)
    return Outcome(
        name,
        max(inputs, default=0),
        seconds,
        next((count for word, count in reached if word == "INITED"), 0),
        max((count for _, count in reached), default=0),
        int(sizes[-1]) if sizes else 0,
        kept,
        code,
        _tail(log),
    )


def _tail(log: str) -> str:
    """The traceback, or else the last lines."""
    _, found, rest = log.partition(FINDING)
    text = rest.partition(KEPT)[0] if found else log
    return "\n".join(text.strip().splitlines()[-30:])


def line(one: Outcome) -> str:
    """One line; of a finding also its traceback and the command that repeats it."""
    rate = one.inputs / one.seconds if one.seconds else 0.0
    said = (
        f"{one.name:16} {one.inputs:>9,} inputs {rate:>8,.0f}/s"
        f"   coverage {one.before:>5} -> {one.after:<5} corpus {one.corpus}"
    )
    if not one.failed:
        return said
    again = [f"  .venv/bin/python -m tests.fuzz.repeat {one.name} {file}" for file in one.findings]
    why = "FOUND" if one.findings else f"ended with {one.code} and never began"
    return "\n".join([f"{said}   {why}", one.tail, *again])


def summary(outcomes: Sequence[Outcome], *, planted: bool) -> str:
    """The last line of `make fuzz`. ``planted``: the bug on purpose was found."""
    return json.dumps(
        {
            "v": 1,
            "name": "fuzz",
            "targets": len(outcomes),
            "inputs": sum(one.inputs for one in outcomes),
            "crashes": sum(len(one.findings) or one.failed for one in outcomes),
            "planted": planted,
            "findings": [file for one in outcomes for file in one.findings],
        }
    )
