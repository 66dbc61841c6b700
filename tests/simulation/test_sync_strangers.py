"""Who is no member learns nothing; who breaks the rules is left; who refuses is not pestered."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.meeting import EPOCH, Home, Meeting, Thief, neighbourhood
from tests.unit import town

from commons_crdt.ids import digest
from commons_crdt.operation import decode_header, operation_id
from commons_crdt.roles import Role
from commons_protocol import wire
from commons_protocol.effects import Count, Ingest, Proven
from commons_protocol.frame import encode
from commons_protocol.network import MAX_FRAME
from commons_protocol.wants import Memory

ALICE, BOB = town.person("alice"), town.person("bob")


def stranger() -> Home:
    """A node of another community, with another epoch."""
    other = town.town(salt=lambda: digest("t-salt", b"other"))
    return Home(other, town.secrets("alice's node"), keys=[(EPOCH, digest("t-key", b"other"))])


def named(home: Home, name: str) -> Home:
    home.copy.name = name
    return home


def shapes(meeting: Meeting, side: str) -> list[tuple[str, int]]:
    return [(type(wire.unpack_sync(f)).__name__, len(f)) for s, f in meeting.frames if s == side]


# --- strangers ---


def test_a_stranger_sees_sixteen_random_values_and_the_end() -> None:
    alice, _ = neighbourhood("bob")
    meeting = Meeting([named(stranger(), "eve")], [alice]).run()
    assert shapes(meeting, "listener") == [("Hello", 37), ("Tags", 261)]
    assert meeting.l.session.closed == meeting.d.session.closed == "stranger"


def test_a_node_without_any_community_looks_the_same_to_a_stranger() -> None:
    hermit = neighbourhood("bob")[0]
    hermit.keys = []
    with_one = Meeting([named(stranger(), "eve")], [neighbourhood("bob")[0]]).run()
    without = Meeting([named(stranger(), "eve")], [hermit]).run()
    assert shapes(with_one, "listener") == shapes(without, "listener")
    assert with_one.l.session.closed == without.l.session.closed


def test_who_knows_the_epochs_key_alone_gets_nothing_when_it_dials() -> None:
    alice, bob = neighbourhood("bob")
    thief = Thief(bob.copy, bob.device)
    thief.copy.name = "eve"
    meeting = Meeting([thief], [alice]).run()
    assert not meeting.of("listener", Proven)
    assert [name for name, _ in shapes(meeting, "listener")] == ["Hello", "Tags", "AskPath"]
    assert meeting.l.session.closed == "proof"


def test_who_knows_the_epochs_key_alone_gets_no_realm_when_it_is_dialled() -> None:
    alice, bob = neighbourhood("bob")
    thief = Thief(bob.copy, bob.device)
    thief.copy.name = "eve"
    meeting = Meeting([alice], [thief]).run()
    assert not meeting.of("dialler", Proven)
    said = {name for name, _ in shapes(meeting, "dialler")}
    assert said <= {"Hello", "Tags", "Proof", "AskPath"}, "no digest, no vector, no operation"


def test_a_proof_is_worth_nothing_on_another_stream() -> None:
    alice, bob = neighbourhood("bob")
    first = Meeting([bob], [alice], seed=1).run()
    (proof,) = [f for s, f in first.frames if s == "dialler" and f[1] == 3]
    second = Meeting([bob], [alice], seed=2)
    while not any(s == "dialler" and f[1] == 3 for s, f in second.frames):
        assert second.step()
    fresh = second.l.inbox[-1]
    second.l.inbox[-1] = proof[:2] + fresh[2:3] + proof[3:]  # to the slot of the second stream
    second.run()
    assert second.l.session.closed == "proof"
    assert not second.of("listener", Proven)


def test_a_peer_that_mirrors_our_own_words_proves_nothing() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob])
    while meeting.frames[-1][1][1] != 3 and meeting.step():
        pass
    ours = [f for s, f in meeting.frames if s == "dialler" and f[1] == 3]
    meeting._do(meeting.d, meeting.d.session.on_frame(ours[0], meeting.now))
    assert meeting.d.session.closed in {"proof", "order"}


def test_a_node_that_was_let_in_elsewhere_shows_the_way_to_its_grant() -> None:
    alice, bob = neighbourhood("bob")
    dora = bob.copy.island("dora")
    newcomer = dora.welcome("dora")
    node = town.secrets("dora's node")
    dora.grant_node(newcomer, node)
    doras = Home(dora, node)
    for dialler, listener in (([doras], [alice]), ([bob], [doras])):
        meeting = Meeting(dialler, listener).run()
        assert meeting.converged, "neither knew of the other's newcomer before"
    assert alice.node_keys(node.keys.id) is not None


def denied(meeting: Meeting, side: str) -> frozenset[bytes]:
    """Where one side sees that it was denied, once the other one has ended the stream."""
    session = (meeting.d if side == "dialler" else meeting.l).session
    session.closed = session.closed or "gone"
    return frozenset(map(bytes, session.denied))


def test_who_was_shown_the_way_and_is_not_accepted_knows_it() -> None:
    """On either side; and nobody else believes it."""
    for swapped in (False, True):
        alice, bob = neighbourhood("bob")
        ended = Thief(bob.copy, bob.device)
        ended.copy.name = "eve"
        pair = ([alice], [ended]) if swapped else ([ended], [alice])
        meeting = Meeting(*pair).run()
        theirs = "listener" if swapped else "dialler"
        ours = "dialler" if swapped else "listener"
        assert denied(meeting, ours) == frozenset()
        if not swapped:  # a thief that is dialled does not get to prove itself
            assert denied(meeting, theirs) == {bytes(alice.realm)}


def test_who_is_accepted_after_showing_the_way_was_not_denied() -> None:
    alice, bob = neighbourhood("bob")
    dora = bob.copy.island("dora")
    newcomer = dora.welcome("dora")
    node = town.secrets("dora's node")
    dora.grant_node(newcomer, node)
    doras = Home(dora, node)
    for dialler, listener in (([doras], [alice]), ([bob], [doras])):
        meeting = Meeting(dialler, listener).run()
        shown = [f for _, f in meeting.frames if isinstance(wire.unpack_sync(f), wire.Path)]
        assert shown, "the way was shown"
        assert denied(meeting, "dialler") == denied(meeting, "listener") == frozenset()


def test_two_communities_on_one_stream_are_kept_apart() -> None:
    alice, bob = neighbourhood("bob")
    second = town.town(salt=lambda: digest("t-salt", b"second"))
    bobs_second = second.welcome("bob", Role.MEMBER)
    second.grant_node(bobs_second, town.secrets("bob's node"))
    keys = [(EPOCH, digest("t-key", b"second"))]
    here = Home(second, town.secrets("alice's node"), keys=keys)
    there = Home(second.island("bob"), town.secrets("bob's node"), keys=keys)
    here.copy.note(ALICE, 5)
    alice.copy.note(ALICE, 6)
    meeting = Meeting([alice, here], [bob, there]).run()
    assert meeting.converged
    assert len(meeting.d.session.realms) == 2
    assert here.digest() == there.digest() != alice.digest() == bob.digest()


def test_one_community_that_is_shared_no_more_does_not_end_the_other() -> None:
    alice, bob = neighbourhood("bob")
    second = town.town(salt=lambda: digest("t-salt", b"second"))
    keys = [(EPOCH, digest("t-key", b"second"))]
    here = Home(second, town.secrets("alice's node"), keys=keys)
    there = Thief(second.island("bob"), town.secrets("bob's node"), keys=keys)
    meeting = Meeting([bob, there], [alice, here]).run()
    assert alice.realm in meeting.l.session.realms
    assert here.realm not in meeting.l.session.realms
    assert Count("proof") in meeting.log["listener"]
    assert not meeting.l.closed
    meeting.wait(16_000)
    assert meeting.d.session.settled, "what is not answered in time never will be"


def test_a_node_whose_grant_falls_is_served_no_more() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([bob], [alice]).run()
    granted = alice.copy.judge.authority.devices
    gone = granted.pop(bob.device.keys.id)
    meeting.poke(meeting.d)
    meeting.run()
    assert meeting.l.session.closed == "revoked"
    granted[bob.device.keys.id] = gone


def test_many_old_epochs_do_not_hide_the_one_that_both_know() -> None:
    alice, bob = neighbourhood("bob")
    old = alice.keys[0]
    alice.keys = [(EPOCH, digest("t-key", bytes([n]))) for n in range(40)] + [old]
    assert Meeting([bob], [alice]).run().converged, "the dialler's tags are looked up first"


# --- rule breakers ---

ENTRY = (b"d" * 32, 5, b"i" * 32, 0, 0, b"")
LISTING = [0, [ENTRY], []]
WANT = (b"d" * 32, 1, 1, 5)
OPERATION = [b"h", b"s" * 64, b"b", []]

BROKEN: dict[str, tuple[Callable[[int], bytes], str]] = {
    "noise": (lambda _: b"\xff" * 40, "encoding"),
    "nothing": (lambda _: b"", "encoding"),
    "a tag that makes a regular expression": (lambda s: b"\x82\x11\xd8\x23\x61a", "encoding"),
    "a deep message": (lambda _: b"\x81" * 60_000, "encoding"),
    "a length that is a lie": (lambda _: b"\x9b\x7f" + b"\xff" * 7, "encoding"),
    "an oversize message": (lambda _: b"\x58" * (MAX_FRAME + 1), "size"),
    "an unknown message": (lambda s: encode([99, s]), "message"),
    "an unknown slot": (lambda s: encode([17, (s + 1) % 16]), "order"),
    "a slot out of range": (lambda _: encode([17, 99]), "message"),
    "a message with more fields": (lambda s: encode([17, s, 1]), "message"),
    "operations that nobody asked for": (lambda s: encode([13, s, [OPERATION]]), "unasked"),
    "an empty frame of operations": (lambda s: encode([13, s, []]), "message"),
    "a piece of nothing": (lambda s: encode([14, s, True, b"x"]), "unasked"),
    "a want out of turn": (lambda s: encode([12, s, 4, [WANT], []]), "order"),
    "ranges out of turn": (lambda s: encode([11, s, 0, True, [], [LISTING]]), "order"),
    "an answer to nothing": (lambda s: encode([10, s, True, b"d" * 32, b"z" * 16]), "order"),
    "an end out of turn": (lambda s: encode([17, s]), "order"),
    "served out of turn": (lambda s: encode([16, s]), "order"),
    "a second greeting": (lambda _: encode([1, 1, b"n" * 32]), "order"),
    "second tags": (lambda _: encode([2, b"t" * 256]), "order"),
    "a path that nobody asked for": (lambda s: encode([5, s, True, b"x" * 20]), "order"),
    "too much credit": (lambda s: encode([15, s, 10_000]), "message"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_message_ends_the_session_with_its_code(name: str) -> None:
    make, code = BROKEN[name]
    alice, bob = neighbourhood("bob")
    meeting = Meeting([bob], [alice]).run()
    slot = next(iter(meeting.l.session._slots))
    meeting._do(meeting.l, meeting.l.session.on_frame(make(slot), meeting.now))
    assert meeting.l.session.closed == code
    assert meeting.l.session.on_frame(make(slot), meeting.now) == [], "and nothing more is heard"


@settings(max_examples=200, deadline=None)
@given(frame=st.binary(max_size=200))
def test_no_bytes_break_a_fresh_session(frame: bytes) -> None:
    alice, bob = FRESH
    meeting = Meeting([bob], [alice])
    meeting._do(meeting.l, meeting.l.session.on_frame(frame, meeting.now))
    assert meeting.l.session.closed


FRESH = neighbourhood("bob")


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32), steps=st.integers(0, 30), which=st.integers(0, 50),
    place=st.integers(0, 60_000), bit=st.integers(0, 7),
)  # fmt: skip
def test_a_flipped_bit_anywhere_harms_no_copy(
    seed: int, steps: int, which: int, place: int, bit: int
) -> None:
    alice, bob = neighbourhood("bob")
    alice.copy.note(ALICE, 1)
    bob.copy.note(BOB, 2)
    honest = {**alice.copy.operations, **bob.copy.operations}
    meeting = Meeting([alice], [bob], seed=seed)
    for _ in range(steps):
        meeting.step()
    ends = [end for end in (meeting.d, meeting.l) if end.inbox]
    if ends:
        end = ends[which % len(ends)]
        frame = bytearray(end.inbox[which % len(end.inbox)])
        frame[place % len(frame)] ^= 1 << bit
        end.inbox[which % len(end.inbox)] = bytes(frame)
    meeting.run()
    for home in (alice, bob):
        for ident, operation in home.copy.operations.items():
            assert operation_id(operation.header) == ident
            assert operation.header == honest[ident].header
    done = Meeting([alice], [bob], seed=seed).run()
    assert done.converged, "the next session heals it"


RANGES: dict[str, tuple[list[object], str]] = {
    "ends that repeat": ([0, True, [], [[0, [ENTRY, ENTRY], []]]], "ranges"),
    "ends that go backwards": (
        [0, True, [], [[0, [(b"e" * 32, *ENTRY[1:]), ENTRY], []]]], "ranges"
    ),
    "half a hash": ([0, True, [], [[0, [(*ENTRY[:5], b"short")], []]]], "ranges"),
    "bounds that go backwards": ([0, True, [[0, [b"b", b"a"], b"f" * 48]], []], "ranges"),
    "a range that nobody opened": ([0, True, [[7, [b"b"], b"f" * 32]], []], "ranges"),
    "log 1 before log 0": ([1, True, [], [LISTING]], "order"),
    "a beginning in two frames": ([0, False, [], [LISTING]], "order"),
}  # fmt: skip


@pytest.mark.parametrize("name", RANGES)
def test_ranges_that_no_honest_node_sends_end_the_session(name: str) -> None:
    rest, code = RANGES[name]
    alice, bob = neighbourhood("bob")
    meeting = Meeting([bob], [alice]).run()
    slot = next(iter(meeting.l.session._slots))
    meeting.poke(meeting.l)  # so that the other answers, and opens
    for frame in (encode([10, slot, True, b"x" * 32, b"z" * 16]), encode([11, slot, *rest])):
        meeting._do(meeting.l, meeting.l.session.on_frame(frame, meeting.now))
    while meeting.l.todo and not meeting.l.closed:
        meeting.answer(meeting.l)
    assert meeting.l.session.closed == code


def test_more_frames_than_granted_end_the_session() -> None:
    alice, bob = neighbourhood("bob")
    alice.copy.note(ALICE, 1)
    meeting = Meeting([alice], [bob])
    while not any(isinstance(m, wire.Want) for m in meeting.sent("listener")):
        meeting.step()
    slot = next(iter(meeting.l.session._slots))
    frame = encode([13, slot, [OPERATION]])
    for _ in range(wire.MAX_CREDIT):
        meeting._do(meeting.l, meeting.l.session.on_frame(frame, meeting.now))
    assert meeting.l.session.closed == "credit"


# --- refusals ---


def test_what_was_refused_is_not_asked_for_again_until_something_changes() -> None:
    alice, bob = neighbourhood("bob")
    memories: dict[object, Memory] = {}
    for n in range(5):
        alice.copy.note(ALICE, n)
    bob.refuses = lambda operation: decode_header(operation.header).log == 1
    meeting = Meeting([alice], [bob], memories=memories).run()  # type: ignore[arg-type]
    offered = len(meeting.of("listener", Ingest))
    assert offered
    meeting.poke(meeting.l)
    meeting.run()
    assert len(meeting.of("listener", Ingest)) == offered, "no second try, no hot loop"
    status = meeting.l.session.status(bob.realm)
    assert status is not None
    assert (status.state, status.refused) == ("refused", 5)
    assert "budget" in status.reason
    again = Meeting([alice], [bob], memories=memories).run()  # type: ignore[arg-type]
    assert not again.of("listener", Ingest), "nor in the next session"
    alice.copy.note(ALICE, 9)
    bob.refuses = lambda _operation: False
    again.poke(again.d)
    again.run()
    assert again.converged, "the peer's chain has changed: now it is worth a try"
    status = again.l.session.status(bob.realm)
    assert status is not None
    assert (status.state, status.refused) == ("synced", 0)


def test_after_a_while_what_was_refused_is_tried_again_ever_more_seldom() -> None:
    alice, bob = neighbourhood("bob")
    alice.copy.note(ALICE, 1)
    bob.refuses = lambda operation: decode_header(operation.header).log == 1
    meeting = Meeting([alice], [bob]).run()
    tries = []
    for _ in range(200):
        before = len(meeting.of("listener", Ingest))
        meeting.now += 1_000
        meeting.poke(meeting.l)
        meeting.run()
        tries.append(len(meeting.of("listener", Ingest)) > before)
    assert 3 <= sum(tries) <= 6, "5 s, 10 s, 20 s, …"


def test_a_forged_operation_is_refused_and_the_rest_arrives() -> None:
    alice, bob = neighbourhood("bob")
    kept = alice.copy.note(ALICE, 1)
    forged = alice.copy.note(ALICE, 2)
    good = alice.copy.operations[forged.id]
    alice.copy.operations[forged.id] = replace(good, signature=secrets.token_bytes(64))
    meeting = Meeting([alice], [bob]).run()
    assert kept.id in bob.copy.operations
    assert forged.id not in bob.copy.operations
    assert bob.copy.refusals["signature"]
    assert not meeting.l.closed, "one bad operation does not end the conversation"


def test_an_operation_of_another_realm_is_refused() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    elsewhere = town.town(salt=lambda: digest("t-salt", b"y"))
    note = elsewhere.operations[elsewhere.note(ALICE, 1).id]
    meeting.push(meeting.d, [note])
    meeting.run()
    assert not bob.copy.operations.keys() & elsewhere.operations.keys()
