"""`tui`: how soon the terminal interface is useful, and how soon a key is seen, with all things.

A real terminal (pty) of 120 by 36 in front of the real program and a real node. A start ends when
the state of the node can be read on Home. A key is seen when the last byte has come that it causes.
Beside the start: importing what Textual costs any program that uses it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.latency import percentile
from bench.processes import cpu
from bench.start import alternating
from bench.town import Town, say

LINES, COLUMNS = 36, 120
QUIET_S: Final = 0.03
_WAIT_S: Final = 60.0
_TEXTUAL = "import textual.app, textual.screen, textual.widgets, textual.command"
_KEYS = (b"\x1b[B", b"\x1b[B", b"\x1b[6~", b"\x1b[A")
"""Down, down, page down, up."""


class Terminal:
    """The interface on a node's home, in a terminal of its own."""

    def __init__(self, home: Path) -> None:
        """Starts it."""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.began = time.monotonic()
        self._program = subprocess.Popen(
            [sys.executable, "-m", "commons_tui", "--home", str(home), "--no-animation"],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._program.kill()
        self._program.wait()
        os.close(self._ours)

    def until(self, words: bytes) -> float:
        """Read until this was drawn; the moment. RuntimeError if it never is."""
        seen = b""
        deadline = time.monotonic() + _WAIT_S
        while words not in seen:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._ours], [], [], left)[0]:
                raise RuntimeError(f"{words!r} is not drawn: {seen[-2000:]!r}")
            seen += os.read(self._ours, 1 << 16)
        return time.monotonic()

    def key(self, key: bytes) -> float | None:
        """Seconds from a key to the last byte that it causes; None if nothing is drawn."""
        os.write(self._ours, key)
        began = time.monotonic()
        last = None
        while select.select([self._ours], [], [], QUIET_S if last else 1.0)[0]:
            os.read(self._ours, 1 << 16)
            last = time.monotonic()
        return None if last is None else last - began

    def cpu(self) -> float:
        """CPU seconds of the program so far."""
        return sum(cpu(self._program.pid).values())

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def rest(self) -> None:
        """Let what is on its way arrive."""
        while select.select([self._ours], [], [], 0.5)[0]:
            os.read(self._ours, 1 << 16)


def measure(town: Town) -> dict[str, object]:
    """``things, start_seconds, import_seconds, over_seconds, list_seconds, repaint_p95_ms``, …"""
    if town.fresh:
        town.filled()
    alice = town.alice
    if not alice.runs:
        alice.start()
    alice.see("resource.list", 120)  # the node has read its things once
    say(f"{town.size.runs} starts of the interface")
    starts, lists, repaints = [], [], list[float]()
    work = 0.0
    for _ in range(town.size.runs):
        with Terminal(alice.home) as terminal:
            starts.append(terminal.until(b"This node") - terminal.began)
            terminal.rest()
            asked = time.monotonic()
            terminal.write(b"2")
            lists.append(terminal.until(b"1000") - asked)
            terminal.rest()
            before = terminal.cpu()
            for number in range(40):
                seen = terminal.key(_KEYS[number % len(_KEYS)])
                if seen is not None:
                    repaints.append(seen)
            work += terminal.cpu() - before
    (imports,) = alternating(town.size.runs, [sys.executable, "-c", _TEXTUAL])
    start, floor = statistics.median(starts), statistics.median(imports)
    return {
        "things": town.size.things,
        "start_seconds": round(start, 3),
        "import_seconds": round(floor, 3),
        "over_seconds": round(start - floor, 3),
        "list_seconds": round(statistics.median(lists), 3),
        "keys": len(repaints),
        "repaint_p95_ms": percentile(repaints, 95),
        "repaint_cpu_ms": round(work / len(repaints) * 1000, 1),
    }
