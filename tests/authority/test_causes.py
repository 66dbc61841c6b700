"""What decided a verdict is named: for every reason that something decided, in random sets."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from tests.authority.dice import random_set
from tests.authority.evaluators import Keeper, word
from tests.authority.sets import causal_order, judged
from tests.authority.village import ALICE, Person, Village

from commons_crdt.authority.causes import DECIDED, PARTS, Cause
from commons_crdt.authority.council_facts import CouncilAct, Seal
from commons_crdt.ids import OperationId, digest
from commons_crdt.sentences import SENTENCES

ELSEWHERE = {"spent", "pin", "seal"}
"""Reasons that whole sets of the dice never show; below, something is missing or added."""


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


def heard(village: Village, ids: Iterable[OperationId], pin: OperationId | None = None) -> Keeper:
    keeper = Keeper.of(village, pin)
    for x in causal_order(village, ids, random.Random(1)):
        keeper.hear(x)
    return keeper


def named(keeper: Keeper, reason: str) -> list[tuple[Cause, ...]]:
    """What is named for each operation with this reason."""
    return [
        tuple(keeper.judge.causes(keeper.village.all[x].candidate, standing, keeper.standings.get))
        for x, standing in keeper.standings.items()
        if standing.judgement.reason == reason
    ]


def test_a_pin_that_is_not_here_is_named() -> None:
    pin = OperationId(digest("t-pin"))
    for seed in range(40):
        village = random_set(seed)
        found = named(heard(village, village.all, pin), "pin")
        assert len(found) == len(judged(village).verdicts), "everything waits for it"
        assert set(found) == {(Cause("pin", pin),)}


def test_what_a_seal_lists_and_is_not_here_is_named() -> None:
    """Each tip of log 1 is held back once, with what rests on it."""
    waiting = 0
    for seed in range(160):
        village = random_set(seed)
        bodies = {x: one.candidate.body for x, one in village.all.items()}
        seals = {
            x: body.act
            for x, body in bodies.items()
            if isinstance(body, CouncilAct) and isinstance(body.act, Seal)
        }
        listed = [tip for seal in seals.values() for tip in seal.tips]
        tips = {OperationId(tip.id) for tip in listed if tip.log == 1} & village.all.keys()
        for tip in sorted(tips):
            absent = {tip}
            for x in causal_order(village, village.all, random.Random(1)):
                if absent & set(village.all[x].header.antecedents):
                    absent.add(x)
            keeper = heard(village, village.all.keys() - absent)
            for causes in named(keeper, "seal"):
                waiting += 1
                assert causes[0].part == "seal", "the seal that makes it wait"
                assert causes[0].operation in seals
                assert Cause("missing", tip) in causes, "and the act that has not come"
    assert waiting, "some of these seals are in force"


def test_an_invite_that_is_used_up_is_named_whatever_else_happened() -> None:
    spent = 0
    for seed in range(80):
        village = random_set(seed)
        home = village.island("late", judged(village).verdicts)
        invite = home.invite(ALICE.device, "late")
        home.admit(ALICE.node, invite, Person("heidi"))
        late = home.admit(ALICE.node, invite, Person("ivan"))
        keeper = heard(village, village.all)
        standing = keeper.standings[late]
        if standing.judgement.reason == "spent":
            spent += 1
            candidate = village.all[late].candidate
            found = keeper.judge.causes(candidate, standing, keeper.standings.get)
            assert Cause("invite", invite) in found, found
    assert spent > 20, spent
