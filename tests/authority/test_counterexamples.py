"""Stories that broke earlier drafts of the rules (ARCHITECTURE §5): each has one outcome now."""

from __future__ import annotations

import pytest
from tests.authority.evaluators import Says
from tests.authority.sets import causal_order
from tests.authority.village import (
    ALICE,
    BOB,
    CAROL,
    DAN,
    DAY_MS,
    ERIN,
    EVE,
    NOTE,
    Island,
    Person,
    Village,
    prologue,
)
from tests.unit.town import Number, secrets

from commons_crdt.authority.council_facts import Dismissal, Lift, Members
from commons_crdt.authority.endings import NOTHING, Ending
from commons_crdt.ids import OperationId
from commons_crdt.roles import Role

YEAR_MS = 365 * DAY_MS


def islands(village: Village, home: Island, *names: str) -> list[Island]:
    """Places that know what home knows, and hear nothing of each other."""
    return [village.island(name, home.known) for name in names]


def in_force(village: Village, home: Island, content: object, *endorsers: Person) -> OperationId:
    """The first coordinator proposes, the others endorse; later acts build on it."""
    base = village.base
    act = home.act(ALICE, content, base)  # type: ignore[arg-type]
    for who in endorsers:
        home.endorse(who, act, base)
    village.base = act
    return act


def nothing(device: object) -> Ending:
    return Ending(bytes(device.keys.id), NOTHING, NOTHING)  # type: ignore[attr-defined]


# --- removals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_cycle_of_removals_among_equals_removes_nobody(says: Says, size: int) -> None:
    circle = [ALICE, BOB, CAROL, ERIN][:size]
    village, home = prologue(circle)
    places = islands(village, home, *(p.name for p in circle))
    removals = [
        place.remove(who, circle[(n + 1) % size])
        for n, (who, place) in enumerate(zip(circle, places, strict=True))
    ]
    notes = [place.note(who.device) for who, place in zip(circle, places, strict=True)]
    verdicts = says.all(village)
    assert {verdicts[x] for x in removals} == {"rejected(subject)"}, "nobody undoes an equal"
    assert {verdicts[x] for x in notes} == {"accepted"}, "and nobody is undone"


def test_a_coordinator_who_was_made_meanwhile_is_not_removed(says: Says) -> None:
    """A cycle over two views: bob removes carol before he hears that she is made his equal."""
    village, home = prologue([ALICE, BOB])
    (bobs,) = islands(village, home, "bob's")
    made = home.act(ALICE, village.seat(ALICE, BOB, CAROL))
    removal = bobs.remove(BOB, CAROL)
    bobs.learn({made})
    home.learn({removal, bobs.endorse(BOB, made)})
    village.base = made
    back, spoken = home.remove(CAROL, BOB), home.note(CAROL.device)
    assert says(village, removal, back, spoken) == (
        "rejected(subject)",
        "rejected(subject)",
        "accepted",
    ), "the act that made her does not have his removal in its past"


def test_a_removal_that_the_council_knew_stands(says: Says) -> None:
    village, home = prologue([ALICE, BOB])
    removal = home.remove(BOB, CAROL, [home.ending(CAROL.device)])
    made = home.act(ALICE, village.seat(ALICE, BOB, CAROL))
    home.endorse(BOB, made)
    spoken = home.note(CAROL.device)
    assert says(village, removal, spoken) == ("accepted", "rejected(cut)"), "lift it first"


def test_a_cut_coordinator_takes_no_revenge_two_years_later(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    (away,) = islands(village, home, "away")
    fair = home.give(BOB, EVE, Role.STEWARD)
    in_force(
        village,
        home,
        village.seat(
            ALICE, CAROL, dismissals=[Dismissal(BOB.member, 0, (home.ending(BOB.device),))]
        ),
        CAROL,
    )
    away.learn(village.seen(fair) | {fair})
    revenge = away.remove(BOB, DAN, later_ms=2 * YEAR_MS)
    spoken = home.note(DAN.device)
    assert says(village, fair, revenge, spoken) == ("accepted", "rejected(cut)", "accepted"), (
        "what he did up to the named place stands, what he adds does not, whatever he knew"
    )


def test_a_back_dated_branch_takes_no_revenge_either(says: Says) -> None:
    """Bob goes back to before his own cut, where he was still a coordinator."""
    village, home = prologue([ALICE, BOB, CAROL])
    first = home.give(BOB, EVE, Role.STEWARD)
    second = home.give(BOB, EVE, Role.HOST)
    dismissal = Dismissal(BOB.member, 0, (home.ending(BOB.device),))
    in_force(village, home, village.seat(ALICE, CAROL, dismissals=[dismissal]), CAROL)
    (away,) = islands(village, home, "away")
    revenge = away.remove(BOB, DAN, after=first, aware=False)
    spoken = home.note(DAN.device)
    assert says(village, first, second, revenge, spoken) == (
        "accepted",
        "accepted",
        "contested(fork)",
        "accepted",
    ), "the cut named the branch that it knew"


def test_a_removal_reaches_the_new_device_that_it_did_not_know(says: Says) -> None:
    village, home = prologue()
    (away,) = islands(village, home, "away")
    tablet = secrets("eve's tablet")
    spoken = home.note(EVE.device)
    home.remove(ALICE, EVE, [home.ending(EVE.device)])
    away.learn({spoken})
    grant = away.add_device(EVE, tablet, village.roots["eve"])
    hidden = away.note(tablet)
    assert says(village, spoken, hidden) == ("accepted", "rejected(cut)"), (
        "a chain that the cut does not list is cut at nothing"
    )
    assert says(village, grant) == "rejected(cut)"


def test_a_removal_takes_the_members_nodes_too(says: Says) -> None:
    village, home = prologue()
    before = home.write(EVE.node, "town.meter.1", Number(1), log=1)
    home.remove(ALICE, EVE, [home.ending(EVE.device), home.ending(EVE.node)])
    after = home.write(EVE.node, "town.meter.1", Number(2), log=1)
    assert says(village, before, after) == ("accepted", "rejected(cut)")


def test_several_cuts_keep_their_common_prefix(says: Says) -> None:
    village, home = prologue()
    notes = [home.note(EVE.device, n) for n in range(3)]
    one, two = islands(village, home, "one", "two")
    for place, by, upto in ((one, ALICE, notes[0]), (two, BOB, notes[1])):
        ending = Ending(
            bytes(EVE.device.keys.id), home.position(EVE.device, 0), village.position(upto)
        )
        place.remove(by, EVE, [ending])
    assert says(village, *notes) == ("accepted", "rejected(cut)", "rejected(cut)")


def test_a_council_that_removes_a_coordinator_revives_nobody(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    home.remove(BOB, EVE, [home.ending(EVE.device)])
    dismissal = Dismissal(BOB.member, 0, (home.ending(BOB.device),))
    in_force(village, home, village.seat(ALICE, CAROL, dismissals=[dismissal]), CAROL)
    back = home.note(EVE.device, aware=False)
    assert says(village, back) == "rejected(cut)", "what he did before the named place stands"


def test_a_coordinator_cut_at_nothing_did_nothing(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    removal = home.remove(BOB, EVE, [home.ending(EVE.device)])
    in_force(village, home, village.seat(ALICE, CAROL), CAROL)
    back = home.note(EVE.device, aware=False)
    assert says(village, removal, back) == ("rejected(cut)", "accepted"), (
        "dropped without a listed cut: the council says that none of it counted"
    )


def test_a_removal_of_a_former_coordinator_leaves_what_it_once_decided(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    given = home.give(BOB, EVE, Role.STEWARD)
    demoted = Dismissal(BOB.member, 2, (home.ending(BOB.device),))
    in_force(village, home, village.seat(ALICE, CAROL, dismissals=[demoted]), CAROL)
    home.remove(ALICE, BOB)
    notice = home.write(EVE.device, "town.notice.1", Number(1), log=1)
    assert says(village, given, notice) == ("accepted", "accepted"), "strata do not look back"


def test_a_demoted_coordinator_acts_no_more_even_unaware(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    (away,) = islands(village, home, "away")
    demoted = Dismissal(BOB.member, 3, (home.ending(BOB.device),))
    in_force(village, home, village.seat(ALICE, CAROL, dismissals=[demoted]), CAROL)
    removal = away.remove(BOB, DAN)
    spoken, notice = (
        away.note(BOB.device),
        away.write(BOB.device, "town.notice.1", Number(1), log=1),
    )
    assert says(village, removal, spoken, notice) == ("rejected(role)", "accepted", "accepted"), (
        "the chain goes on, with the lower role"
    )


def test_a_lifted_cut_is_as_if_it_had_not_been_written(says: Says) -> None:
    village, home = prologue()
    cut = home.remove(BOB, EVE, [home.ending(EVE.device)])
    spoken = home.note(EVE.device)
    assert says(village, spoken) == "rejected(cut)"
    in_force(village, home, Lift(cut), BOB)
    assert says(village, cut, spoken) == ("accepted", "accepted")


def test_what_a_removed_member_still_owes_is_recorded_by_others_alone(says: Says) -> None:
    """A drill that a removed member brings back."""
    village, home = prologue()
    lent = home.note(EVE.device, 1)
    home.remove(ALICE, EVE, [home.ending(EVE.device)])
    returned = home.note(EVE.device, 2)
    taken = home.write(BOB.device, NOTE, Number(3), log=1, refs=[returned])
    assert says(village, lent, returned, taken) == ("accepted", "rejected(cut)", "accepted"), (
        "no cascade through references"
    )


def test_a_suspended_member_returns_with_a_new_device_after_the_end(says: Says) -> None:
    village, home = prologue()
    until = village.now_ms + DAY_MS
    home.remove(ALICE, EVE, [home.ending(EVE.device)], until)
    early = home.readmit(ALICE.node, EVE, secrets("eve's early phone"))
    phone = secrets("eve's next phone")
    back = home.readmit(ALICE.node, EVE, phone, later_ms=2 * DAY_MS)
    spoken, old = home.note(phone), home.note(EVE.device)
    assert says(village, early, back, spoken, old) == (
        "rejected(removed)",
        "accepted",
        "accepted",
        "rejected(cut)",
    )


def test_nobody_readmits_who_was_removed_for_good(says: Says) -> None:
    village, home = prologue()
    home.remove(ALICE, EVE, [home.ending(EVE.device)])
    phone = secrets("eve's next phone")
    back = home.readmit(EVE.device, EVE, phone, later_ms=YEAR_MS)
    (away,) = islands(village, home, "away")
    assert says(village, back, away.note(phone)) == ("rejected(removed)", "rejected(grant)")


# --- forks ---------------------------------------------------------------------------------------


def test_a_fork_freezes_its_log_until_a_coordinator_names_a_branch(says: Says) -> None:
    village, home = prologue()
    before = home.note(EVE.device, 0)
    one, two = home.note(EVE.device, 1, after=before), home.note(EVE.device, 2, after=before)
    more = home.note(EVE.device, 3)
    authority = home.invite(EVE.device, "still hers")
    frozen = ("accepted", "contested(fork)", "contested(fork)", "contested(fork)", "accepted")
    assert says(village, before, one, two, more, authority) == frozen, "its own log only"
    ending = Ending(bytes(EVE.device.keys.id), home.position(EVE.device, 0), village.position(one))
    home.branch(ALICE, EVE, ending)
    assert says(village, before, one, two, more) == (
        "accepted",
        "accepted",
        "contested(fork)",
        "contested(fork)",
    )


def test_two_coordinators_who_name_two_branches_name_none(says: Says) -> None:
    village, home = prologue()
    before = home.note(EVE.device, 0)
    one, two = home.note(EVE.device, 1, after=before), home.note(EVE.device, 2, after=before)
    for by, named in ((ALICE, one), (BOB, two)):
        ending = Ending(
            bytes(EVE.device.keys.id), home.position(EVE.device, 0), village.position(named)
        )
        home.branch(by, EVE, ending)
    assert says(village, before, one, two) == ("accepted", "contested(fork)", "contested(fork)")


def test_references_never_decide_a_fork(says: Says) -> None:
    """A back-dated branch with a colluder who builds on it."""
    village, home = prologue()
    before = home.note(EVE.device, 0)
    honest = home.note(EVE.device, 1)
    dated = home.note(EVE.device, 2, after=before, aware=False)
    built = home.write(DAN.device, NOTE, Number(3), log=1, refs=[dated])
    assert says(village, honest, dated, built) == (
        "contested(fork)",
        "contested(fork)",
        "accepted",
    ), "who refers to a branch stands or falls alone"


def test_a_cut_names_the_branch_that_it_knew_and_a_colluder_changes_nothing(says: Says) -> None:
    village, home = prologue()
    before = home.note(EVE.device, 0)
    honest = home.note(EVE.device, 1)
    home.remove(ALICE, EVE, [home.ending(EVE.device)])
    (away,) = islands(village, home, "away")
    dated = away.note(EVE.device, 2, after=before, aware=False)
    away.write(DAN.device, NOTE, Number(3), log=1, refs=[dated])
    assert says(village, before, honest, dated) == ("accepted", "accepted", "contested(fork)")


def test_both_branches_edit_one_thing(says: Says) -> None:
    village, home = prologue()
    thing = home.note(BOB.device, 0)
    start = home.note(EVE.device, 0)
    one = home.write(EVE.device, NOTE, Number(1), log=1, refs=[thing], after=start)
    two = home.write(EVE.device, NOTE, Number(2), log=1, refs=[thing], after=start)
    merged = home.write(BOB.device, NOTE, Number(3), log=1, refs=[one, two])
    assert says(village, thing, one, two, merged) == (
        "accepted",
        "contested(fork)",
        "contested(fork)",
        "accepted",
    )


def test_a_fork_at_seq_1_erases_nothing_that_is_sealed(says: Says) -> None:
    village, home = prologue([ALICE, BOB])
    admitted = village.roots["eve"]
    notes = [home.note(EVE.device, n) for n in range(2)]
    (away,) = islands(village, home, "away")
    in_force(village, home, home.seal([notes[-1], home.tip(ALICE.device, 0) or admitted]), BOB)
    eraser = away.note(EVE.device, 9, after=admitted)
    following = home.note(EVE.device, 3)
    assert says(village, *notes, eraser, following) == (
        "accepted",
        "accepted",
        "contested(fork)",
        "accepted",
    ), "a listed tip names its branch and does not end the chain"


def test_a_fork_at_seq_1_before_any_seal_freezes_the_chain_and_a_branch_is_named(
    says: Says,
) -> None:
    village, home = prologue()
    notes = [home.note(EVE.device, n) for n in range(2)]
    ending = home.ending(EVE.device)
    eraser = home.note(EVE.device, 9, after=village.roots["eve"])
    assert says(village, *notes, eraser) == ("contested(fork)",) * 3
    home.branch(BOB, EVE, ending)
    assert says(village, *notes, eraser) == ("accepted", "accepted", "contested(fork)")


def test_a_founder_who_forks_at_seq_1_erases_neither_the_community_nor_the_council(
    says: Says,
) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    (away,) = islands(village, home, "away")
    invite = away.invite(BOB.device, "alice again")
    away.admit(BOB.node, invite, ALICE)
    eraser = away.write(
        ALICE.device,
        "membership.invite.1",
        b"x",
        after=max(away.known, key=lambda i: village.all[i].header.lamport),
    )
    acting = home.act(BOB, Members((Dismissal(EVE.member, 0, ()),)))
    verdicts = says.all(village)
    assert verdicts[village.genesis] == "accepted"
    assert verdicts[village.base] == "accepted", "a council act counts by its bytes"
    assert verdicts[village.roots["eve"]] == "accepted"
    assert verdicts[eraser] == "contested(fork)"
    assert verdicts[acting] == "rejected(ballot)", "(0, 0) is the first coordinator's alone"


def test_a_recovery_names_no_branch(says: Says) -> None:
    village, home = prologue()
    before = home.note(DAN.device, 0)
    one = home.note(DAN.device, 1)
    two = home.note(DAN.device, 2, after=before)
    ending = Ending(bytes(DAN.device.keys.id), NOTHING, village.position(one))
    home.recover(DAN, village.roots["dan"], secrets("dan's next phone"), [ending], by=EVE.device)
    assert says(village, before, one, two) == ("accepted", "contested(fork)", "contested(fork)")


def test_a_proof_alone_freezes_for_those_who_saw_one_side(says: Says) -> None:
    village, home = prologue()
    left, right = islands(village, home, "left", "right")
    one, two = left.note(EVE.device, 1), right.note(EVE.device, 2)
    left.prove(BOB.device, one, two)
    village.all.pop(two)
    assert says(village, one) == "contested(fork)"


# --- people who come in --------------------------------------------------------------------------


def test_a_one_use_invite_on_two_islands_lets_both_in(says: Says) -> None:
    village, home = prologue()
    invite = home.invite(DAN.device, "one use")
    left, right = islands(village, home, "left", "right")
    guests = [Person("frank"), Person("grace"), Person("heidi")]
    first, second = (
        left.admit(ALICE.node, invite, guests[0]),
        right.admit(BOB.node, invite, guests[1]),
    )
    left.meet(right)
    third = left.admit(EVE.node, invite, guests[2])
    assert says(village, first, second, third) == ("accepted", "accepted", "rejected(spent)")


def test_a_key_to_which_nothing_can_be_sealed_is_not_let_in(says: Says) -> None:
    village, home = prologue()
    weak = home.write(
        BOB.device, "membership.node.1", village.weak_node(BOB.member), document=BOB.member
    )
    assert says(village, weak) == "rejected(keys)"


def test_an_unknown_kind_freezes_nobody_who_sees_it(says: Says) -> None:
    village, home = prologue()
    strange = home.write(EVE.device, "council.party.1", b"later")
    odd = home.write(EVE.device, "town.party.1", b"later", log=1)
    given = home.give(ALICE, DAN, Role.HOST)
    spoken, own = home.note(BOB.device), home.note(EVE.device)
    assert says(village, strange, odd, given, spoken, own) == (
        "rejected(kind)",
        "unknown(unlisted)",
        "accepted",
        "accepted",
        "accepted",
    )


def test_an_admission_falls_with_the_inviter_only_if_the_cut_did_not_know_it(says: Says) -> None:
    village, home = prologue()
    invite = home.invite(EVE.device, "two guests", uses=2)
    known = home.admit(ALICE.node, invite, Person("frank"))
    (away,) = islands(village, home, "away")
    home.remove(BOB, EVE)
    late = away.admit(ALICE.node, invite, Person("grace"), aware=False)
    hers = away.note(Person("grace").device)
    his = home.note(Person("frank").device)
    assert says(village, known, late, hers, his) == (
        "accepted",
        "rejected(revoked)",
        "rejected(grant)",
        "accepted",
    )


def test_retiring_the_phone_that_invited_voids_nothing(says: Says) -> None:
    village, home = prologue()
    invite = home.invite(DAN.device, "guest")
    home.recover(
        DAN,
        village.roots["dan"],
        secrets("dan's next phone"),
        [nothing(DAN.device)],
        by=BOB.device,
    )
    admitted = home.admit(ALICE.node, invite, Person("frank"))
    assert says(village, invite, admitted) == ("rejected(cut)", "accepted")


def test_a_node_neither_invites_nor_grants_devices_nor_acts(says: Says) -> None:
    village, home = prologue()
    invite = home.invite(BOB.node, "by a node")
    admitted = home.admit(ALICE.node, invite, Person("frank"))
    device = home.add_device(BOB, secrets("by a node"), village.roots["bob"], by=BOB.node)
    act = home.write(
        BOB.node, "membership.role.1", village.role_act(EVE, Role.HOST), document=EVE.member
    )
    assert says(village, invite, admitted, device, act) == (
        "rejected(role)",
        "rejected(invite)",
        "rejected(role)",
        "rejected(role)",
    )


# --- identities ----------------------------------------------------------------------------------


def test_the_recovery_key_takes_the_identity_back_from_a_thief(says: Says) -> None:
    village, home = prologue()
    (stolen,) = islands(village, home, "stolen")
    thief = stolen.add_device(DAN, secrets("thief's phone"), village.roots["dan"])
    theft = stolen.note(secrets("thief's phone"))
    phone = secrets("dan's next phone")
    back = home.recover(DAN, village.roots["dan"], phone, [home.ending(DAN.device)], by=EVE.device)
    spoken = home.note(phone)
    assert says(village, thief, theft, back, spoken) == (
        "rejected(cut)",
        "rejected(grant)",
        "accepted",
        "accepted",
    )


def test_a_recovery_touches_nobody_elses_device(says: Says) -> None:
    village, home = prologue()
    attack = home.recover(ERIN, village.roots["erin"], None, [nothing(BOB.device)], by=ERIN.device)
    spoken = home.note(BOB.device)
    assert says(village, attack, spoken) == ("accepted", "accepted")


def test_a_device_retires_itself_and_no_other_by_its_own_word(says: Says) -> None:
    village, home = prologue()
    tablet = secrets("erin's tablet")
    base = home.add_device(ERIN, tablet, village.roots["erin"])
    grab = home.recover(ERIN, base, None, [nothing(ERIN.device)], "own", by=tablet)
    spoken = home.note(ERIN.device)
    leave = home.recover(ERIN, base, None, [home.ending(tablet)], "own", by=tablet)
    after = home.note(tablet)
    assert says(village, grab, spoken, leave, after) == (
        "rejected(warrant)",
        "accepted",
        "accepted",
        "rejected(cut)",
    )


def test_guardians_recover_and_one_alone_does_not(says: Says) -> None:
    village, home = prologue()
    phone = secrets("dan's next phone")
    draft = village.recovery(DAN, village.roots["dan"], phone, ())
    statement = village.statement("identity.recover.1", draft)
    one = home.stand_for(BOB.device, DAN, statement)
    alone = home.recover(DAN, village.roots["dan"], phone, (), [one], by=EVE.device)
    assert says(village, alone) == "rejected(warrant)"
    two = home.stand_for(CAROL.device, DAN, statement)
    both = home.recover(DAN, village.roots["dan"], phone, (), [one, two], by=EVE.device)
    spoken = home.note(phone, after=both)
    assert says(village, both, spoken) == ("accepted", "accepted")


def test_guardians_who_collude_lose_against_the_recovery_key(says: Says) -> None:
    """Bob and carol take dan's identity; he has his paper. At the same base the key goes first."""
    village, home = prologue()
    theirs, his = islands(village, home, "theirs", "his")
    root, stolen, phone = village.roots["dan"], secrets("their phone"), secrets("dan's next phone")
    draft = village.recovery(DAN, root, stolen, [home.ending(DAN.device)])
    statement = village.statement("identity.recover.1", draft)
    words = [theirs.stand_for(one.device, DAN, statement) for one in (BOB, CAROL)]
    took = theirs.recover(DAN, root, stolen, [home.ending(DAN.device)], words, by=BOB.device)
    spoken = theirs.note(stolen, after=took)
    assert says(village, took, spoken) == ("accepted", "accepted"), "alone they have him"
    back = his.recover(DAN, root, phone, [], by=EVE.device)
    his.meet(theirs)
    assert says(village, took, spoken, back) == ("rejected(base)", "rejected(grant)", "accepted")


def test_two_thieves_of_one_recovery_key_freeze_the_identity(says: Says) -> None:
    """Who has the key is the member, for everybody; a coordinator can still say who is not."""
    village, home = prologue()
    thief, his = islands(village, home, "thief", "his")
    root = village.roots["dan"]
    took = thief.recover(DAN, root, secrets("a thief's"), [], by=EVE.device)
    back = his.recover(DAN, root, secrets("dan's next phone"), [], by=BOB.device)
    his.meet(thief)
    assert says(village, took, back) == ("contested(identity)", "contested(identity)")
    his.pick(DAN, root, back, "own", ALICE.device)
    assert says(village, took, back) == ("rejected(base)", "accepted")


def test_two_acts_on_one_base_freeze_an_identity_until_somebody_picks(says: Says) -> None:
    village, home = prologue()
    left, right = islands(village, home, "left", "right")
    root = village.roots["erin"]
    one = left.recover(ERIN, root, secrets("erin's one"), (), by=BOB.device)
    two = right.recover(ERIN, root, secrets("erin's two"), (), by=CAROL.device)
    left.meet(right)
    hers = left.note(secrets("erin's one"))
    assert says(village, one, two, hers) == (
        "contested(identity)",
        "contested(identity)",
        "contested(grant)",
    )
    left.pick(ERIN, root, one, "own", ALICE.device)
    assert says(village, one, two, hers) == ("accepted", "rejected(base)", "accepted")


# --- the council ---------------------------------------------------------------------------------


def test_a_double_endorser_splits_the_community_and_nothing_is_decided(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    left, right = islands(village, home, "left", "right")
    one = left.act(ALICE, village.seat(ALICE, BOB))
    left.endorse(BOB, one)
    promises = [right.promise(who, 1, 2) for who in (BOB, CAROL)]
    two = right.act(CAROL, village.seat(CAROL, BOB), turn=1)
    right.endorse(BOB, two)
    verdicts = says.all(village)
    assert {verdicts[x] for x in (*promises, one, two)} == {"accepted"}
    home.learn(village.all)
    village.base = one
    beyond = home.act(ALICE, village.seat(BOB))
    assert says(village, beyond) == "rejected(council)", "the state stays at the base"


def test_a_ballot_repeats_what_its_promises_show(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    one = home.act(ALICE, village.seat(ALICE, BOB))
    home.endorse(BOB, one)
    for who in (BOB, CAROL):
        home.promise(who, 1, 2)
    other = home.act(CAROL, village.seat(CAROL), turn=1)
    (place,) = islands(village, home, "place")
    assert says(village, one, other) == ("accepted", "rejected(ballot)")
    again = place.ballot(CAROL, 1, one, after=village.all[other].prev)
    assert says(village, again) == "accepted"


def test_a_promise_is_kept(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    one = home.act(ALICE, village.seat(ALICE, BOB))
    home.promise(BOB, 1, 2)
    broken = home.endorse(BOB, one)
    assert says(village, broken) == "rejected(ballot)"


def test_endorsements_count_though_their_author_was_cut_later(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    one = home.act(ALICE, village.seat(ALICE, BOB))
    vote = home.endorse(CAROL, one)
    village.base = one
    given = home.give(BOB, EVE, Role.HOST)
    assert says(village, one, vote, given) == ("accepted", "accepted", "accepted"), (
        "carol is dropped, and cut at nothing, by the act that she helped into force"
    )


# --- the pin and the seal ------------------------------------------------------------------------


def test_without_its_pin_a_node_decides_nothing(says: Says) -> None:
    village, home = prologue([ALICE, BOB])
    seal = in_force(village, home, home.seal([village.roots["eve"]]), BOB)
    del village.all[max(home.known, key=lambda i: village.all[i].header.lamport)]
    assert says(village, village.roots["eve"], pin=seal) == "accepted"
    del village.all[seal]
    assert says(village, village.roots["eve"], pin=seal) == "pending(pin)"


def test_log_1_waits_for_the_tips_of_a_seal_and_log_0_does_not(says: Says) -> None:
    village, home = prologue([ALICE, BOB])
    spoken, hers = home.note(EVE.device), home.note(DAN.device)
    in_force(village, home, home.seal([spoken, village.roots["eve"]]), BOB)
    assert says(village, spoken, hers) == ("accepted", "accepted")
    village.all.pop(spoken)
    assert says(village, hers, village.roots["eve"]) == ("pending(seal)", "accepted")


def test_no_later_cut_reaches_below_a_seal(says: Says) -> None:
    village, home = prologue([ALICE, BOB])
    spoken = home.note(EVE.device)
    tip = home.tip(EVE.device, 0)
    assert tip is not None
    in_force(village, home, home.seal([spoken, tip]), BOB)
    home.remove(ALICE, EVE)
    after = home.note(EVE.device)
    assert says(village, spoken, after) == ("accepted", "rejected(cut)")


def test_what_is_sealed_stays_though_a_cut_that_did_not_know_it_comes(says: Says) -> None:
    village, home = prologue([ALICE, BOB, CAROL])
    invite = home.invite(EVE.device, "guest")
    (away,) = islands(village, home, "away")
    admitted = home.admit(ALICE.node, invite, Person("frank"))
    spoken = home.note(Person("frank").device)
    in_force(village, home, home.seal([admitted, spoken]), BOB)
    away.remove(CAROL, EVE)
    late = home.note(Person("frank").device)
    assert says(village, admitted, spoken, late) == ("accepted",) * 3


def test_lifting_a_cut_does_not_reach_below_a_seal(says: Says) -> None:
    village, home = prologue([ALICE, BOB])
    cut = home.remove(ALICE, EVE, [home.ending(EVE.device)])
    beyond = home.note(EVE.device)
    answer = home.write(BOB.device, NOTE, Number(1), log=1, refs=[beyond])
    tips = [answer, home.tip(ALICE.device, 0) or cut]
    in_force(village, home, home.seal(tips), BOB)
    in_force(village, home, Lift(cut), BOB)
    after = home.note(EVE.device)
    assert says(village, beyond, answer, after) == ("rejected(cut)", "accepted", "accepted")


def test_a_seal_lists_nothing_beyond_a_cut(says: Says) -> None:
    village, home = prologue([ALICE, BOB])
    home.note(EVE.device)
    home.remove(ALICE, EVE, [home.ending(EVE.device)])
    beyond = home.note(EVE.device)
    seal = home.act(ALICE, home.seal([beyond]))
    assert says(village, seal) == "rejected(tip)"


def test_the_order_of_arrival_changes_nothing_here(says: Says) -> None:
    """One story, told backwards as far as a story can be."""
    import random

    village, home = prologue()
    for n in range(3):
        home.note(EVE.device, n)
    home.remove(BOB, EVE, [home.ending(EVE.device)])
    home.note(EVE.device, 9)
    expected = says.all(village)
    village.all = {x: village.all[x] for x in causal_order(village, village.all, random.Random(7))}
    assert says.all(village) == expected
