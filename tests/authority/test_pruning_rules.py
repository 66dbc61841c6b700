"""What pruning must keep, rule by rule: a story for each, and a mutant without the rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from tests.authority.prunings import History, superfluous
from tests.authority.test_counterexamples import in_force
from tests.authority.test_pruning import same
from tests.authority.village import ALICE, BOB, DAN, EVE, Island, Village, prologue

from commons_crdt.authority import branches as judging
from commons_crdt.authority import pruning
from commons_crdt.authority.council_facts import Lift, Settings
from commons_crdt.authority.endings import Ending, Position
from commons_crdt.authority.facts import Branch
from commons_crdt.authority.pruning import Final, Finality, Link, Pruning
from commons_crdt.authority.settled import Settled
from commons_crdt.ids import OperationId

Ids = set[OperationId]


def eves(village: Village, authority: Position, record: OperationId) -> Ending:
    device = bytes(EVE.device.keys.id)
    return Ending(device, authority, village.position(record))


def pruned(village: Village, pin: OperationId) -> Ids:
    """What a node that knows the whole village deletes under a pin."""
    one = History(village, pin, frozenset(village.all))
    keeper = one.keeper(one.early)
    keeper.judge.pin = pin
    return set(superfluous(keeper))


def then(village: Village, pin: OperationId, early: Ids, gone: Ids) -> None:
    """Nothing changes, now or after all that was added since."""
    one = History(village, pin, frozenset(early))
    same(one, one.early, one.early - gone, 0)
    whole = frozenset(village.all)
    same(one, whole, (one.early - gone) | one.later(frozenset(gone)), 0)


def branches(home: Island) -> tuple[list[OperationId], list[OperationId]]:
    """Eve speaks, and then signs two branches: the second by a copy of her key."""
    copy = home.village.island("copy", home.known)
    first = home.note(EVE.device, 1)
    copy.learn({first})
    mine = [first, *(home.note(EVE.device, n) for n in (2, 3))]
    other = [copy.note(EVE.device, n) for n in (12, 13, 14)]
    home.known |= copy.known
    return mine, other


def sealed(village: Village, home: Island, *tips: OperationId) -> OperationId:
    return in_force(village, home, home.seal([*tips, home.tip(ALICE.device, 0) or tips[0]]), BOB)


def test_the_branch_that_a_seal_did_not_name_goes() -> None:
    """All of it but the first: with its sibling it is the proof of the fork."""
    village, home = prologue([ALICE, BOB])
    mine, other = branches(home)
    pin = sealed(village, home, mine[1])
    gone = pruned(village, pin)
    assert gone == set(other[1:]), "and what comes after the tip stays"
    early = set(village.all)
    home.write(BOB.device, "membership.branch.1", _named(village, other[-1]), document=EVE.member)
    then(village, pin, early, gone)


def test_two_siblings_stay_as_the_proof_of_a_fork() -> None:
    """Eve closes her device at one of two branches: both are contested as long as two are known."""
    village, home = prologue([ALICE, BOB])
    mine, other = branches(home)
    closing = home.close(EVE.device, EVE.member, village.position(mine[-1]))
    pin = sealed(village, home, closing)
    gone = pruned(village, pin)
    assert other[0] not in gone
    assert gone == set(other[1:])
    then(village, pin, set(village.all), gone)


def test_what_a_cut_names_stays() -> None:
    """Even beside a sealed tip: by it the chain beyond the tip is cut."""
    village, home = prologue([ALICE, BOB])
    mine, other = branches(home)
    pin = sealed(village, home, mine[1])
    home.remove(ALICE, EVE, [eves(village, home.position(EVE.device, 0), other[-1])])
    gone = pruned(village, pin)
    assert not gone, "the last of the other branch, and its chain up to it"
    then(village, pin, set(village.all), gone)


def test_what_others_build_on_stays() -> None:
    """Dan answered in good faith to what eve wrote on the other branch."""
    village, home = prologue([ALICE, BOB])
    mine, other = branches(home)
    home.note(DAN.device, refs=[other[1]])
    pin = sealed(village, home, mine[1])
    gone = pruned(village, pin)
    assert gone == {other[2]}
    then(village, pin, set(village.all), gone)


def test_what_a_lift_would_revive_stays() -> None:
    """What lies beyond a cut is void until the council lifts it: the seal did not settle it."""
    village, home = prologue([ALICE, BOB])
    first = home.note(EVE.device)
    cut = home.remove(ALICE, EVE, [eves(village, home.position(EVE.device, 0), first)])
    home.note(EVE.device)
    pin = sealed(village, home, first)
    gone, early = pruned(village, pin), set(village.all)
    in_force(village, home, Lift(cut), BOB)
    then(village, pin, early, gone)
    assert not gone


def test_branches_above_the_tip_stay_until_a_seal_names_one() -> None:
    """A coordinator may still name either."""
    village, home = prologue([ALICE, BOB])
    mine, other = branches(home)
    pin = sealed(village, home, mine[0])
    gone, early = pruned(village, pin), set(village.all)
    home.write(BOB.device, "membership.branch.1", _named(village, other[-1]), document=EVE.member)
    then(village, pin, early, gone)
    assert not gone


def test_what_lies_beyond_a_closing_goes_when_the_closing_is_sealed() -> None:
    village, home = prologue([ALICE, BOB])
    first = home.note(EVE.device)
    closing = home.close(EVE.device, EVE.member, village.position(first))
    beyond = [home.note(EVE.device, n) for n in range(3)]
    pin = sealed(village, home, closing)
    gone = pruned(village, pin)
    assert gone == set(beyond)
    early = set(village.all)
    home.remove(ALICE, EVE)
    then(village, pin, early, gone)


def test_what_lies_beyond_a_closing_that_no_seal_settled_stays() -> None:
    """A cut below the closing undoes it, and may end log 1 later than it did."""
    village, home = prologue([ALICE, BOB])
    first = home.note(EVE.device)
    before = home.position(EVE.device, 0)
    home.close(EVE.device, EVE.member, village.position(first))
    beyond = home.note(EVE.device)
    pin = sealed(village, home, first)
    gone, early = pruned(village, pin), set(village.all)
    home.remove(ALICE, EVE, [eves(village, before, beyond)])
    then(village, pin, early, gone)
    assert not gone


def test_what_a_seal_lists_stays_whatever_closed_it() -> None:
    village, home = prologue([ALICE, BOB])
    first = home.note(EVE.device)
    closing = home.close(EVE.device, EVE.member, village.position(first))
    listed = [home.note(EVE.device, n) for n in range(2)]
    pin = sealed(village, home, closing, listed[-1])
    gone = pruned(village, pin)
    then(village, pin, set(village.all), gone)
    assert not gone


def test_only_a_seal_at_or_below_the_pin_prunes() -> None:
    """A council that signs two acts on one base is split, and a seal without a pin is undone."""
    village, home = prologue([ALICE, BOB])
    mine, other = branches(home)
    base = village.base
    seal = sealed(village, home, mine[1])
    gone, early = pruned(village, base), set(village.all)
    copy = village.island("copy", village.all[seal].view)
    one = copy.act(ALICE, Settings((("timezone", "UTC"),)), base)
    home.learn({one, copy.endorse(BOB, one, base)})
    home.write(BOB.device, "membership.branch.1", _named(village, other[-1]), document=EVE.member)
    then(village, base, early, gone)
    assert not gone
    assert not pruned(village, seal), "it is named by now"


def test_nothing_goes_while_a_tip_is_missing() -> None:
    village, home = prologue([ALICE, BOB])
    mine, _ = branches(home)
    spoken = home.note(DAN.device)
    pin = sealed(village, home, mine[1], spoken)
    assert pruned(village, pin)
    signed = village.all.pop(spoken)
    gone, early = pruned(village, pin), set(village.all)
    village.all[spoken] = signed
    then(village, pin, early, gone)
    assert not gone


def _named(village: Village, op: OperationId) -> Branch:
    return Branch(EVE.member, eves(village, Position(0, bytes(32)), op))


# --- mutants -------------------------------------------------------------------------------------

DEAD, FINALITY = pruning.dead, pruning.finality
Patch = Callable[[pytest.MonkeyPatch], None]


def more(extra: Callable[[Final, Sequence[Link]], Ids]) -> Patch:
    """Something else counts as dead, too."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        def dead(final: Final, links: Sequence[Link]) -> Ids:
            return DEAD(final, links) | extra(final, links)

        monkeypatch.setattr(pruning, "dead", dead)

    return patch


def put(owner: object, name: str, value: object) -> Patch:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def doubled(final: Final, links: Sequence[Link]) -> Ids:
    seqs = [link.seq for link in links]
    return {one.id for one in links if seqs.count(one.seq) > 1 and final.top}


def every_cut(final: Final, links: Sequence[Link]) -> Ids:
    """All that is not listed, though only a cut that may be lifted ends the chain."""
    return {one.id for one in links if final.top and one.seq > final.top.seq}


def any_pin(polity: object, records: object, settled: object, pin: int) -> Finality | None:
    acts = polity.acts  # type: ignore[attr-defined]
    return FINALITY(polity, records, settled, acts[-1])  # type: ignore[arg-type]


def unsealed(book: object, seals: object, view: int) -> dict[object, int]:
    """Every closing counts as if a seal had listed it."""
    entries = book.entries  # type: ignore[attr-defined]
    lines = book.lines.items()  # type: ignore[attr-defined]
    return {device: max(line, key=lambda n: entries[n].seq) for device, line in lines}


@dataclass(frozen=True)
class Mutant:
    rule: str
    patch: Patch
    story: Callable[[], None]


MUTANTS = (
    Mutant(
        "two siblings prove a fork",
        put(pruning, "proofs", lambda *_: set()),
        test_two_siblings_stay_as_the_proof_of_a_fork,
    ),
    Mutant(
        "what log 0 names stays",
        put(pruning, "_named", lambda _book: iter(())),
        test_what_a_cut_names_stays,
    ),
    Mutant(
        "the past of what stays stays",
        put(Pruning, "look", lambda *_: None),
        test_what_others_build_on_stays,
    ),
    Mutant("a lift revives", more(every_cut), test_what_a_lift_would_revive_stays),
    Mutant(
        "above a tip either branch may be named",
        more(doubled),
        test_branches_above_the_tip_stay_until_a_seal_names_one,
    ),
    Mutant(
        "an unsettled closing may be undone",
        put(pruning, "highest_tips", unsealed),
        test_what_lies_beyond_a_closing_that_no_seal_settled_stays,
    ),
    Mutant(
        "a seal above the pin may be undone",
        put(judging, "finality", any_pin),
        test_only_a_seal_at_or_below_the_pin_prunes,
    ),
    Mutant(
        "a seal whose tips are missing settles nothing",
        put(Settled, "complete", lambda *_: True),
        test_nothing_goes_while_a_tip_is_missing,
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.rule)
def test_without_the_rule_its_story_fails(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.patch(monkeypatch)
    with pytest.raises(AssertionError):
        mutant.story()
