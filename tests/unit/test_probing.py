"""Whoever asks for a node's health makes it write no more than a little, however often they ask."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from commons_node.health import probing
from commons_node.health.probing import FRESH_S, STATUS_S, Part, _written


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(probing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.mark.anyio
async def test_many_who_ask_at_once_cost_one_try(clock: list[float]) -> None:
    tries: list[float] = []

    async def attempt() -> None:
        tries.append(clock[0])
        await asyncio.sleep(0)

    part = Part(attempt)
    assert all(await asyncio.gather(*(part.well() for _ in range(200))))
    assert len(tries) == 1
    for second in range(60):
        clock[0] = float(second)
        assert await part.well()
    assert len(tries) == 60 / FRESH_S
    clock[0] = tries[-1] + STATUS_S - 1
    assert await part.well(STATUS_S)
    assert len(tries) == 60 / FRESH_S, "status alone asks more rarely"


@pytest.mark.anyio
async def test_what_failed_is_tried_again_soon_and_says_why(clock: list[float]) -> None:
    faults: list[Exception] = [OSError(30, "Read-only file system")]

    async def attempt() -> None:
        if faults:
            raise faults[0]

    part = Part(attempt)
    assert not await part.well(STATUS_S)
    assert "Read-only file system" in part.why
    faults.clear()
    clock[0] = FRESH_S
    assert await part.well(STATUS_S), "well again: it is not said for a minute that it is not"
    assert part.why == ""


@pytest.mark.anyio
async def test_a_disk_that_hangs_is_tried_once(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PATIENCE_S", 0.01)
    hung, tries = asyncio.Event(), [0]

    async def attempt() -> None:
        tries[0] += 1
        await hung.wait()

    part = Part(attempt)
    for second in range(5):
        clock[0] = second * 2 * FRESH_S
        assert not await part.well()
    assert tries == [1], "no second try beside one that still hangs"
    hung.set()
    monkeypatch.setattr(probing, "PATIENCE_S", 30)
    await asyncio.sleep(0.01)
    clock[0] += FRESH_S
    assert await part.well(), "and it goes on by itself"


def test_the_small_file_is_private_follows_no_link_and_does_not_stay(tmp_path: Path) -> None:
    path, other = tmp_path / "probe", tmp_path / "other"
    _written(path)
    assert not path.exists()
    other.write_text("mine")
    path.symlink_to(other)
    with pytest.raises(OSError, match=os.strerror(40)):
        _written(path)
    assert other.read_text() == "mine"
    _written(path)
    assert list(tmp_path.iterdir()) == [other]
