"""Fetching much takes turns; fetching little does not, and nobody holds the turn for ever."""

from __future__ import annotations

from commons_crdt.ids import RealmId, digest
from commons_node.peering.turns import MUCH, Turns
from commons_protocol.network import PeerId

REALM, OTHER = RealmId(digest("t-realm")), RealmId(digest("t-other"))
ALICE, BOB = PeerId("alice"), PeerId("bob")


def test_one_peer_at_a_time_for_each_realm() -> None:
    turns = Turns()
    assert turns.take(REALM, ALICE, MUCH, 0)
    assert not turns.take(REALM, BOB, MUCH, 0)
    assert turns.take(REALM, ALICE, MUCH, 0), "who has the turn keeps it"
    assert turns.take(OTHER, BOB, MUCH, 0)
    assert turns.take(REALM, BOB, MUCH - 1, 0), "a small difference waits for nobody"
    assert turns.leave(ALICE) == [REALM]
    assert turns.take(REALM, BOB, MUCH, 0)
    assert turns.leave(ALICE, REALM) == []


def test_who_is_silent_or_slow_loses_the_turn() -> None:
    turns = Turns()
    assert turns.take(REALM, ALICE, MUCH, 0)
    turns.moved(REALM, ALICE, 4_000)
    assert not turns.take(REALM, BOB, MUCH, 8_999)
    assert turns.take(REALM, BOB, MUCH, 9_000), "five seconds of silence"
    for now in range(9_000, 39_000, 1_000):
        turns.moved(REALM, BOB, now)
        assert not turns.take(REALM, ALICE, MUCH, now)
    turns.moved(REALM, BOB, 39_000)
    assert turns.take(REALM, ALICE, MUCH, 39_000), "half a minute is long enough"
