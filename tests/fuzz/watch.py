"""Runs one input of a target, and watches what it costs: memory, and time of the processor."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from tests.fuzz.target import Broken, Target

MOST_TURNS = 200
"""Processor time of one input of at most 64 KiB, in the time that a loop of a million takes here:
a slow machine changes nothing. Most take less than 3, a TOML key of 30,000 parts takes 30; what
grows faster than with the square of its length takes far more."""
MEMORY_PER_BYTE = 256
"""A byte of CBOR or JSON may become an empty list, and a few copies of its place in another."""


@cache
def turn() -> float:
    """Seconds of the processor that counting to a million takes; the least of three tries."""
    times = []
    for _ in range(3):
        began = time.process_time()
        for _ in range(1_000_000):
            pass
        times.append(time.process_time() - began)
    return min(times)


@contextmanager
def counting() -> Iterator[None]:
    """Within this block memory is counted; it makes everything two to twenty times as slow."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def watched(target: Target, data: bytes, *, once_more: bool = True) -> bool:
    """True if the target took ``data``, False if it refused it. Anything else raises.

    Raises `Broken` with the bytes of the input, and how to repeat it, whatever went wrong.
    """
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
    before, began = tracemalloc.get_traced_memory()[0], time.process_time()
    try:
        taken = target.run(data)
    except Exception as error:
        raise Broken(f"{type(error).__name__}: {error}\n{repeat(target, data)}") from error
    seconds, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1] - before
    if seconds > MOST_TURNS * turn():
        raise Broken(f"it took {seconds:.1f} s\n{repeat(target, data)}")
    if peak > target.memory + MEMORY_PER_BYTE * len(data):
        if once_more:  # a library may have been loaded
            return watched(target, data, once_more=False)
        raise Broken(f"it took {peak} bytes\n{repeat(target, data)}")
    return taken


def repeat(target: Target, data: bytes) -> str:
    """What to type to see it again."""
    shown = data.hex() if len(data) <= 2000 else f"{data[:1000].hex()}... ({len(data)} bytes)"
    return f".venv/bin/python -m tests.fuzz.repeat {target.name} {shown}"
