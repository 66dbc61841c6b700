"""The process in which one model lives: a question a line, an answer a line, both JSON.

It is code that the host has installed, and runs as the host; it is kept out of the daemon so that a
model that hangs, eats or crashes ends alone.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1


def load(entry: str) -> Callable[[Any], Any]:
    """``module:name``: a callable, or what has ``predict`` (as models of scikit-learn have)."""
    module, _, name = entry.partition(":")
    found: Any = getattr(importlib.import_module(module), name)
    if hasattr(found, "predict"):
        return lambda given: _plain(found.predict(given))
    if not callable(found):
        raise TypeError(f"{entry} can't be called")
    return lambda given: _plain(found(given))


def _plain(value: Any) -> Any:
    """Arrays as lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def bound(room_mib: int) -> None:
    """So much address space more than it has with its model loaded; on Linux only."""
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + (room_mib << 20)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def main(entry: str, room_mib: int) -> int:
    """Answer until the daemon closes the pipe, within so much memory for all that it thinks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    sink = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a model prints is no answer

    def say(**told: object) -> None:
        sink.write(json.dumps(told) + "\n")
        sink.flush()

    try:
        model = load(entry)
    except ModuleNotFoundError as error:  # such as the library that the model was made with
        say(lacks=(error.name or str(error)).partition(".")[0])
        return 1
    except Exception as error:  # whatever a library raises while it is loaded
        say(fault=f"{type(error).__name__}: {error}")
        return 1
    bound(room_mib)
    say(ready=True)
    for line in sys.stdin:
        try:
            say(output=model(json.loads(line)))
        except Exception as error:  # likewise while it thinks
            say(fault=f"{type(error).__name__}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
