"""Work that breaks its process, for tests of the verifier pool. Runs in workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

POISON = 13


def double(items: Sequence[int]) -> list[int]:
    """Twice each item."""
    return [2 * item for item in items]


def die_of_poison(items: Sequence[int]) -> list[int]:
    """Kills its process as a crash of Automerge's core would, if the poison is among the items."""
    if POISON in items:
        os.kill(os.getpid(), signal.SIGKILL)
    return double(items)


def hang_on_poison(items: Sequence[int]) -> list[int]:
    """Never comes back with the poison."""
    while POISON in items:
        time.sleep(60)
    return double(items)


def swell_on_poison(items: Sequence[int]) -> list[int]:
    """Asks for more memory than a worker may have."""
    if POISON in items:
        bytearray(1 << 40)
    return double(items)


def panic_on_poison(items: Sequence[int]) -> list[int]:
    """Raises what is no ``Exception``, as a panic of Automerge's core does."""
    if POISON in items:
        raise KeyboardInterrupt
    return double(items)


def together(files: Sequence[Path]) -> list[int]:
    """Say that this is here, and wait for one other, half a minute at most; who did it, or 0."""
    (mine,) = files
    mine.touch()
    for _ in range(300):
        if len(list(mine.parent.iterdir())) > 1:
            return [os.getpid()]
        time.sleep(0.1)
    return [0]


def until_there(files: Sequence[Path]) -> list[int]:
    """Wait until all files are there, half a minute at most."""
    for _ in range(300):
        if all(file.exists() for file in files):
            break
        time.sleep(0.1)
    return [len(files)]


def at_work(files: Sequence[Path]) -> list[int]:
    """Say in a file of this process's number that it works, and wait until the file is there."""
    (file,) = files
    (file.parent / str(os.getpid())).touch()
    return until_there(files)
