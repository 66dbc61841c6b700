"""Answers of the doctor that no machine here can be brought to give."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from commons_node.doctor import machine
from commons_node.doctor.check import STATES, Check, worst
from commons_node.doctor.seeing import guarded, in_words

_DAY_MS = 86_400_000
_NOW = 1_760_000_000_000
_Disk = namedtuple("_Disk", "total used free")


@pytest.mark.parametrize(
    ("newest", "state"),
    [
        (None, "ok"),
        (_NOW - 1000, "ok"),
        (_NOW + 60_000, "ok"),  # neighbours' clocks differ a little
        (_NOW + 2 * _DAY_MS, "fail"),
        (_NOW + 365 * _DAY_MS, "fail"),
        (_NOW - 400 * _DAY_MS, "warn"),
    ],
)
def test_a_clock(newest: int | None, state: str) -> None:
    found = machine.clock(_NOW, newest)
    assert found.state == state
    assert bool(found.fix) == (state != "ok")


def test_a_zone_that_is_not_here() -> None:
    assert machine.zone(["Europe/Stockholm"]).state == "ok"
    found = machine.zone(["Europe/Stockholm", "Mars/Olympus"])
    assert (found.state, found.facts) == ("fail", {"zones": 2, "unknown": 1})


@pytest.mark.parametrize(("mib", "state"), [(10, "fail"), (100, "warn"), (1000, "ok")])
def test_a_disk(mib: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: _Disk(0, 0, mib << 20))
    assert machine.disk(tmp_path).state == state


def test_no_randomness_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(_count: int, _flags: int) -> bytes:
        raise BlockingIOError

    assert machine.entropy().state == "ok"
    monkeypatch.setattr("os.getrandom", waits)
    assert machine.entropy().state == "fail"


def test_one_fault_keeps_no_other_question_from_being_asked() -> None:
    def falls() -> Check:
        raise RuntimeError("no such thing")

    found = guarded("disk", falls)
    assert (found.check, found.state) == ("disk", "fail")
    assert "no such thing" in found.detail
    assert "no such thing" not in str(dict(found.facts)), "what a report may hold names nothing"


def test_the_sum_is_the_worst() -> None:
    checks = [Check("a", "ok", "Fine."), Check("b", "warn", "So so.", "mend it")]
    assert worst([]) == "ok"
    assert worst(checks) == "warn"
    assert STATES.index("fail") > STATES.index("warn")
    assert "try: mend it" in in_words(checks, None)
