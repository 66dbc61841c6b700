"""Every rule is held by a test: the oracle without it, and the story that notices.

A mutant breaks one rule on purpose. If its story still passed, the rule could be dropped by
accident, and nobody would know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.authority import test_counterexamples as stories
from tests.authority.dice import random_set
from tests.authority.evaluators import Says, slow
from tests.authority.oracle import identity, signatures, verdicts
from tests.authority.oracle.council import Council, State
from tests.authority.oracle.cuts import Chains
from tests.authority.oracle.seals import Sealed
from tests.authority.oracle.strata import World
from tests.authority.test_paxos import sit
from tests.authority.test_properties import sealed as sealed_property

Patch = Callable[[pytest.MonkeyPatch], None]
Story = Callable[[Says], object]


def always(value: object) -> Callable[..., object]:
    return lambda *_args, **_how: value


def put(owner: Any, name: str, value: object) -> Patch:
    """Replace a rule."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def around(owner: Any, name: str, change: Callable[..., object]) -> Patch:
    """Replace a rule by a change of what it says: ``change(answer, *arguments)``."""
    rule = getattr(owner, name)

    def changed(*args: Any) -> object:
        return change(rule(*args), *args)

    return put(owner, name, changed)


def sittings(_says: Says) -> None:
    """The council's property, over enough sittings."""
    for seed in range(120):
        sit(seed)


def seals(_says: Says) -> None:
    for seed in range(150):
        sealed_property(random_set(seed), seed)


def cycle(says: Says) -> None:
    stories.test_a_cycle_of_removals_among_equals_removes_nobody(says, 3)


def counts_without(rule: str) -> Callable[[Any, Any], bool]:
    """Council.counts with one of its two rules left out."""

    def counts(self: Any, x: Any) -> bool:
        message = self.message(x)
        if isinstance(message, str):
            return False
        base, ballot, act = message
        earlier = [self._at(y, base) for y in self.archive.line(x)[:-1]]
        if rule != "memory" and any(
            seen and (seen[1] > ballot or (seen[1] == ballot and seen[2] not in {None, act}))
            for seen in earlier
        ):
            return False
        body = self.archive.body(x)
        named = getattr(body, "ballot", None)
        if named is not None:
            return bool(self.counts(named))
        if type(body).__name__ == "Promise" or ballot == (0, 0) or rule == "promises":
            return True
        return bool(self._prepared(x, self.state(base), ballot))

    return counts


def repeats_anything(self: Any, x: Any, state: State, ballot: Any) -> bool:
    """Promises are asked for, but not what they show."""
    promised = {
        self.archive.ops[y].header.device
        for y in self.archive.past(x)
        if (m := self._at(y, state.base)) is not None and m[1] == ballot and m[2] is None
    }
    return len(promised | {self.archive.ops[x].header.device}) >= state.majority


def covers_by_list_alone(answer: object, chains: Any, cut: Any, x: Any) -> bool:
    return bool(answer) or chains.archive.ops[x].header.device in cut.table


def lists_everything(answer: Any, chains: Any, cut: Any, x: Any) -> object:
    """What a cut does not list goes on."""
    device = chains.archive.ops[x].header.device
    return x if device not in {e.device for e in cut.endings} else answer


def stories_kinds() -> tuple[type, ...]:
    from tests.authority.oracle.strata import C_KINDS

    return C_KINDS


def bare_removals(world: Any) -> list[Any]:
    """Member cuts by removals, whoever wrote them: as if (C) looked at itself."""
    from tests.authority.oracle.cuts import Cut

    from commons_crdt.authority.facts import Removal

    return [
        Cut(x, "member", world.archive.body(x).member, world.archive.body(x).endings)
        for x in world.archive.of(world.set, Removal)
    ]


def one_guardian_twice(says: Says) -> None:
    """Two endorsements of one guardian are one guardian."""
    from tests.authority.village import BOB, DAN, EVE, prologue
    from tests.unit.town import secrets

    village, home = prologue()
    phone = secrets("dan's next phone")
    draft = village.recovery(DAN, village.roots["dan"], phone, ())
    statement = village.statement("identity.recover.1", draft)
    notes = [home.stand_for(BOB.device, DAN, statement) for _ in range(2)]
    both = home.recover(DAN, village.roots["dan"], phone, (), notes, by=EVE.device)
    assert says(village, both) == "rejected(warrant)", "two endorsements, one guardian"


def everybodys_recoveries(_answer: object, world: Any, _x: Any, stage: Any) -> list[Any]:
    return [c for r in world.roots() for c in world.chain_of(r, stage).newest.cuts]


def recoveries_reach_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both places that keep a recovery to its own identity are gone."""
    around(Chains, "covers", covers_by_list_alone)(monkeypatch)
    around(World, "recoveries", everybodys_recoveries)(monkeypatch)


@dataclass(frozen=True)
class Mutant:
    rule: str
    patch: Patch
    story: Story


MUTANTS = (
    # (A)
    Mutant(
        "a key keeps its promises",
        put(Council, "counts", counts_without("memory")),
        stories.test_a_promise_is_kept,
    ),
    Mutant(
        "without its memory the council splits",
        put(Council, "counts", counts_without("memory")),
        sittings,
    ),
    Mutant("a ballot needs promises", put(Council, "counts", counts_without("promises")), sittings),
    Mutant(
        "a ballot repeats what promises show",
        put(Council, "_prepared", repeats_anything),
        stories.test_a_ballot_repeats_what_its_promises_show,
    ),
    Mutant("otherwise the council splits", put(Council, "_prepared", repeats_anything), sittings),
    Mutant(
        "more than half",
        put(State, "majority", property(lambda s: (len(s.seats) + 1) // 2)),
        sittings,
    ),
    Mutant(
        "who is dropped silently is cut at nothing",
        around(World, "dismissals", lambda a, _w: [d for d in a if d[1].endings]),
        stories.test_a_coordinator_cut_at_nothing_did_nothing,
    ),
    Mutant(
        "a lifted cut is gone",
        around(
            World,
            "acts_c",
            lambda _a, w: [
                x for x in w.archive.of(w.set, *stories_kinds()) if w.is_c(x) and w.stands_in_c(x)
            ],
        ),
        stories.test_a_lifted_cut_is_as_if_it_had_not_been_written,
    ),
    # seals and the pin
    Mutant(
        "a seal is final",
        put(Sealed, "verdict", always(None)),
        stories.test_what_is_sealed_stays_though_a_cut_that_did_not_know_it_comes,
    ),
    Mutant("a seal is final in every set", put(Sealed, "verdict", always(None)), seals),
    Mutant(
        "a seal names a branch",
        put(Chains, "anchors", always(())),
        stories.test_a_fork_at_seq_1_erases_nothing_that_is_sealed,
    ),
    Mutant(
        "log 1 waits for tips",
        put(Sealed, "waiting", property(always(False))),
        stories.test_log_1_waits_for_the_tips_of_a_seal_and_log_0_does_not,
    ),
    Mutant(
        "no tip beyond a cut",
        around(Council, "ill_formed", lambda a, *_: "" if a == "tip" else a),
        stories.test_a_seal_lists_nothing_beyond_a_cut,
    ),
    Mutant(
        "nothing without the pin",
        put(verdicts, "pinned", lambda archive, _council, _pin: archive.genesis),
        stories.test_without_its_pin_a_node_decides_nothing,
    ),
    # (B)
    Mutant(
        "a recovery is of its own identity",
        recoveries_reach_everybody,
        stories.test_a_recovery_touches_nobody_elses_device,
    ),
    Mutant(
        "guardians count",
        put(identity, "guardian", lambda *_a: _a[-1]),
        one_guardian_twice,
    ),
    Mutant(
        "m of them",
        around(identity, "warrant", lambda a, _w, at, *_r: a or at.threshold),
        stories.test_guardians_recover_and_one_alone_does_not,
    ),
    Mutant(
        "a device retires itself alone",
        around(
            identity,
            "warrant",
            lambda a, w, at, x, s: (
                a or (3 if w.archive.ops[x].header.kind == "identity.recover.1" else None)
            ),
        ),
        stories.test_a_device_retires_itself_and_no_other_by_its_own_word,
    ),
    Mutant(
        "the recovery key comes first",
        around(identity, "warrant", lambda a, *_: a and 1),
        stories.test_the_recovery_key_takes_the_identity_back_from_a_thief,
    ),
    Mutant(
        "two on one base freeze",
        put(identity, "picked", lambda _w, _a, first, _s: frozenset(sorted(first)[:1])),
        stories.test_two_acts_on_one_base_freeze_an_identity_until_somebody_picks,
    ),
    Mutant(
        "a pick decides",
        put(identity, "picked", always(frozenset())),
        stories.test_two_acts_on_one_base_freeze_an_identity_until_somebody_picks,
    ),
    # (C)
    Mutant(
        "never on a coordinator",
        around(World, "rule_in_c", lambda a, *_: "" if a == "subject" else a),
        cycle,
    ),
    Mutant(
        "nor on one who was made meanwhile",
        put(State, "made_by", always(None)),
        stories.test_a_coordinator_who_was_made_meanwhile_is_not_removed,
    ),
    Mutant(
        "the council's cut voids what it covers in (C)",
        around(Chains, "status", lambda a, _c, x, *_: "in" if a == "cut" else a),
        stories.test_a_cut_coordinator_takes_no_revenge_two_years_later,
    ),
    Mutant(
        "but a coordinator's cut does not look back",
        around(World, "cuts_a", lambda a, w: [*a, *bare_removals(w)]),
        stories.test_a_removal_of_a_former_coordinator_leaves_what_it_once_decided,
    ),
    Mutant(
        "a council's demotion lowers",
        put(World, "lowered", always(None)),
        stories.test_a_demoted_coordinator_acts_no_more_even_unaware,
    ),
    Mutant(
        "what is not listed is cut at nothing",
        around(Chains, "named", lists_everything),
        stories.test_a_removal_reaches_the_new_device_that_it_did_not_know,
    ),
    Mutant(
        "several cuts keep their common prefix",
        around(World, "cuts_c", lambda a, _w: a[:1]),
        stories.test_several_cuts_keep_their_common_prefix,
    ),
    # forks
    Mutant(
        "a fork freezes",
        put(Chains, "forked", always(None)),
        stories.test_a_fork_freezes_its_log_until_a_coordinator_names_a_branch,
    ),
    Mutant(
        "a cut names a branch",
        put(Chains, "_reaches", always(False)),
        stories.test_a_fork_freezes_its_log_until_a_coordinator_names_a_branch,
    ),
    Mutant(
        "two names name nothing",
        put(Chains, "_comparable", always(True)),
        stories.test_two_coordinators_who_name_two_branches_name_none,
    ),
    Mutant(
        "a recovery names nothing",
        around(
            identity,
            "after",
            lambda a, *_: replace(a, cuts=tuple(replace(c, names=True) for c in a.cuts)),
        ),
        stories.test_a_recovery_names_no_branch,
    ),
    Mutant(
        "a proof is enough",
        put(signatures, "doubled", always(())),
        stories.test_a_proof_alone_freezes_for_those_who_saw_one_side,
    ),
    Mutant(
        "council acts count by their bytes",
        put(verdicts, "by_content", always(False)),
        stories.test_a_founder_who_forks_at_seq_1_erases_neither_the_community_nor_the_council,
    ),
    # (D)
    Mutant(
        "a cut of the inviter voids what it did not know",
        around(World, "_admit", lambda a, *_: "" if a == "revoked" else a),
        stories.test_an_admission_falls_with_the_inviter_only_if_the_cut_did_not_know_it,
    ),
    Mutant(
        "and nothing that it knew",
        around(
            World,
            "_admit",
            lambda a, w, x: a or ("revoked" if any(c.form == "member" for c in w.cuts_c()) else ""),
        ),
        stories.test_an_admission_falls_with_the_inviter_only_if_the_cut_did_not_know_it,
    ),
    Mutant(
        "an invite has its uses",
        around(World, "_admit", lambda a, *_: "" if a == "spent" else a),
        stories.test_a_one_use_invite_on_two_islands_lets_both_in,
    ),
    Mutant(
        "a node does not invite",
        put(World, "of_member_by_own_past", always(True)),
        stories.test_a_node_neither_invites_nor_grants_devices_nor_acts,
    ),
    Mutant(
        "a retired phone's invite stays",
        around(
            World,
            "of_member_by_own_past",
            lambda a, w, x: a and w.chains.status(x, w.recoveries(x, "B'")) == "in",
        ),
        stories.test_retiring_the_phone_that_invited_voids_nothing,
    ),
    Mutant(
        "who was removed stays out",
        around(World, "_readmit", lambda _a, *_: ""),
        stories.test_nobody_readmits_who_was_removed_for_good,
    ),
    Mutant(
        "a suspension ends",
        around(World, "_readmit", lambda _a, *_: "removed"),
        stories.test_a_suspended_member_returns_with_a_new_device_after_the_end,
    ),
    Mutant(
        "nothing is sealed to a weak key",
        around(signatures, "consents", lambda a, *_: "" if a == "keys" else a),
        stories.test_a_key_to_which_nothing_can_be_sealed_is_not_let_in,
    ),
)


def test_two_endorsements_of_one_guardian_are_one(says: Says) -> None:
    one_guardian_twice(says)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.rule)
def test_without_the_rule_its_story_fails(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.patch(monkeypatch)
    with pytest.raises(AssertionError):
        mutant.story(Says(slow))
