"""Targets of the sandbox: what an agent says to the process that holds it."""

from __future__ import annotations

import json
from typing import Any

from tests.fuzz.target import Target, hold

from commons_node.jobs import frames
from commons_node.jobs.handler import HandlerFailed
from commons_node.sandbox.agent import ask, result_of


class _Guest:
    def used(self) -> int:
        return 7

    def leave(self, most: int) -> None:
        raise AssertionError(f"nothing said that it may take {most}")


class _Echo:
    """A daemon that answers with what it was asked."""

    def log(self, text: str) -> None:
        hold(isinstance(text, str), "a log is text")

    def ask(self, method: str, params: dict[str, Any], fuel: int) -> frames.Answer:
        frames.encode(frames.Call(method, params, fuel))  # as the real one does
        return frames.Answer(params)


def _asks(data: bytes) -> bool:
    """Method, a line's end, parameters: answered in JSON, whatever they are."""
    method, _, params = data.decode("utf-8", "replace").partition("\n")
    good, text = ask(_Echo(), method, params, _Guest())
    found = json.loads(text)
    if not good:
        hold(set(found) == {"code", "error"}, "an error has a code and a sentence")
    return good


def _ends(data: bytes) -> bool:
    """A letter for good or not, and what the run gave back."""
    text = data[1:].decode("utf-8", "replace")
    try:
        result_of(data[:1] == b"+", text, _Echo())
    except HandlerFailed as error:
        hold(isinstance(str(error), str) and len(error.code) <= 64, "a code is a short word")
        return data[:1] != b"+"
    return True


def _ask_seeds() -> dict[str, bytes]:
    return {
        "query": b'docs.query\n{"collection":"loan","fields":["due"]}',
        "log": b'log\n{"text":"a line"}',
        "bad log": b'log\n{"text":[1,{"a":null}]',
        "bad list": b"kv.get\n[1,2]",
        "bad deep": b"x\n" + b"[" * 3000,
        "bad name": b"\n{}",
    }


def _end_seeds() -> dict[str, bytes]:
    failed = {"code": "fault", "error": "ValueError: no", "traceback": "a.py:1\n  x", "again": True}
    return {
        "good": b'+{"late":3,"names":["Ann"]}',
        "failed": b"-" + json.dumps(failed).encode(),
        "bad result": b"+[1,",
        "garbage": b"-[]",
    }


TARGETS = (
    Target("agent-asks", _asks, _ask_seeds, "json", memory=8 << 20),
    Target("agent-ends", _ends, _end_seeds, "json", memory=8 << 20),
)
