"""A node that answers nobody any more: every key still draws at once, and the answer comes late."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, House, Street
from tests.tui.hall import build
from tests.tui.screen import Seat, seat

STILL_S = 1.0
"""No call may hold up the screen so much longer than a busy machine does by itself; a frozen node
would for 30 seconds."""


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    return build(elm_street, "frozen")


@contextmanager
def frozen(house: House) -> Iterator[None]:
    """The daemon's process does nothing, but its socket still takes connections."""
    os.kill(house.process.pid, signal.SIGSTOP)
    try:
        stat = Path(f"/proc/{house.process.pid}/stat")
        deadline = time.monotonic() + 5
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline, "the node stands still"
            time.sleep(0.01)
        yield
    finally:
        os.kill(house.process.pid, signal.SIGCONT)


class Pulse:
    """How long the program was ever busy without looking at the keys; and how long a bystander in
    it, who waits for nothing but the machine, had to wait at the most.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.bystander_s = 0.0
        self.beats = 0
        self._over = threading.Event()
        self._bystander = threading.Thread(target=self._stand_by)

    def __enter__(self) -> Pulse:
        self._bystander.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._bystander.join()

    def _stand_by(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            time.sleep(0.02)
            self.bystander_s = max(self.bystander_s, time.monotonic() - began)

    async def beat(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.02)
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.beats += 1


async def goes_about(anna: Seat) -> None:
    """Through the places, the help, the palette, a form: nothing of it needs an answer."""
    await anna.press("2")
    await anna.sees("▸2 Things")
    await anna.press("down", "/")
    await anna.types("drill")
    await anna.sees("drill")
    await anna.press("enter", "r")
    await anna.sees("Ask to borrow", "For how many days")
    await anna.press("ctrl+s")  # this one asks the node: the rest goes on meanwhile
    await anna.press("3")
    await anna.sees("▸3 Loans")
    await anna.press("question_mark")
    await anna.sees("Keys", "Hand over")
    await anna.press("escape")
    await anna.press("1")
    await anna.sees("▸1 Home")


async def test_nothing_waits_for_a_node_that_does_not_answer(hall: House) -> None:
    before = len(hall.see("loan.list")["loans"])
    async with seat(hall.home, (80, 24)) as anna:
        await anna.unlocks(PASSPHRASE)
        await anna.press("2")
        await anna.sees("Spirit level")
        await anna.press("3")
        await anna.sees("? asked for")
        pulse = Pulse()
        beating = asyncio.create_task(pulse.beat())
        with frozen(hall), pulse:
            began = time.monotonic()
            await goes_about(anna)
            took = time.monotonic() - began
        beating.cancel()
        assert pulse.beats > 10, "it was looked at all the time"
        still = pulse.longest_s - pulse.bystander_s
        assert still < STILL_S, f"the screen stood still for {still:.2f} s more than the machine"
        assert took < 29, f"no call was waited for: {took:.1f} s"
        await anna.until(
            lambda: len(hall.see("loan.list")["loans"]) == before + 1, "what was asked came through"
        )
