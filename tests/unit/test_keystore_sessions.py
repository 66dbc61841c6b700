"""Being unlocked belongs to a terminal session, and ends when nobody is there."""

from __future__ import annotations

import pytest

from commons_node.keystore.sessions import (
    IDLE_S,
    MAX_SESSIONS,
    Locked,
    MemberLocked,
    Sessions,
    WhichMember,
    idle_clock,
    pick,
)
from commons_node.keystore.unlocked import Unlocked

ALICE, BOB = "a1" * 32, "b0" * 32


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def unlocked(member: str) -> Unlocked:
    return Unlocked(member, b"d" * 32, {"signing": b"s" * 32})


def test_two_terminals_share_nothing() -> None:
    sessions = Sessions(Clock())
    at_home, at_kiosk = sessions.new(), sessions.new()
    at_home.unlock(unlocked(ALICE))
    assert at_home.token != at_kiosk.token
    assert sessions.find(at_home.token) is at_home
    assert at_home.pick().member == ALICE
    with pytest.raises(Locked):
        at_kiosk.pick()
    with pytest.raises(MemberLocked):
        at_kiosk.pick(ALICE)


def test_a_token_is_long_random_and_not_to_be_guessed() -> None:
    sessions = Sessions(Clock())
    tokens = {sessions.new().token for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) == 64 and int(token, 16) >= 0 for token in tokens)
    for wrong in (None, "", "0" * 64, next(iter(tokens))[:-1], "\udcff"):
        assert sessions.find(wrong) is None


def test_an_idle_member_locks_and_its_keys_are_wiped() -> None:
    clock = Clock()
    session = Sessions(clock).new()
    keys = unlocked(ALICE)
    assert session.unlock(keys) == IDLE_S
    clock.now += IDLE_S - 1
    assert session.remaining_s(ALICE) == 1
    assert session.pick() is keys, "just in time"
    clock.now += IDLE_S - 1
    assert session.pick() is keys, "use puts the end off"
    clock.now += IDLE_S
    with pytest.raises(Locked):
        session.pick()
    assert keys.wiped
    assert session.remaining_s(ALICE) == 0


def test_the_daemon_wipes_keys_even_if_nobody_asks_again() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    session = sessions.new()
    keys = unlocked(ALICE)
    session.unlock(keys, 60)
    clock.now += 61
    sessions.sweep()
    assert keys.wiped
    clock.now += IDLE_S
    sessions.sweep()
    assert sessions.find(session.token) is None, "an empty session is forgotten"


def test_several_members_at_one_kiosk_say_who_acts() -> None:
    clock = Clock()
    session = Sessions(clock).new()
    session.unlock(unlocked(ALICE), 100)
    session.unlock(unlocked(BOB), 300)
    assert session.members() == (ALICE, BOB)
    with pytest.raises(WhichMember) as refused:
        session.pick()
    assert refused.value.code == "which_member"
    assert "--as" in refused.value.way_out
    assert session.pick(BOB).member == BOB
    clock.now += 150
    assert session.members() == (BOB,), "each has an end of its own"
    assert session.pick().member == BOB, "alone again, bob need not be named"


def test_unlocking_again_replaces_and_locking_locks_one_or_all() -> None:
    session = Sessions(Clock()).new()
    first, second = unlocked(ALICE), unlocked(ALICE)
    session.unlock(first)
    session.unlock(second)
    assert [first.wiped, second.wiped] == [True, False]
    session.unlock(unlocked(BOB))
    assert session.lock(ALICE) == (ALICE,)
    assert [first.wiped, second.wiped] == [True, True]
    assert session.lock(ALICE) == ()
    assert session.lock() == (BOB,)


def test_nobody_stays_unlocked_for_ever() -> None:
    clock = Clock()
    session = Sessions(clock).new()
    assert session.unlock(unlocked(ALICE), 10**9) == 24 * 3600
    assert session.unlock(unlocked(BOB), -5) == 0
    assert session.members() == (ALICE,), "no time at all is locked at once"


def test_too_many_sessions_push_out_the_one_idle_longest() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    oldest = sessions.new()
    keys = unlocked(ALICE)
    oldest.unlock(keys, 86_400)
    for _ in range(MAX_SESSIONS):
        clock.now += 0.001
        sessions.new()
    assert sessions.find(oldest.token) is None
    assert keys.wiped


def test_the_end_of_the_daemon_wipes_everything() -> None:
    sessions = Sessions(Clock())
    keys = unlocked(ALICE)
    sessions.new().unlock(keys)
    sessions.close()
    assert keys.wiped


def test_without_a_session_nobody_is_unlocked() -> None:
    with pytest.raises(Locked):
        pick(None)
    with pytest.raises(MemberLocked):
        pick(None, ALICE)


def test_the_idle_clock_never_goes_back() -> None:
    assert idle_clock() <= idle_clock()
