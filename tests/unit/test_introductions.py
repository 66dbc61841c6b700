"""Every neighbour is told of every other, whoever comes first and however late an address is known.

Each was told only once, when somebody came: of whoever had not yet said where they are, nobody
heard until the next one came.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.ids import RealmId, digest
from commons_node.peering.book import Book
from commons_node.peering.introductions import AT_ONCE, Introductions, Told
from commons_node.peering.types import KnownPeer, MemoryBook
from commons_node.peering.ways import Way
from commons_protocol.allowances import INTRODUCTIONS, INTRODUCTIONS_PER_SECOND
from commons_protocol.limits import Bucket
from commons_protocol.names import NodeId
from commons_protocol.network import Address, PeerId

REALM, OTHER = RealmId(digest("t-realm")), RealmId(digest("t-other"))
MACHINES = 3
"""Of one member, who share what others listen to."""
ALICE, BOB, CAROL = PeerId("alice"), PeerId("bob"), PeerId("carol")


def at(peer: PeerId, port: int = 1) -> Told:
    return peer, (Address(f"/ip4/10.0.0.1/tcp/{port}/p2p/{peer}"),)


class Alice:
    """What alice tells, and to whom; she says at once what is due."""

    def __init__(self) -> None:
        self.introductions = Introductions()
        self.here: dict[PeerId, Told | None] = {}
        self.heard: dict[PeerId, dict[PeerId, Told]] = {}
        self.frames: dict[PeerId, list[int]] = {}

    def tells(self, now: int) -> bool:
        """True if somebody has to wait for more."""
        waits = False
        located = [told for told in self.here.values() if told is not None]
        for peer in self.here:
            news, more = self.introductions.due(peer, REALM, at(ALICE), located, now)
            waits = waits or more
            if news:
                assert news[0] == at(ALICE), "its own entry comes first"
                assert len(news) <= AT_ONCE + 1
                self.introductions.told(peer, REALM, news)
                self.heard.setdefault(peer, {}).update({told[0]: told for told in news})
                self.frames.setdefault(peer, []).append(now)
        return waits

    def leaves(self, peer: PeerId) -> None:
        self.here.pop(peer, None)
        self.heard.pop(peer, None)
        self.frames.pop(peer, None)
        self.introductions.gone(peer)


PEERS = [PeerId(f"peer {n}") for n in range(5)]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["comes", "is at", "goes"]), st.sampled_from(PEERS), st.integers(1, 3)
    ),
    max_size=30,
)


@given(EVENTS)
def test_in_the_end_everybody_was_told_where_everybody_is(
    events: list[tuple[str, PeerId, int]],
) -> None:
    alice = Alice()
    now = 0
    for what, peer, port in events:
        now += 5_000
        match what:
            case "comes":
                alice.here.setdefault(peer, None)
            case "is at" if peer in alice.here:
                alice.here[peer] = at(peer, port)
            case "goes":
                alice.leaves(peer)
        assert not alice.tells(now), "nobody waits who is told something now and then"
    for peer in alice.here:
        expected = {at(ALICE)} | {one for one in alice.here.values() if one and one[0] != peer}
        heard = alice.heard[peer]
        assert {heard[told[0]] for told in expected} == expected, "each of the others, as it is now"
        assert peer not in heard, "nobody is told of itself"
    assert not any(
        alice.introductions.due(peer, REALM, at(ALICE), [], now)[0] for peer in alice.here
    )


def test_who_comes_back_is_told_anew_and_so_are_the_others() -> None:
    alice = Alice()
    alice.here = {BOB: at(BOB), CAROL: at(CAROL)}
    alice.tells(0)
    assert CAROL in alice.heard[BOB]
    alice.heard[BOB].clear()
    alice.tells(1_000)
    assert not alice.heard[BOB], "it knows that already"
    alice.leaves(CAROL)
    alice.here[CAROL] = at(CAROL)
    alice.tells(2_000)
    assert alice.heard[BOB][CAROL] == at(CAROL), "so that bob dials her again"
    assert alice.heard[CAROL][BOB] == at(BOB)


def test_what_is_told_in_one_community_is_not_told_in_another() -> None:
    introductions = Introductions()
    news, _ = introductions.due(BOB, REALM, at(ALICE), [at(CAROL)], 0)
    introductions.told(BOB, REALM, news)
    assert introductions.due(BOB, REALM, at(ALICE), [at(CAROL)], 0) == ([], False)
    assert introductions.due(BOB, OTHER, at(ALICE), [], 0)[0] == [at(ALICE)]


def test_a_crowd_is_told_in_pieces_and_nobody_is_left_out() -> None:
    alice = Alice()
    crowd = [PeerId(f"peer {n:03}") for n in range(100)]
    alice.here = {peer: at(peer) for peer in crowd}
    rounds = 1
    while alice.tells(rounds * 1000):
        rounds += 1
        assert rounds < 10
    assert all(set(alice.heard[peer]) == {*crowd, ALICE} - {peer} for peer in crowd)


def test_nobody_is_told_more_often_than_it_listens() -> None:
    """A frame that the other side drops as a flood would never be told again."""
    alice = Alice()
    alice.here = {BOB: at(BOB), CAROL: None}
    listens = Bucket(INTRODUCTIONS / MACHINES, INTRODUCTIONS_PER_SECOND / MACHINES)
    waited = 0
    for second in range(600):
        alice.here[CAROL] = at(CAROL, second)  # she moves every second
        waited += alice.tells(second * 1000)
    assert waited > 100, "there was more to tell than bob listens to"
    assert len(alice.frames[BOB]) > 200, "and he is told much"
    assert all(listens.take(now) for now in alice.frames[BOB])
    while alice.tells(700_000):
        pass
    assert alice.heard[BOB][CAROL] == at(CAROL, 599), "the last word reaches him"


async def test_a_rumour_is_one_until_the_node_is_known() -> None:
    book = Book(MemoryBook())
    bob, carol = NodeId("bb" * 32), NodeId("cc" * 32)
    book.hear(bob, at(BOB)[1])
    book.hear(carol, at(CAROL)[1])
    assert book.rumoured() == (bob, carol)
    await book.save(KnownPeer(bob, book.heard(bob)))
    assert book.rumoured() == (carol,)


@pytest.mark.parametrize("times", [1, 50])
async def test_hearsay_makes_us_look_once_in_a_while(times: int) -> None:
    way = Way(BOB, None, lambda: None, None)  # type: ignore[arg-type]  # nothing is dialled here
    way._kicked.clear()
    way._failures = 9
    looked = 0
    for _ in range(times):
        way.hint()
        looked += way._kicked.is_set()
        way._kicked.clear()
    assert looked == 1, "however often it is said"
    assert way._failures == 9, "what others say is no success"
    way.kick()
    assert way._failures == 0


def test_a_rumour_that_is_told_again_gets_its_tries_again() -> None:
    way = Way(BOB, None, lambda: None, None, tries=1)  # type: ignore[arg-type]  # as above
    way.allow(4)
    assert way.tries == 4
    way.allow(1)
    assert way.tries == 4, "what was allowed stays"
    way.allow(None)
    way.allow(1)
    assert way.tries is None, "who is known is tried for ever"
