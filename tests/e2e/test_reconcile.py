"""The bench of comparing, small: two realms on disk over a real libp2p stream."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import reconcile


@pytest.mark.long
async def test_a_few_tips_that_differ_cost_little_and_nothing_costs_one_round_trip(
    tmp_path: Path,
) -> None:
    found = await reconcile._measure(tmp_path, 600, 60)
    assert (found["devices"], found["differing"]) == (60, reconcile.DIFFERING)
    assert 0 < float(str(found["bytes"])) < 20_000
    assert float(str(found["equal_bytes"])) <= 100
    assert 0.9 <= float(str(found["equal_rounds"])) <= 1, "two that begin at once share one"
