"""What ten million operations would cost cannot be tried here; what one costs does not grow.

Counted in calls of Python functions and in living objects, never in time: the thousandth operation
of a community and the millionth cost the judge the same, and it keeps nothing of either.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from tests.unit.rooms import village
from tests.unit.town import NOTE, Number

from commons_crdt.authority.judge import Candidate, Judge, Standing
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO, DeviceId, OperationId
from commons_crdt.operation import VERSION, Header
from commons_crdt.verdict import Verdict

SAMPLE = 200
SIZES = (10_000, 100_000, 1_000_000)
BODY = 32
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


class Bookkeeper:
    """Judges one chain after the other, round robin, and keeps only the last of each."""

    def __init__(self) -> None:
        self.home, people = village()
        self.turns = deque(sorted(who.device.keys.id for who in people[1:]))
        granted = self.home.judge.authority.devices
        self.tops = {device: self.home.standings[granted[device].id] for device in self.turns}
        self.seqs = dict.fromkeys(self.turns, 0)
        self.count = 0

    def one(self, device: DeviceId | None = None, pause_ms: int = MINUTE_MS) -> Standing:
        """The next operation of a device, or of the one whose turn it is."""
        if device is None:
            device = self.turns[0]
            self.turns.rotate(-1)
        before = self.tops[device]
        self.count += 1
        seq, lamport = self.seqs[device] + 1, before.lamport + 1
        header = Header(
            VERSION, self.home.realm, device, 1, seq, before.id, lamport,
            before.time_ms + pause_ms, NOTE, ZERO, (), (), ZERO, BODY, (),
        )  # fmt: skip
        ident = OperationId(self.count.to_bytes(32))
        candidate = Candidate(ident, header, Number(1), True)
        found = self.home.judge.judge(candidate, {before.id: before}.get)
        assert isinstance(found, Standing)
        assert found.judgement.verdict is Verdict.ACCEPTED, found.judgement
        self.tops[device] = found
        self.seqs[device] += 1
        return found

    def refusal(self, device: DeviceId, pause_ms: int) -> str:
        """Why the next operation is refused; "" if it is not."""
        try:
            self.one(device, pause_ms)
        except Refused as refused:
            return refused.why
        return ""

    def until(self, count: int) -> None:
        while self.count < count:
            self.one()


def calls(keeper: Bookkeeper) -> float:
    """Python calls for one operation, on the average of some."""
    counted = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal counted
        counted += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for _ in range(SAMPLE):
            keeper.one()
    finally:
        sys.setprofile(before)
    return counted / SAMPLE


def growth(sizes: tuple[int, ...]) -> Iterator[tuple[float, int]]:
    """(calls for one operation, living objects) at each size."""
    keeper = Bookkeeper()
    for size in sizes:
        keeper.until(size)
        cost = calls(keeper)
        gc.collect()
        yield cost, len(gc.get_objects())


def assert_flat(found: list[tuple[float, int]]) -> None:
    costs = [cost for cost, _ in found]
    kept = [objects for _, objects in found]
    assert max(costs) <= 1.01 * min(costs), f"calls for one operation: {costs}"
    assert max(kept) - min(kept) < 1000, f"living objects: {kept}"


@pytest.mark.long
def test_an_operation_costs_the_same_behind_ten_thousand_and_a_million() -> None:
    assert_flat(list(growth(SIZES)))


def test_a_judge_that_looks_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Judge.judge
    seen: list[Standing] = []

    def looks_back(judge: Judge, candidate: Candidate, lookup: Any) -> Any:
        found = honest(judge, candidate, lookup)
        seen.append(found)  # type: ignore[arg-type]  # nothing is missing in this story
        for _ in range(len(seen) // 1000):
            judge.authority.news(found.view)  # type: ignore[union-attr]  # likewise
        return found

    monkeypatch.setattr(Judge, "judge", looks_back)
    with pytest.raises(AssertionError, match="calls for one operation"):
        assert_flat(list(growth((2_000, 6_000))))


def test_a_chain_cannot_outgrow_its_budget() -> None:
    """However fast they are made: a full bucket, and then so many for each hour that it claims."""
    keeper = Bookkeeper()
    authority = keeper.home.judge.authority
    device = keeper.turns[0]
    rate = authority.rate(authority.devices[device], keeper.tops[device].view)

    def as_many_as_fit(hours: int) -> int:
        for count in range(1 << 20):
            refused = keeper.refusal(device, 0 if count else hours * HOUR_MS)
            if refused:
                assert refused == "budget"
                return count
        raise AssertionError("it never ends")

    each = rate.cost(BODY)
    assert as_many_as_fit(0) == rate.capacity // each
    assert as_many_as_fit(1) == rate.per_hour // each
    assert as_many_as_fit(1000) == rate.capacity // each, "what was not used is not saved up"
