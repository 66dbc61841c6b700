"""Where the two evaluators once disagreed, made short: each was found by the differential test."""

from __future__ import annotations

import random

from tests.authority.evaluators import Keeper, word
from tests.authority.sets import PROLOGUE, causal_order, judged
from tests.authority.test_counterexamples import in_force
from tests.authority.test_differential import compare
from tests.authority.test_pruning_rules import branches
from tests.authority.village import ALICE, BOB, DAN, ERIN, EVE, NOTE, Person, Village, prologue
from tests.unit.town import secrets

from commons_crdt.authority.council_facts import Dismissal
from commons_crdt.authority.endings import NOTHING, Ending
from commons_crdt.authority.flips import End
from commons_crdt.authority.identity_facts import Limit
from commons_crdt.ids import OperationId


def agree(village: Village, pin: OperationId | None = None) -> dict[OperationId, str]:
    """Compare after every late operation, in several orders; what the oracle says in the end."""
    for seed in range(3):
        keeper = Keeper.of(village, pin)
        order = causal_order(village, village.all, random.Random(seed))
        for count, x in enumerate(order, 1):
            keeper.hear(x)
            if count > PROLOGUE:
                compare(village, keeper, judged(village, order[:count], pin), seed)
    return {x: word(j) for x, j in judged(village, None, pin).verdicts.items()}


def test_a_pin_that_comes_late_releases_what_waited_for_it() -> None:
    village, home = prologue([ALICE, BOB])
    spoken = home.note(EVE.device)
    assert agree(village, village.base)[spoken] == "accepted"


def test_whoever_retires_a_device_with_it_freezes_the_identity_by_a_second_act() -> None:
    """The judge asked whether the second act stood by the cut that the first had made since."""
    village, home = prologue()
    root = village.roots["erin"]
    nothing = Ending(bytes(ERIN.device.keys.id), NOTHING, NOTHING)
    one = home.recover(ERIN, root, secrets("erin's one"), [nothing], "own", by=ERIN.device)
    two = home.add_device(ERIN, secrets("erin's two"), root)
    said = agree(village)
    assert (said[one], said[two]) == ("contested(identity)", "contested(identity)")


def test_a_pick_for_somebody_who_was_removed_picks_nothing() -> None:
    village, home = prologue()
    (away,) = [village.island("away", home.known)]
    root = village.roots["erin"]
    home.invite(BOB.device, "he knows that he is a coordinator")
    one = away.recover(ERIN, root, secrets("erin's one"), (), by=EVE.device)
    two = away.recover(ERIN, root, secrets("erin's two"), (), by=EVE.device)
    home.learn(village.all)
    home.remove(ALICE, ERIN, [home.ending(ERIN.device)])
    picked = home.pick(ERIN, root, one, "own", BOB.device, aware=False)
    said = agree(village)
    assert said[picked] == "rejected(cut)"
    assert {said[one], said[two]} == {"contested(identity)"}


def test_a_coordinator_names_no_branch_of_a_node_of_their_own() -> None:
    village, home = prologue([ALICE, BOB])
    before = home.tip(ALICE.node, 0)
    assert before is not None
    grant = village.all[village.roots["bob"]].prev
    one = home.note(ALICE.device)
    first = home.write(ALICE.node, "identity.close.1", b"x", after=before)
    second = home.write(ALICE.node, "identity.close.1", b"y", after=before)
    named = Ending(bytes(ALICE.node.keys.id), village.position(first), NOTHING)
    home.revoke(ALICE, grant, ALICE, [named])
    said = agree(village)
    assert (said[one], said[first], said[second]) == (
        "accepted",
        "contested(fork)",
        "contested(fork)",
    )


def test_a_demoted_coordinator_on_the_list_has_the_lower_role_from_now_on() -> None:
    village, home = prologue([ALICE, BOB])
    base = village.base
    from commons_crdt.authority.council_facts import Members

    lowered = Members((Dismissal(BOB.member, 3, (home.ending(BOB.device),)),))
    home.endorse(BOB, home.act(ALICE, lowered), base)
    agree(village)
    assert judged(village).members[BOB.member] == 3


def test_a_tip_that_sees_more_than_its_seal_is_not_missing_for_the_next_seal() -> None:
    """The oracle looked for it in the sealed set, where it is not: the judge was right."""
    village, home = prologue([ALICE, BOB])
    early = home.tip(EVE.device, 0)
    assert early is not None
    spoken, other = home.note(EVE.device), home.note(BOB.device)
    for listed in ([early, spoken], [village.base, other]):
        base = village.base
        act = home.act(ALICE, home.seal(listed), base)
        home.endorse(BOB, act, base)
        village.base = act
    said = agree(village)
    assert (said[spoken], said[other]) == ("accepted", "accepted")


def test_a_device_that_is_granted_again_keeps_what_it_had() -> None:
    """The oracle forgot the first grant: a stolen phone could have disarmed the other devices."""
    village, home = prologue()
    phone = secrets("erin's phone")
    one = home.add_device(ERIN, phone, village.roots["erin"])
    limit = (Limit((NOTE,), 1, village.now_ms),)
    two = home.add_device(ERIN, phone, one, limit=limit)
    invited = home.invite(phone, "by the phone")
    admitted = home.admit(ALICE.node, invited, Person("finn"))
    third = home.add_device(ERIN, secrets("erin's tablet"), two, by=phone)
    gone = home.recover(ERIN, third, None, [home.ending(phone)], "own", by=phone)
    said = agree(village)
    assert {said[x] for x in (one, two, invited, admitted, third, gone)} == {"accepted"}
    (erin,) = [i for r, i in judged(village).identities.items() if r == village.roots["erin"]]
    assert phone.keys.id not in erin[1], "its retirement ends both grants"


def test_a_seal_lists_what_was_cut_before_it_came() -> None:
    """A chain that is not forked was not judged again when a tip of it was listed."""
    village, home = prologue([ALICE, BOB])
    phone = secrets("erin's phone")
    granted = home.add_device(ERIN, phone, village.roots["erin"])
    spoken = home.note(phone)
    away = village.island("away", home.known)
    nothing = Ending(bytes(phone.keys.id), NOTHING, NOTHING)
    away.recover(ERIN, granted, None, [nothing], by=ERIN.device)
    base = village.base
    home.endorse(BOB, home.act(ALICE, home.seal([base, spoken]), base), base)
    assert agree(village)[spoken] == "accepted", "what it has seen is not sealed, it is listed"


def test_a_seal_lists_nothing_that_comes_after_it_even_under_a_pin() -> None:
    """The judge settled what was here when it first asked, the oracle what came later too."""
    village, home = prologue([ALICE, BOB])
    before = home.tip(EVE.device, 0)
    away = village.island("away", home.known)
    one = home.invite(EVE.device, "late")
    two = home.invite(EVE.device, "beside", after=before)
    seal = away.act(BOB, away.seal([one]), village.base)
    said = agree(village, seal)
    assert said[seal] == "rejected(tip)"
    assert (said[one], said[two]) == ("contested(fork)", "contested(fork)")


def test_a_proof_about_a_branch_that_a_seal_decided_against_doubles_nothing() -> None:
    """The judge took the header that the proof shows beside it for one behind the sealed tip."""
    village, home = prologue([ALICE, BOB])
    mine, other = branches(home)
    in_force(village, home, home.seal([village.base, mine[1]]), BOB)
    home.prove(DAN.device, mine[2], other[1])
    said = agree(village)
    assert (said[mine[2]], said[other[1]]) == ("accepted", "contested(fork)")


def test_a_tip_that_sees_more_than_its_seal_names_its_branch_for_the_next_seal() -> None:
    """The oracle looked for it in the sealed set, where it is not, and let both branches stand."""
    village, home = prologue([ALICE, BOB])
    early = home.tip(DAN.device, 0) or village.roots["dan"]
    mine, other = branches(home)
    in_force(village, home, home.seal([early, mine[1]]), BOB)
    in_force(village, home, home.seal([village.base, other[1]]), BOB)
    said = agree(village)
    assert (said[mine[1]], said[other[1]]) == ("accepted", "contested(fork)")


def test_what_a_seal_settles_does_not_wait_for_the_tips_of_the_next() -> None:
    """The judge left it pending where the second seal was here before the first was complete."""
    village, home = prologue([ALICE, BOB])
    answered = home.note(ERIN.device)
    first, second = home.note(EVE.device, refs=[answered]), home.note(DAN.device)
    in_force(village, home, home.seal([village.base, first]), BOB)
    in_force(village, home, home.seal([village.base, second]), BOB)
    keeper = Keeper.of(village)
    late = [answered, first, second]
    order = [*(x for x in village.all if x not in late), *late]
    for count, x in enumerate(order, 1):
        keeper.hear(x)
        compare(village, keeper, judged(village, order[:count]), 0)
        if x == first:
            assert word(keeper.standings[answered].judgement) == "accepted"


def test_a_cut_of_one_grant_does_not_end_what_a_device_writes_under_another() -> None:
    """No verdict was wrong, but the end: nobody would have taken what erin wrote."""
    village, home = prologue([ALICE, BOB])
    away, new = village.island("away", home.known), secrets("erin's new")
    away.readmit(EVE.node, ERIN, new)
    home.remove(ALICE, ERIN, [home.ending(ERIN.device)], until_ms=village.now_ms + 1)
    home.readmit(ALICE.node, ERIN, new)
    spoken = home.note(new)
    assert agree(village)[spoken] == "accepted"
    for seed in range(3):
        keeper = Keeper.of(village)
        for x in causal_order(village, village.all, random.Random(seed)):
            keeper.hear(x)
        assert keeper.judge.end(new.keys.id, 1) == End(), seed


def test_a_seal_revives_what_it_lists_beyond_an_earlier_closing() -> None:
    """The judge knew the position of the tip by then, and looked again at forked chains only."""
    village, home = prologue([ALICE, BOB])
    spoken = home.note(ERIN.device)
    home.close(ERIN.device, ERIN.member)
    closing = home.close(ERIN.device, ERIN.member, NOTHING)
    in_force(village, home, home.seal([closing]), BOB)
    assert agree(village)[spoken] == "rejected(closed)"
    in_force(village, home, home.seal([village.base, spoken]), BOB)
    assert agree(village)[spoken] == "accepted"
