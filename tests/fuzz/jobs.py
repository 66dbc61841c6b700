"""Targets of jobs: what a worker says to the scheduler, and the scheduler to a worker."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz.target import Target, hold

from commons_node.jobs import frames
from commons_node.jobs.effects import Effect
from commons_node.jobs.job import Limits


def _read(data: bytes, read: Callable[[bytes], frames.Said | frames.Told]) -> bool:
    """Length, body; what is understood means one thing."""
    try:
        size = frames.length(data[:4])
        frame = read(data[4 : 4 + size])
    except frames.BadFrame:
        return False
    try:
        again = frames.encode(frame)
    except frames.BadFrame:
        return True  # longer as we would say it
    hold(read(again[4:]) == frame, "a frame means one thing")
    return True


def _said(data: bytes) -> bool:
    return _read(data, frames.said)


def _told(data: bytes) -> bool:
    return _read(data, frames.told)


def _said_seeds() -> dict[str, bytes]:
    effect = Effect("keep", "op", {"name": "n", "value": [1, None, "x"]})
    found: dict[str, frames.Said] = {
        "log": frames.Log("a line"),
        "call": frames.Call("view", {"name": "loan.list", "args": {"overdue": True}}),
        "effect": frames.Wants(effect),
        "done": frames.Done({"files": 3}, 12, 1 << 25),
        "failed": frames.Failed("fault", "ValueError: no", again=True, cpu_ms=1, memory=2),
    }
    return {name: frames.encode(frame) for name, frame in found.items()}


def _told_seeds() -> dict[str, bytes]:
    start = frames.Start(
        "module:run", "tidy", 7, 1, 1_780_000_000_000, 3, False, Limits(), {"a": 1}, {"event": "x"}
    )
    found: dict[str, frames.Told] = {"start": start, "answer": frames.Answer({"loans": []})}
    return {name: frames.encode(frame) for name, frame in found.items()}


TARGETS = (
    Target("job-said", _said, _said_seeds, "json", memory=8 << 20),
    Target("job-told", _told, _told_seeds, "json", memory=8 << 20),
)
