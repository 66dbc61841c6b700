"""Many light nodes with the daemon's own peering: everything reaches everybody, nothing strays.

The same code as `make scale` runs with a thousand nodes, here with as many as a few seconds bear.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.simulation.salted import salted

from commons_node.peering import places
from commons_node.peering.showing import EVERY_S
from commons_node.peering.types import Settings as Peering
from commons_node.testing.scale import bridges, islands, report
from commons_node.testing.scale.__main__ import main
from commons_node.testing.scale.bridges import Bridges
from commons_node.testing.scale.crowd import INBOUND, PLACES, Crowd
from commons_node.testing.scale.islands import Islands
from commons_node.testing.scale.jobs import MIDDLE, Job, jobs
from commons_node.testing.scale.packets import Message
from commons_node.testing.scale.router import Out, Router, Settings
from commons_node.testing.scale.spread import Outcome, Phase, Plan, Spread
from commons_protocol.libp2p_host.gate import Limits
from commons_protocol.network import PeerId

SPARSE = Plan(
    nodes=20, places=10, writes=4, phases=(Phase(), Phase(lost=0.2)), connect_s=20.0, idle_s=20.0
)
"""Nobody has places for everybody: gossip goes over several hops."""
DENSE = Plan(
    nodes=10, places=PLACES, known=10, writes=6, phases=(Phase(lost=0.05, churn=0.3),),
    connect_s=10.0, idle_s=300.0,
)  # fmt: skip
"""Everybody is connected with everybody; some go and come back."""
POOR = replace(SPARSE, phases=(Phase(lost=0.7),))


@pytest.fixture(scope="module")
def sparse() -> Outcome:
    return Spread(SPARSE).run()


@pytest.fixture(scope="module")
def dense() -> Outcome:
    return Spread(DENSE).run()


# --- one community ------------------------------------------------------------------------------


def test_nothing_is_missed(sparse: Outcome, dense: Outcome) -> None:
    for outcome in (sparse, dense):
        for phase in outcome.phases:
            assert phase.missed == phase.missed_outside == 0, f"seed {outcome.plan.seed}: {phase}"
            assert phase.settled_s is not None
            assert phase.seconds["worst"] < float("inf")


def test_the_faults_struck(sparse: Outcome, dense: Outcome) -> None:
    calm, rough = sparse.phases
    assert not calm.faults, "a calm phase has none"
    assert rough.faults["lost"] > 0
    assert rough.faults["resent"] > 0
    assert dense.phases[0].faults["crashes"] == dense.phases[0].faults["restarts"] == 3


def test_a_body_comes_no_more_often_than_there_are_neighbours_to_send_it(sparse: Outcome) -> None:
    for phase in sparse.phases:
        assert phase.copies["gossip"] < sparse.mesh + 1, "once over each link of the mesh"
        assert phase.copies["push"] <= SPARSE.places / (SPARSE.nodes - 1), "neighbours only"
        assert phase.copies["pull"] < 1, "what is fetched is fetched once"
    assert sparse.phases[0].copies["pull"] < 0.1, "when all goes well there is nothing to fetch"


def test_where_everybody_is_a_neighbour_gossip_carries_no_bodies(dense: Outcome) -> None:
    assert dense.phases[0].copies["all"] < 2, "decision 12"


def test_what_is_counted_adds_up(sparse: Outcome) -> None:
    for phase in sparse.phases:
        parts = {name: size for name, size in phase.bytes.items() if name != "all"}
        assert sum(parts.values()) == pytest.approx(phase.bytes["all"])
        assert parts["gossip publish"] > 300, "an operation has more bytes than that"
        assert sum(phase.first_by.values()) == pytest.approx(1)
        assert 1 <= phase.hops["p50"] <= phase.hops["p99"] <= phase.hops["max"] < SPARSE.nodes
        seconds = phase.seconds
        assert 0 < seconds["50 %"] <= seconds["99 %"] <= seconds["100 %"] <= seconds["worst"]


def test_idle_nodes_compare_once_a_minute_with_each_neighbour(dense: Outcome) -> None:
    each = dense.idle["sync digest"] / dense.connections
    assert each == pytest.approx(2 * 60 * 89, rel=0.15), "two rounds a minute, 89 bytes each"


def test_gossip_alone_misses_what_anti_entropy_repairs() -> None:
    mutant = Spread(replace(POOR, anti_entropy=False)).run()
    assert mutant.missed > 0, "the mutant without comparisons fails, so the test can"
    assert mutant.phases[0].copies["pull"] == mutant.phases[0].copies["push"] == 0
    whole = Spread(POOR).run()
    assert whole.missed == 0, "with them nothing is missed"
    assert whole.phases[0].first_by["pull"] > 0, "somebody had to fetch"


def test_a_seed_is_one_run() -> None:
    plan = replace(DENSE, nodes=6, known=6, writes=2, idle_s=5.0)
    assert Spread(plan).run() == Spread(plan).run()
    assert Spread(replace(plan, seed=2)).run() != Spread(plan).run()


# --- many communities ---------------------------------------------------------------------------


def test_communities_that_share_nodes_share_nothing_else() -> None:
    outcome = Bridges(bridges.Plan(10, hub=4)).run()
    assert outcome.converged == 10, "every community has all of its own"
    assert outcome.trespasses == 0, "and nobody has anything of another"
    assert outcome.strangers == 1, "eve dialled, and was told nothing"
    assert [cost.communities for cost in outcome.costs] == [1, 2, 4]
    one, two, four = outcome.costs
    assert one.topics == 1
    assert two.idle == pytest.approx(2 * one.idle, rel=0.15), "the cost grows with membership"
    assert one.connections < two.connections < four.connections


def test_the_watch_sees_what_strays(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(router: Router, message: Message, source: PeerId) -> Out:
        out = forward(router, message, source)
        if not out:
            return out
        everybody = [peer for peer in router._neighbours if peer not in {source, message.origin}]
        return [(peer, out[0][1]) for peer in everybody]

    forward = Router._forward
    monkeypatch.setattr(Router, "_forward", careless)
    assert Bridges(bridges.Plan(4)).run().trespasses > 0, "a router that tells everybody is seen"


# --- walls --------------------------------------------------------------------------------------


def test_islands_with_a_place_left_find_together() -> None:
    outcome = Islands(islands.Plan(spare=4)).run()
    assert outcome.full == 0
    assert outcome.converged


FULL = islands.Plan(patience_s=60.0, seed=2)


def test_islands_without_a_place_left_find_together() -> None:
    outcome = Islands(FULL).run()
    assert outcome.full > 0.75 * outcome.nodes, "the islands are full"
    assert outcome.connected
    assert outcome.converged


def test_no_order_of_a_set_leaks_into_who_has_to_go() -> None:
    program = (
        "from commons_node.testing.scale.islands import Islands, Plan;"
        " print(Islands(Plan(patience_s=60.0, seed=2)).run())"
    )
    assert salted(program) == {str(Islands(FULL).run())}, "the salt of hashes changes nothing"


def test_places_that_nobody_gives_up_keep_islands_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SPARE", 0)
    outcome = Islands(FULL).run()
    assert not outcome.converged, "the mutant fails, so the test above can"


def _busy_pair(communities: int, also: bool = False, seconds: float = 60) -> int:
    """Two nodes share one community, the last that each of them entered: do they speak of it?

    ``also``: the first that they entered is another one that both are in. How many are spoken of.
    """
    crowd = Crowd(1)
    one, two = crowd.node(), crowd.node()
    common = [crowd.community(n) for n in range(1 + also)]
    for n, node in enumerate((one, two)):
        for annals in common[1:]:
            node.enter(annals)
        for m in range(communities - len(common)):
            node.enter(crowd.community(2 + n * communities + m))
        node.enter(common[0])
    one.knows(two)
    two.knows(one)

    async def story() -> int:
        await crowd.start([one, two], 1.0)
        await asyncio.sleep(seconds)
        talks = one.peering.talks.now.values()
        return sum(annals.realm in talk.session.realms for annals in common for talk in talks)

    return crowd.play(story)


def test_two_nodes_find_the_community_that_they_share() -> None:
    assert _busy_pair(16), "as many as there are slots for tags"


def test_two_nodes_in_more_communities_than_there_are_slots_find_the_one_they_share() -> None:
    assert _busy_pair(20)
    assert _busy_pair(60), "four streams show all of them"


def test_what_they_share_besides_is_found_later_and_both_stay() -> None:
    assert _busy_pair(30, also=True) == 1, "the first is among the first tags"
    assert _busy_pair(30, also=True, seconds=3 * EVERY_S) == 2


# --- the command --------------------------------------------------------------------------------


def test_the_simulated_limits_are_the_daemon_s() -> None:
    limits = Limits()
    settings = Peering()
    assert (limits.connections, limits.inbound_connections) == (PLACES, INBOUND)
    assert (settings.connections, settings.inbound_connections) == (PLACES, INBOUND)


def test_the_tables_are_set_where_the_page_has_marks() -> None:
    results = {"hub 4": Job(bridges.Plan(4, own=1, ring=False, hub=4, idle_s=10.0))()}
    tables = report.tables(results)
    assert list(tables) == ["hubs"]
    page = "before\n<!-- hubs -->\nold\n<!-- /hubs -->\nafter"
    written = report.write(page, tables)
    assert "old" not in written
    assert report.write(written, tables) == written
    with pytest.raises(ValueError, match="no place"):
        report.write("before and after", tables)


def test_no_table_of_the_page_is_empty() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    tables = dict(re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", page, re.DOTALL))
    assert set(tables) == {
        "spread", "bytes", "idle", "meshes", "routers", "communities", "hubs", "islands"
    }  # fmt: skip
    for name, text in tables.items():
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        assert len(rows) >= 3, f"`make scale WRITE=1` fills {name}"


def test_the_command_says_what_decides(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--size", "small", "--only", "hub", "islands 4", "--workers", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.startswith('{"run"') for line in said] == [True, True, True, False]
    assert '"missed": 0' in said[-1]
    assert '"trespasses": 0' in said[-1]


@pytest.mark.long
def test_two_hundred_nodes_and_a_hundred_communities() -> None:
    asked = ("spread", "mesh", "bridges", "hub")
    found = {name: job() for name, job in jobs(MIDDLE, 1).items() if name.startswith(asked)}
    for name in ("spread calm", "spread rough", *(n for n in found if n.startswith("mesh"))):
        for phase in found[name]["phases"]:
            assert phase["missed"] == 0, f"{name}: {phase}"
            assert phase["copies"]["gossip"] < Settings().high + 3
            if phase["phase"]["lost"]:
                assert phase["faults"]["lost"] > 0
    for name in (n for n in found if n.startswith(("bridges", "hub"))):
        assert found[name]["trespasses"] == 0, name
    for size in MIDDLE.communities:
        assert found[f"bridges {size}"]["converged"] == size
