"""Whoever breaks rules is kept out, and nobody else: a whole town on a transport that is whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from commons_node.peering import penalties
from commons_node.peering.penalties import Penalties
from commons_node.testing.plan import SMALL
from commons_node.testing.storm import run
from commons_node.testing.weather import ROUGH

pytestmark = pytest.mark.long

WHOLE = replace(ROUGH, mangled=0.0)
"""Frames come late, or not at all with all that is behind them; none is changed on the way."""


@pytest.mark.parametrize("seed", [3, 7])
def test_among_liars_no_honest_node_is_ever_kept_out(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    blamed: list[str] = []
    offence = Penalties.offence

    def noted(self: Penalties, subject: str, node: str, why: str, now: int) -> object:
        blamed.append(why)
        return offence(self, subject, node, why, now)

    monkeypatch.setattr(Penalties, "offence", noted)
    plan = replace(SMALL, liars=2, lies=("forge", "flood"), weather=WHOLE)
    outcome, _ = run(seed, plan)
    assert not outcome.wrong
    assert outcome.faults["met_forge"] > 0, "liars brought forged operations"
    assert blamed, "and were blamed for it"


def test_a_node_that_blames_whoever_passes_on_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blamed for what others see differently, honest nodes are kept out: the checks say so."""
    everything = frozenset({"ended", "stranger", "chain", "limit", "lamport", "signature"})
    monkeypatch.setattr("commons_node.peering.guard.BLAMED_OPERATIONS", everything)
    monkeypatch.setattr(penalties, "WINDOW_MS", 1 << 40)
    plan = replace(SMALL, liars=2, weather=WHOLE)
    wrong = [sentence for seed in (6, 12, 17) for sentence in run(seed, plan)[0].wrong]
    assert any("keeps an honest node out" in sentence for sentence in wrong)
