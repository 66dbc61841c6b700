"""The judge without one of its rules: a story, or the comparison with the oracle, notices."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from tests.authority import test_counterexamples as stories
from tests.authority.evaluators import Says, fast
from tests.authority.test_differential import differ
from tests.authority.test_disagreements import (
    test_a_device_that_is_granted_again_keeps_what_it_had as granted_again,
)
from tests.authority.test_disagreements import (
    test_a_pin_that_comes_late_releases_what_waited_for_it as pin_comes_late,
)
from tests.authority.test_disagreements import (
    test_a_seal_lists_what_was_cut_before_it_came as listed_late,
)
from tests.authority.test_disagreements import (
    test_whoever_retires_a_device_with_it_freezes_the_identity_by_a_second_act as two_by_one,
)
from tests.authority.test_mutants import Mutant, always, around, cycle, one_guardian_twice, put

from commons_crdt import authority
from commons_crdt.authority import records
from commons_crdt.authority.council import Council, State
from commons_crdt.authority.council_facts import Endorse
from commons_crdt.authority.cuts import Cuts, Ground
from commons_crdt.authority.identity import Identities
from commons_crdt.authority.judge import Judge
from commons_crdt.authority.settled import Settled
from commons_crdt.authority.strata import Polity


def modules() -> list[ModuleType]:
    """Every module of the judge."""
    names = [m.name for m in pkgutil.iter_modules(authority.__path__)]
    return [importlib.import_module(f"{authority.__name__}.{name}") for name in names]


def owner_of(method: str) -> type:
    """The one class that defines this method, wherever it lives."""
    found = {
        value
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, type) and method in vars(value)
    }
    (owner,) = found
    return owner


def user_of(function: str) -> ModuleType:
    """The one module that uses a function of another module."""
    found = [
        module
        for module in modules()
        if function in vars(module) and vars(module)[function].__module__ != module.__name__
    ]
    (user,) = found
    return user


def compared(_says: Says) -> None:
    """The differential test, on sets that are always the same."""
    for seed in range(60):
        differ(seed, 1000)


def late_pin(_says: Says) -> None:
    pin_comes_late()


def twice(_says: Says) -> None:
    two_by_one()


def again(_says: Says) -> None:
    granted_again()


def late_seal(_says: Says) -> None:
    listed_late()


def newest_grants(answer: Any, identities: Any, *_rest: Any) -> Any:
    """A grant takes the place of an earlier one of the device."""
    given = identities._book.given
    newest = {given[grant].device: grant for grant in answer.devices}
    kept = {g: limit for g, limit in answer.devices.items() if newest[given[g].device] == g}
    return replace(answer, devices=kept)


def counts_anyway(
    answer: bool, council: Any, entry: Any, body: Any, _base: Any, state: Any, *_rest: Any
) -> bool:
    """A ballot needs promises, but what they show is not repeated."""
    return answer or not isinstance(body, Endorse)


def names_all(cuts: Any, cut: Any) -> None:
    ADD(cuts, replace(cut, names=True))


ADD = Cuts.add

MUTANTS = (
    # (A)
    Mutant(
        "a message is kept to its log",
        around(Council, "_before", lambda _a, *_: None),
        stories.test_a_promise_is_kept,
    ),
    Mutant(
        "a ballot repeats what promises show",
        around(Council, "_counts", counts_anyway),
        stories.test_a_ballot_repeats_what_its_promises_show,
    ),
    Mutant(
        "who is dropped silently is dismissed",
        around(
            user_of("dismissals_of"),
            "dismissals_of",
            lambda a, *_: tuple(d for d in a if d.endings),
        ),
        stories.test_a_coordinator_cut_at_nothing_did_nothing,
    ),
    Mutant(
        "a lifted cut is gone",
        put(Polity, "_lifts", always(frozenset())),
        stories.test_a_lifted_cut_is_as_if_it_had_not_been_written,
    ),
    # seals and the pin
    Mutant(
        "a seal is final",
        put(Polity, "sealed", always(None)),
        stories.test_what_is_sealed_stays_though_a_cut_that_did_not_know_it_comes,
    ),
    Mutant(
        "log 1 waits for tips",
        put(Settled, "complete", always(True)),
        stories.test_log_1_waits_for_the_tips_of_a_seal_and_log_0_does_not,
    ),
    Mutant(
        "no tip beyond a cut",
        put(owner_of("_bad_tip"), "_bad_tip", always(False)),
        stories.test_a_seal_lists_nothing_beyond_a_cut,
    ),
    Mutant(
        "a sealed tip brings back what was cut",
        put(Polity, "ends_log_1", always(False)),
        late_seal,
    ),
    Mutant(
        "nothing without the pin",
        put(Judge, "_waits_for_pin", property(always(False))),
        stories.test_without_its_pin_a_node_decides_nothing,
    ),
    Mutant("what waited is told", put(Judge, "_tell_all", always(None)), late_pin),
    # (B)
    Mutant(
        "a member cut ends an identity",
        put(Identities, "covered", always(False)),
        compared,
    ),
    Mutant(
        "m guardians",
        put(Identities, "_guardian", lambda *a: a[3]),
        one_guardian_twice,
    ),
    Mutant(
        "a device acts for itself inside its chain",
        put(Identities, "_own", always(True)),
        compared,
    ),
    Mutant(
        "two on one base freeze",
        put(Identities, "_picked", lambda _s, _r, _t, first: (min(first),)),
        stories.test_two_acts_on_one_base_freeze_an_identity_until_somebody_picks,
    ),
    Mutant(
        "a pick decides",
        put(Identities, "_picked", always(())),
        stories.test_two_acts_on_one_base_freeze_an_identity_until_somebody_picks,
    ),
    Mutant("granting takes nothing away", around(Identities, "_after", newest_grants), again),
    Mutant(
        "a rival is judged from nothing",
        put(Polity, "_extend_identity", always(True)),
        twice,
    ),
    # (C)
    Mutant(
        "never on a coordinator",
        around(Polity, "_rule_in_c", lambda a, *_: "" if a == "subject" else a),
        cycle,
    ),
    Mutant(
        "nor on one who was made meanwhile",
        put(State, "made_by", always(-1)),
        stories.test_a_coordinator_who_was_made_meanwhile_is_not_removed,
    ),
    Mutant(
        "the council's demotion lowers",
        put(Polity, "_lowered_by_council", always(False)),
        stories.test_a_demoted_coordinator_acts_no_more_even_unaware,
    ),
    Mutant(
        "a demotion lowers",
        around(Polity, "lowered", lambda _a, _p, role, *_: role),
        compared,
    ),
    Mutant(
        "a cut covers what it does not list",
        around(
            Cuts,
            "_find",
            lambda a, *_: [r for r in a if r.authority >= 0 or r.record.seq],
        ),
        stories.test_a_removal_reaches_the_new_device_that_it_did_not_know,
    ),
    # forks
    Mutant(
        "a fork of log 0 freezes",
        put(Ground, "fork", always(None)),
        stories.test_a_founder_who_forks_at_seq_1_erases_neither_the_community_nor_the_council,
    ),
    Mutant(
        "a fork of log 1 freezes",
        put(records.Records, "fork", always(None)),
        stories.test_a_fork_freezes_its_log_until_a_coordinator_names_a_branch,
    ),
    Mutant(
        "two names name nothing",
        put(records, "_comparable", always(True)),
        stories.test_two_coordinators_who_name_two_branches_name_none,
    ),
    Mutant(
        "a recovery names nothing",
        put(Cuts, "add", names_all),
        stories.test_a_recovery_names_no_branch,
    ),
    Mutant(
        "a proof is enough",
        put(user_of("shown"), "shown", always(())),
        stories.test_a_proof_alone_freezes_for_those_who_saw_one_side,
    ),
    # (D)
    Mutant(
        "a cut of the inviter voids what it did not know",
        around(Polity, "_admitted", lambda a, *_: "" if a == "revoked" else a),
        stories.test_an_admission_falls_with_the_inviter_only_if_the_cut_did_not_know_it,
    ),
    Mutant(
        "an invite has its uses",
        around(Polity, "_admitted", lambda a, *_: "" if a == "spent" else a),
        stories.test_a_one_use_invite_on_two_islands_lets_both_in,
    ),
    Mutant(
        "a node does not invite",
        put(Polity, "own_past", always(True)),
        stories.test_a_node_neither_invites_nor_grants_devices_nor_acts,
    ),
    Mutant(
        "who was removed stays out",
        put(Polity, "_readmitted", always("")),
        stories.test_nobody_readmits_who_was_removed_for_good,
    ),
    Mutant(
        "a suspension ends",
        put(Polity, "_readmitted", always("removed")),
        stories.test_a_suspended_member_returns_with_a_new_device_after_the_end,
    ),
    # what an increment tells
    Mutant(
        "what changes log 0 is evaluated from nothing",
        around(Polity, "extend", always(True)),
        compared,
    ),
)


def test_with_all_rules_the_comparison_holds() -> None:
    """Otherwise a mutant would be caught by a disagreement that is always there."""
    compared(Says(fast))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.rule)
def test_without_the_rule_something_fails(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.patch(monkeypatch)
    with pytest.raises(AssertionError):
        mutant.story(Says(fast))
