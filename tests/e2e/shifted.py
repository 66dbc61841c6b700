"""A node on a machine whose date somebody sets: this program, on a wall clock that a file moves.

Run as ``python -m tests.e2e.shifted run …``, in place of ``python -m commons_node``; the file is
named in ``SHIFTED_BY`` and holds seconds. The monotonic clock stays what it is, as on a real
machine. (libfaketime does the same from outside, but not here: with the monotonic clock left alone
its 0.9.10 makes ``time.sleep`` fail.) Processes that the node starts have the world's own clock.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_FILE = Path(os.environ["SHIFTED_BY"])
_true_ns = time.time_ns


def _time_ns() -> int:
    return _true_ns() + int(_FILE.read_text()) * 1_000_000_000


if __name__ == "__main__":
    time.time_ns = _time_ns
    time.time = lambda: _time_ns() / 1e9

    from commons_node.starting import main

    sys.exit(main(sys.argv[1:]))
