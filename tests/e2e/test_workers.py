"""A verifier process that is killed costs time: nothing is lost, and no verdict changes."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.neighbourhood import House, agree, alive, cut, heal, kill_9, street, until

pytestmark = pytest.mark.long
ROWS = 1500
PAUSES = (0.02, 0.15, 0.4, 0.7, 0.25, 0.55, 0.1, 0.9, 0.3, 0.5, 0.2, 0.8)
"""Seconds from the beginning of an import to a kill: not at each of them does a worker work."""


@pytest.fixture(scope="module")
def neighbours() -> Iterator[list[House]]:
    with street() as elm_street:
        yield elm_street.community("alice", "bob")


def inventory(begin: int) -> dict[str, str]:
    rows = (f"{n},Thing {n},{n % 9},{n % 2}" for n in range(begin, begin + ROWS))
    text = "number,name,quantity,needs_approval\n" + "\n".join(rows) + "\n"
    return {"name": "things.csv", "data": base64.b64encode(text.encode()).decode()}


@contextmanager
def killing_workers(house: House, pauses: list[float]) -> Iterator[list[int]]:
    """Kill a verifier process of ``house`` after each pause, as long as the block lasts."""
    killed: list[int] = []
    over = threading.Event()

    def run() -> None:
        for pause in pauses:
            if over.wait(pause):
                return
            killed.extend(pid for pid in house.workers()[:1] if kill_9(pid))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_during_an_import(neighbours: list[House]) -> None:
    alice, bob = neighbours
    total: list[int] = []
    imported = 0
    for n, pause in enumerate(PAUSES):
        if n >= 4 and len(total) >= 2 and "worker_lost" in alice.whole_log():
            break
        until(alice.workers, "a worker runs")
        with killing_workers(alice, [pause]) as killed:
            report = alice.do("resource.import", file=inventory(1 + n * ROWS))
        assert report["created"] == ROWS, "every row is imported"
        assert report["failed"] == 0
        total += killed
        imported += ROWS
    assert len(total) >= 2, "workers were really killed while it ran"
    assert "worker_lost" in alice.whole_log(), "and missed"
    assert not any(map(alive, total))
    things = alice.see("resource.list")["resources"]
    assert {thing["number"] for thing in things} == {str(n) for n in range(1, imported + 1)}
    counts = alice.operations()
    assert counts["rejected"] == counts["contested"] == counts["pending"] == 0, counts
    agree(alice, bob)


def test_during_a_sync(neighbours: list[House]) -> None:
    alice, bob = neighbours
    cut(alice, bob)
    alice.do("resource.import", file=inventory(100_001))
    held = sum(bob.operations().values())
    wanted = sum(alice.operations().values())
    until(bob.workers, "a worker runs")
    with killing_workers(bob, [0.0, 0.4, 0.3, 0.5, 0.3, 0.6, 0.5]) as killed:
        heal(bob, alice)
        deadline = time.monotonic() + 60
        while sum(bob.operations().values()) < wanted and time.monotonic() < deadline:
            time.sleep(0.05)
    assert killed, "workers were really killed while it ran"
    assert wanted - held >= ROWS, "there was much to verify"
    agree(alice, bob)
    for house in (alice, bob):
        counts = house.operations()
        assert counts["rejected"] == counts["contested"] == counts["pending"] == 0, house.name
    assert bob.verdicts() == alice.verdicts(), "no verdict is another"
    assert bob.see("status")["ready"] is True
    kill_all = bob.workers()
    for pid in kill_all:
        kill_9(pid)
    answer = bob.do("loan.request", resource="1", days=1)
    assert answer["verdict"] == "accepted", "with all workers gone, new ones are started"
    agree(alice, bob)
