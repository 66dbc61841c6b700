"""Ports for what must be found again where it was: no other test is given them by chance."""

from __future__ import annotations

import itertools
import os
import socket

FIRST = 20_000
"""Below those that a kernel hands out by itself (Linux: from 32,768; others: from 49,152)."""
_EACH = 1_000
_turns = itertools.count()


def own_port() -> int:
    """A TCP port that is free now, and that no other worker of this run of tests takes."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for turn in itertools.islice(_turns, _EACH):
        port = FIRST + worker * _EACH + turn % _EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port of this worker is free")
