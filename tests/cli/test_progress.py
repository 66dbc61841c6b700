"""How far a long verb is: shown to who looks on, and to nobody else."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from commons_cli import progress
from commons_cli.options import Options
from commons_node.api.client import Client


def test_the_line_says_how_much_of_how_much() -> None:
    assert progress.line({"bytes": 3_210_000, "total": 10_000_000}) == "3.2 of 10.0 MB (32 %)"
    assert progress.line({"bytes": 3_210_000, "total": None}) == "3.2 MB"
    assert progress.line({"bytes": "x\x1b[2J", "total": 1}) == "", "nothing drives the terminal"


def test_a_share_has_a_bar_that_goes_when_all_is_done() -> None:
    assert progress.line({"done": 34, "total": 100}) == "[######--------------] 34 %"
    assert progress.line({"done": 0, "total": 7}) == f"[{'-' * 20}] 0 %"
    assert progress.line({"done": 100, "total": 100}) == "", "what comes after it takes its time"
    assert progress.line({"done": -1, "total": 100}) == ""
    assert progress.line({"done": 1, "total": -5}) == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_sees_it_and_the_line_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = threading.Event()

    def events(_client: Any) -> Iterator[dict[str, Any]]:
        yield {"event": "sync", "detail": "x"}
        yield {"event": "bundle", "bytes": 500_000, "total": 1_000_000}
        seen.set()

    monkeypatch.setattr(Client, "events", events)
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with progress.shown("bundle", Options()):
        assert seen.wait(5)
    shown = screen.getvalue()
    assert shown.count("0.5 of 1.0 MB (50 %)") == 1
    assert shown.endswith("\r\x1b[K")


def test_nobody_who_does_not_look_on_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(_client: Any) -> Iterator[dict[str, Any]]:
        raise AssertionError("nobody listens")

    monkeypatch.setattr(Client, "events", asked)
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    with progress.shown("bundle", Options()):
        pass
    assert screen.getvalue() == ""
