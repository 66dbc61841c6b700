"""The dice reach every verdict of log 0: a rule that no set touches is a rule that nobody tests."""

from __future__ import annotations

import random
from collections import Counter

from tests.authority.dice import random_set
from tests.authority.evaluators import word
from tests.authority.sets import judged, some_part
from tests.authority.village import EVE, prologue

from commons_crdt.sentences import SENTENCES

ELSEWHERE = {"missing", "part", "party", "reference", "self", "terms", "contents", "spent"}
"""Reasons of a state that is no verdict, of log 1 alone, or of bodies that were erased."""


def reasons(seeds: range) -> Counter[str]:
    """How often each verdict comes, in whole sets and in parts of them under the newest seal."""
    found: Counter[str] = Counter()
    for seed in seeds:
        village = random_set(seed)
        whole = judged(village)
        found.update(word(j) for j in whole.verdicts.values())
        if whole.world is not None and whole.world.seals:
            pin = whole.world.seals[-1]
            dice = random.Random(seed)
            tips = [tip.id for tip in village.all[pin].body.act.tips if tip.log]
            gap = dice.choice(tips) if tips else None
            for part in (some_part(village, dice), [x for x in village.all if x != gap]):
                found.update(word(j) for j in judged(village, part, pin).verdicts.values())
    return found


def test_every_reason_occurs() -> None:
    found = reasons(range(220))
    known = {said[said.index("(") + 1 : -1] for said in found if "(" in said}
    unreached = set(SENTENCES) - known - ELSEWHERE - {""}
    assert not unreached, f"no set of these seeds is judged {sorted(unreached)}: {found}"
    assert known <= set(SENTENCES), "every reason has a sentence that a member understands"
    for verdict in (
        "contested(fork)",
        "contested(grant)",
        "contested(identity)",
        "rejected(grant)",
        "pending(cut)",
        "pending(seal)",
        "pending(pin)",
        "unknown(unlisted)",
    ):
        assert found[verdict] >= 3, f"{verdict}: {found[verdict]}"


def test_a_body_that_is_not_here_is_waited_for() -> None:
    """The reason that sets of whole operations never show."""
    from tests.authority.oracle import judge_all
    from tests.authority.village import RULES

    village, home = prologue()
    spoken = home.note(EVE.device)
    candidates = [
        c if c.id != spoken else type(c)(c.id, c.header, None, False) for c in village.candidates()
    ]
    answer = judge_all(village.realm, candidates, RULES)
    assert word(answer.verdicts[spoken]) == "pending(contents)"
