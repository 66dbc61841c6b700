"""What decided a verdict is named: for every reason that something decided, in random sets."""

from __future__ import annotations

import random
from collections import Counter

from tests.authority.dice import random_set
from tests.authority.evaluators import Keeper, word
from tests.authority.sets import causal_order, judged

from commons_crdt.authority.causes import DECIDED, PARTS
from commons_crdt.ids import OperationId
from commons_crdt.sentences import SENTENCES

ELSEWHERE = {"spent", "pin", "seal"}
"""Reasons that whole sets of the dice never show; they have stories of their own."""


def test_every_decided_reason_has_a_sentence() -> None:
    assert set(SENTENCES) >= DECIDED


def test_whatever_decided_is_named() -> None:
    """Every reason of ``DECIDED`` has a cause, each once, none of them the operation itself."""
    seen: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    for seed in range(160):
        village = random_set(seed)
        keeper = Keeper.of(village)
        known = judged(village).verdicts
        for x in causal_order(village, known, random.Random(seed)):
            keeper.hear(x)
        for x, standing in keeper.standings.items():
            found = keeper.judge.causes(village.all[x].candidate, standing, keeper.standings.get)
            reason = standing.judgement.reason
            doubled = standing.log == 1 and reason == "fork"
            if reason in DECIDED and not doubled:
                assert found, f"seed {seed}: {word(standing.judgement)} of {standing.kind}"
            seen[reason] += 1
            parts.update(one.part for one in found)
            assert {one.part for one in found} <= PARTS
            assert len(set(found)) == len(found), f"seed {seed}: each once"
            here = [one for one in found if one.part != "missing"]
            own = {"sibling"} if reason == "fork" else set[str]()
            assert x not in {OperationId(o.operation) for o in here if o.part not in own}, (
                f"seed {seed}: nothing decides on itself: {word(standing.judgement)}"
            )
    unreached = DECIDED - set(seen) - ELSEWHERE
    assert not unreached, f"no set shows {sorted(unreached)}: {seen}"
    assert {"removal", "dismissal", "recovery", "branch", "closing", "sibling"} <= set(parts)
    assert {"rival", "grant", "demotion", "seal", "council", "earlier"} <= set(parts), parts
