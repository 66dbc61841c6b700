"""Targets of jobs: what a worker says to the scheduler, and the scheduler to a worker."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache

from tests.fuzz.target import Target, hold

from commons_node.jobs import frames
from commons_node.jobs.effects import BadEffect, Effect, commit
from commons_node.jobs.job import Limits
from commons_node.jobs.schema import JOBS_SCHEMA


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


_BAD = {
    "bad length": bytes(4),
    "bad size": b"\xff\xff\xff\xff{}",
    "bad tag": b'\0\0\0\x0e{"type":"fly"}',
    "bad end": b'\0\0\0\x20{"type":"log"',
}


@lru_cache
def _file() -> sqlite3.Connection:
    file = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for script in JOBS_SCHEMA:
        file.executescript(script)
    return file


def _effect(data: bytes) -> bool:
    """An effect of a handler: kept whole, or refused; nothing else comes of it."""
    try:
        frame = frames.said(data)
    except frames.BadFrame:
        return False
    if not isinstance(frame, frames.Wants):
        return False
    file = _file()
    file.execute("BEGIN")
    try:
        hold(commit(file, "job", 1, 1_780_000_000_000, [frame.effect]) == 1, "it is new")
        hold(commit(file, "job", 2, 1_780_000_000_000, [frame.effect]) == 0, "it is kept once")
    except BadEffect:
        return False
    finally:
        file.execute("ROLLBACK")
    return True


def _effect_seeds() -> dict[str, bytes]:
    bodies: dict[str, dict[str, object]] = {
        "keep": {"name": "n", "value": [1]},
        "notice": {"text": "hello", "about": {"code": "overdue"}},
        "sample": {"values": {"figure": 1.5}},
        "outbox": {"to": "event", "body": {"count": 3}},
        "fly": {},
    }
    wants = {kind: frames.Wants(Effect(kind, "op", body)) for kind, body in bodies.items()}
    found = {kind: frames.encode(frame)[4:] for kind, frame in wants.items()}
    return found | {"bad kind": found.pop("fly")}


def _said_seeds() -> dict[str, bytes]:
    effect = Effect("keep", "op", {"name": "n", "value": [1, None, "x"]})
    found: dict[str, frames.Said] = {
        "log": frames.Log("a line"),
        "call": frames.Call("view", {"name": "loan.list", "args": {"overdue": True}}),
        "effect": frames.Wants(effect),
        "done": frames.Done({"files": 3}, 12, 1 << 25),
        "failed": frames.Failed("fault", "ValueError: no", again=True, cpu_ms=1, memory=2),
    }
    return {name: frames.encode(frame) for name, frame in found.items()} | _BAD


def _told_seeds() -> dict[str, bytes]:
    start = frames.Start(
        "module:run", "tidy", 7, 1, 1_780_000_000_000, 3, False, Limits(), {"a": 1}, {"event": "x"}
    )
    found: dict[str, frames.Told] = {"start": start, "answer": frames.Answer({"loans": []})}
    return {name: frames.encode(frame) for name, frame in found.items()} | _BAD


TARGETS = (
    Target("job-said", _said, _said_seeds, "binary", memory=8 << 20),
    Target("job-effect", _effect, _effect_seeds, "json", memory=8 << 20),
    Target("job-told", _told, _told_seeds, "binary", memory=8 << 20),
)
