"""The model of GossipSub that `make scale` stands on, held against the real one."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import pytest
from bench.mesh import modelled, real
from libp2p.peer.peerstore import env_to_send_in_RPC

from commons_node.testing.scale.mesh import Plan
from commons_node.testing.scale.packets import RECORD
from commons_node.testing.scale.router import Settings
from commons_protocol.libp2p_host import Libp2pNetwork
from commons_protocol.network import Address


async def test_the_model_has_the_numbers_of_the_daemon_s_host() -> None:
    listen = [Address("/ip4/127.0.0.1/tcp/0")]
    network = Libp2pNetwork(os.urandom(32), listen, {}, lambda _event: None, {})
    await network.start()
    try:
        life: Any = network._life
        host = life[1]
        pubsub = host._pubsub
        router, own = pubsub.gossip_router, Settings()
        assert (router.degree, router.degree_low, router.degree_high) == (
            own.degree, own.low, own.high,
        )  # fmt: skip
        assert (router.heartbeat_interval, router.heartbeat_initial_delay) == (
            own.heartbeat_s, own.first_heartbeat_s,
        )  # fmt: skip
        assert (router.mcache.window_size, router.mcache.history_size) == (own.window, own.history)
        assert (router.prune_back_off, router.unsubscribe_back_off) == (
            own.backoff_s, own.leave_backoff_s,
        )  # fmt: skip
        assert router.graft_flood_threshold == own.flood_s
        assert not router.do_px, "no peer exchange"
        assert not router.adaptive_gossip_enabled
        for others in (0, 10, 40, 100):
            expected = max(own.lazy, int(others * own.factor))
            assert router._get_adaptive_gossip_peers_count("", others) == expected
        assert router.scorer.score(host.id, ["any"]) == 0, "nobody is ever worth more or less"
        assert pubsub.max_subscriptions_per_peer == own.topics_per_peer
        assert pubsub.max_subscriptions_per_rpc == own.topics_per_packet
        assert pubsub.seen_messages.ttl == own.seen_s
        record, _ = env_to_send_in_RPC(host._host)
        assert len(record) == pytest.approx(RECORD, abs=4), "the port's digits vary"
    finally:
        await network.stop()


@pytest.mark.long
@pytest.mark.parametrize(
    ("plan", "runs", "within"),
    [
        (Plan(10, 9, messages=20), 1, 0.1),
        (Plan(16, 15, messages=20, warm_s=15.0), 2, 0.35),  # the mesh swings, by a tenth in a run
    ],
    ids=["all with all", "more than a mesh holds"],
)
def test_real_hosts_do_as_the_model_does(plan: Plan, runs: int, within: float) -> None:
    seen, model = [asdict(real(plan)) for _ in range(runs)], modelled(plan)
    found = {name: sum(run[name] for run in seen) / runs for name in model}
    assert found["missed"] == model["missed"] == 0
    for name in ("copies", "bytes", "mesh"):
        assert found[name] == pytest.approx(model[name], rel=within), name
    assert found["hops"] == pytest.approx(model["hops"], rel=0.25), "who is nearest is chance"
