"""Runs inputs again: `python -m tests.fuzz.repeat TARGET FILE|HEX…`. Needs no atheris.

Prints for each input whether it was taken or refused; a finding ends it with its traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.table import TARGETS
from tests.fuzz.watch import counting, watched


def main(arguments: list[str]) -> int:
    """The exit code: 0, or 2 for what is no target and no input. A finding raises."""
    if len(arguments) < 2 or arguments[0] not in TARGETS:
        sys.stderr.write(f"{__doc__}\nTargets: {', '.join(sorted(TARGETS))}\n")
        return 2
    target = TARGETS[arguments[0]]
    for given in arguments[1:]:
        data = bytes.fromhex(given) if not Path(given).exists() else Path(given).read_bytes()
        for seed in target.seeds().values():
            target.run(seed)  # what is made once is not counted
        with counting():
            taken = watched(target, data)
        sys.stdout.write(f"{'taken' if taken else 'refused'}: {len(data)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
