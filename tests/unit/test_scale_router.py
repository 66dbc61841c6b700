"""The model of GossipSub: sizes as py-libp2p's own messages have them, rules as it keeps them."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.pubsub.pb import rpc_pb2

from commons_node.testing.scale.mesh import Mesh, Plan, edges
from commons_node.testing.scale.packets import RECORD, Message, Packet
from commons_node.testing.scale.router import Out, Router, Settings
from commons_protocol.network import PeerId

ALICE, BOB, EVE = PeerId("alice"), PeerId("bob"), PeerId("eve")
PEERS = [PeerId(f"peer{n}") for n in range(20)]
TOPIC = "a" * 48


# --- sizes --------------------------------------------------------------------------------------


def encoded(packet: Packet) -> int:
    """Bytes of the same packet as py-libp2p would encode it."""
    rpc = rpc_pb2.RPC(senderRecord=bytes(RECORD))
    for topic, on in packet.subscriptions:
        rpc.subscriptions.append(rpc_pb2.RPC.SubOpts(subscribe=on, topicid=topic))
    for message in packet.publish:
        rpc.publish.append(
            rpc_pb2.Message(
                from_id=bytes(38), data=message.data, seqno=bytes(8), topicIDs=[message.topic],
                signature=bytes(64), key=bytes(36),
            )
        )  # fmt: skip
    for topic, ids in packet.ihave:
        mids = [bytes(46)] * len(ids)
        rpc.control.ihave.append(rpc_pb2.ControlIHave(topicID=topic, messageIDs=mids))
    if packet.iwant:
        mids = [bytes(46)] * len(packet.iwant)
        rpc.control.iwant.append(rpc_pb2.ControlIWant(messageIDs=mids))
    for topic in packet.graft:
        rpc.control.graft.append(rpc_pb2.ControlGraft(topicID=topic))
    for topic, seconds in packet.prune:
        prune = rpc_pb2.ControlPrune(topicID=topic)
        if seconds:
            prune.backoff = seconds
        rpc.control.prune.append(prune)
    return rpc.ByteSize()


_topics = st.lists(st.text("0123456789abcdef", min_size=1, max_size=64), max_size=3).map(tuple)
_ids = st.lists(st.tuples(st.just(ALICE), st.integers(1, 9)), max_size=200).map(tuple)


@given(
    subscriptions=_topics,
    data=st.lists(st.integers(0, 4096), max_size=3),
    announced=st.dictionaries(st.just(TOPIC), _ids),
    wanted=_ids,
    graft=_topics,
    prune=st.dictionaries(st.text("abc", min_size=1), st.sampled_from((0, 10, 60, 200))),
)
def test_a_packet_has_the_size_that_py_libp2p_gives_it(
    subscriptions: tuple[str, ...],
    data: list[int],
    announced: dict[str, tuple[tuple[PeerId, int], ...]],
    wanted: tuple[tuple[PeerId, int], ...],
    graft: tuple[str, ...],
    prune: dict[str, int],
) -> None:
    packet = Packet(
        subscriptions=tuple((topic, n % 2 == 0) for n, topic in enumerate(subscriptions)),
        publish=tuple(Message(ALICE, n, TOPIC, bytes(size)) for n, size in enumerate(data)),
        ihave=tuple(announced.items()),
        iwant=wanted,
        graft=graft,
        prune=tuple(prune.items()),
    )
    assert packet.size() == encoded(packet)


# --- rules --------------------------------------------------------------------------------------


def kinds(out: Out) -> list[tuple[PeerId, str]]:
    return [(peer, packet.kind) for peer, packet in out]


def router(peers: Iterable[PeerId], now: float = 0.0) -> Router:
    """Alice's, who hears the topic, among peers who do."""
    alice = Router(ALICE, random.Random(1))
    alice.subscribe(TOPIC, now)
    for peer in peers:
        alice.connected(peer)
        alice.on_packet(peer, Packet(subscriptions=((TOPIC, True),)), now)
    return alice


def beats(alice: Router, count: int, first: float = 0.0) -> list[int]:
    """Mesh sizes after so many heartbeats."""
    sizes = []
    for n in range(count):
        alice.heartbeat(first + n)
        sizes.append(len(alice.mesh[TOPIC]))
    return sizes


def test_a_new_hearer_is_grafted_while_the_mesh_is_small() -> None:
    alice = router(PEERS[:6])
    assert len(alice.mesh[TOPIC]) == Settings().low, "beyond it the heartbeat decides"


def test_with_few_neighbours_all_of_them_are_mesh_peers() -> None:
    alice = router(PEERS[:9])
    assert beats(alice, 6)[-1] == 9, "two more with each heartbeat, although degree is 6"


def test_with_many_neighbours_the_mesh_swings() -> None:
    sizes = beats(router(PEERS), 12)
    assert max(sizes) > Settings().high
    assert min(sizes[6:]) <= Settings().degree + 2, "it is cut back"


def test_a_message_goes_to_every_mesh_peer_but_its_author_and_whom_it_came_from() -> None:
    alice = router([BOB, EVE, *PEERS[:2]])
    message = Message(EVE, 1, TOPIC, b"hello")
    out, fresh = alice.on_packet(BOB, Packet(publish=(message,)), 1.0)
    assert fresh == [message]
    assert kinds(out) == [(PEERS[0], "publish"), (PEERS[1], "publish")]
    assert alice.on_packet(EVE, Packet(publish=(message,)), 2.0) == ([], []), "once only"


def test_what_is_not_heard_is_neither_told_nor_passed_on() -> None:
    alice = router([BOB])
    foreign = Message(BOB, 1, "b" * 48, b"of another community")
    assert alice.on_packet(BOB, Packet(publish=(foreign,)), 1.0) == ([], [])


def test_what_is_announced_is_asked_for_and_given() -> None:
    alice, bob = router([BOB]), Router(BOB, random.Random(2))
    bob.subscribe(TOPIC, 0.0)
    bob.connected(ALICE)
    message = Message(EVE, 7, TOPIC, b"hello")
    alice.on_packet(BOB, Packet(publish=(message,)), 0.5)
    announced = Packet(ihave=((TOPIC, (message.id,)),))
    asked, _ = bob.on_packet(ALICE, announced, 1.0)
    assert asked == [(ALICE, Packet(iwant=(message.id,)))]
    given_, _ = alice.on_packet(BOB, asked[0][1], 1.1)
    _, fresh = bob.on_packet(ALICE, given_[0][1], 1.2)
    assert fresh == [message]
    for n in range(Settings().history):
        alice.heartbeat(2.0 + n)
    assert alice.on_packet(BOB, asked[0][1], 9.0) == ([], []), "after five heartbeats it is gone"


def test_only_those_outside_the_mesh_hear_what_there_is() -> None:
    alice = router(PEERS)
    alice.publish(TOPIC, b"hello", 0.0)
    told = {peer for peer, packet in alice.heartbeat(0.5) if packet.ihave}
    assert len(told) >= Settings().lazy
    assert told.isdisjoint(alice.mesh[TOPIC])
    later = {peer for n in range(5) for peer, p in alice.heartbeat(1.5 + n) if p.ihave}
    assert later, "three heartbeats long"
    assert not [p for _, p in alice.heartbeat(9.0) if p.ihave], "and no longer"


def test_who_is_pruned_stays_away_for_a_minute() -> None:
    alice = router([BOB, EVE, *PEERS[:2]])
    alice.on_packet(BOB, Packet(prune=((TOPIC, 0),)), 5.0)
    assert BOB not in alice.mesh[TOPIC]
    beats(alice, 50, 6.0)
    assert BOB not in alice.mesh[TOPIC], "backed off"
    beats(alice, 2, 66.0)
    assert BOB in alice.mesh[TOPIC]


def test_a_graft_too_soon_is_answered_with_a_prune() -> None:
    alice = router([BOB, EVE, *PEERS[:2]])
    alice.on_packet(BOB, Packet(prune=((TOPIC, 0),)), 5.0)
    for now in (6.0, 30.0):
        out, _ = alice.on_packet(BOB, Packet(graft=(TOPIC,)), now)
        assert out == [(BOB, Packet(prune=((TOPIC, 60),)))]
    out, _ = alice.on_packet(BOB, Packet(graft=(TOPIC,)), 91.0)
    assert (out, BOB in alice.mesh[TOPIC]) == ([], True), "the second one made it wait longer"


def test_a_graft_for_what_nobody_hears_here_is_refused() -> None:
    out, _ = router([BOB]).on_packet(BOB, Packet(graft=("b" * 48,)), 1.0)
    assert out == [(BOB, Packet(prune=(("b" * 48, 60),)))]


def test_a_neighbour_may_announce_only_so_many_topics() -> None:
    alice = router([BOB])
    topics = [(f"{n:048x}", True) for n in range(100)]
    alice.on_packet(BOB, Packet(subscriptions=tuple(topics)), 1.0)
    assert len(alice.topics_of(BOB)) == Settings().topics_per_peer
    assert alice.refused_topics == 101 - Settings().topics_per_peer
    alice.on_packet(BOB, Packet(subscriptions=((topics[0][0], False),)), 1.0)
    assert len(alice.topics_of(BOB)) == Settings().topics_per_peer - 1


def test_too_many_at_once_are_not_even_read() -> None:
    alice = router([])
    alice.connected(BOB)
    topics = tuple((f"{n:048x}", True) for n in range(257))
    alice.on_packet(BOB, Packet(subscriptions=topics), 1.0)
    assert not alice.topics_of(BOB), "a node in 257 communities has no gossip at all"


def test_leaving_a_topic_ends_its_mesh() -> None:
    alice = router([BOB])
    out = alice.unsubscribe(TOPIC, 3.0)
    assert kinds(out) == [(BOB, "hello"), (BOB, "mesh")]
    assert alice.publish(TOPIC, b"hello", 4.0) == []
    alice.subscribe(TOPIC, 5.0)
    assert not alice.mesh[TOPIC], "who left does not graft for ten seconds"


def test_who_is_gone_is_in_no_mesh() -> None:
    alice = router([BOB, EVE])
    alice.gone(BOB)
    assert list(alice.mesh[TOPIC]) == [EVE]
    assert alice.on_packet(BOB, Packet(graft=(TOPIC,)), 1.0) == ([], []), "and not heard"


def test_who_hears_late_is_sent_what_was_said_just_now() -> None:
    alice = router([BOB])
    alice.publish(TOPIC, b"hello", 1.0)
    alice.connected(EVE)
    out, _ = alice.on_packet(EVE, Packet(subscriptions=((TOPIC, True),)), 1.5)
    assert kinds(out) == [(EVE, "publish"), (EVE, "mesh")]


# --- a whole mesh -------------------------------------------------------------------------------


def test_one_seed_is_one_run() -> None:
    plan = Plan(12, 11, messages=5)
    assert Mesh(plan).run() == Mesh(plan).run()
    assert Mesh(plan).run() != Mesh(Plan(12, 11, messages=5, seed=2)).run()


@pytest.mark.parametrize(("nodes", "neighbours"), [(5, 4), (10, 9), (10, 4)])
def test_a_small_mesh_brings_a_message_over_every_link(nodes: int, neighbours: int) -> None:
    found = Mesh(Plan(nodes, neighbours, messages=20)).run()
    assert found.missed == 0
    assert found.mesh == neighbours
    assert neighbours - 1 < found.copies < neighbours, "all but what went the other way meanwhile"


def test_a_mesh_that_loses_most_packets_misses_some() -> None:
    found = Mesh(Plan(20, 6, messages=20, lost=0.8)).run()
    assert found.missed > 0, "gossip is a hint"


def test_a_ring_has_every_edge_once() -> None:
    assert len(edges(10, 4)) == len({frozenset(edge) for edge in edges(10, 4)}) == 20
    assert len(edges(5, 4)) == 10
