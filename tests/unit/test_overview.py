"""What keeps a community from agreement is named, and nothing is named that is not so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.machines import machines
from tests.unit.rooms import Rooms, bytes_of, note, village

from commons_crdt.ids import OperationId, RealmId, digest
from commons_node.disk import MIB, Room
from commons_node.health.overview import of_community, of_node, of_peers
from commons_node.peering.types import PeerState
from commons_node.verifier.pool import VerifierPool
from commons_protocol.names import NodeId
from commons_protocol.reasons import CATALOGUE, RANK, Cause, of_held, of_refusals
from commons_protocol.status import SyncStatus

ELM, OAK = RealmId(digest("t-elm")), RealmId(digest("t-oak"))
ROOT = Path(__file__).parents[2]
OF_PEERS = [code for code, one in CATALOGUE.items() if one.state]

PROVOKED: Mapping[str, str] = {
    "network_down": "tests/unit/test_overview.py::test_the_node_itself_comes_first",
    "disk": "tests/unit/test_overview.py::test_the_node_itself_comes_first",
    "copied_home": "tests/unit/test_overview.py::test_the_node_itself_comes_first",
    "catching_up": "tests/unit/test_overview.py::test_the_node_itself_comes_first",
    "no_standing": "tests/unit/test_overview.py::test_a_node_that_was_revoked_says_so",
    "split": "tests/unit/test_split.py::test_a_split_is_said_with_the_keys_and_what_to_do",
    "pin": "tests/unit/test_overview.py::test_a_decision_that_has_not_come_is_waited_for",
    "seal": "tests/unit/test_realm_pruning.py"
    "::test_a_host_that_lies_about_what_is_sealed_is_found_out",
    "cut": "tests/unit/test_explaining.py::test_a_cause_that_is_not_here_is_named_by_its_id",
    "missing": "tests/unit/test_realm_held.py::test_three_days_ahead",
    "contents": "tests/unit/test_overview.py::test_contents_that_have_not_come_are_missed",
    "held_edits": "tests/unit/test_realm_held.py"
    "::test_a_document_that_kills_is_held_and_tried_again",
    "by_bundle": "tests/e2e/test_bundles.py"
    "::test_three_houses_that_meet_by_stick_only_lend_and_remove",
    "bundle_lacked": "tests/unit/test_bundles.py::test_what_a_bundle_told_is_said_with_its_day",
    "bundle_even": "tests/unit/test_bundles.py::test_what_a_bundle_told_is_said_with_its_day",
    "bundle_behind": "tests/unit/test_bundles.py::test_what_a_bundle_told_is_said_with_its_day",
    "relay_unreachable": "tests/e2e/test_peering_relays.py"
    "::test_what_fails_at_a_relay_is_said_with_the_next_command",
    "relay_refuses": "tests/e2e/test_peering_relays.py"
    "::test_what_fails_at_a_relay_is_said_with_the_next_command",
    "not_at_relay": "tests/e2e/test_peering_relays.py"
    "::test_what_fails_at_a_relay_is_said_with_the_next_command",
    "paused": "tests/e2e/test_keeping.py"
    "::test_a_community_is_paused_let_go_of_and_comes_back_whole",
    "alone": "tests/unit/test_overview.py::test_alone_is_who_knows_nobody",
    "nobody_here": "tests/unit/test_overview.py::test_alone_is_who_knows_nobody",
    "blocked": "tests/e2e/test_reasons.py::test_blocked_by_a_person_and_let_in_again",
    "abuse": "tests/e2e/test_reasons.py::test_who_breaks_rules_is_kept_out_and_let_in_again",
    "no_address": "tests/e2e/test_reasons.py::test_a_node_whose_address_nobody_knows",
    "in_turn": "tests/simulation/test_places.py"
    "::test_who_comes_new_stays_and_who_had_to_go_makes_nobody_go",
    "unreachable": "tests/e2e/test_reasons.py::test_a_node_that_is_off_is_not_alone",
    "stranger": "tests/e2e/test_reasons.py::test_a_stranger_is_one_and_is_asked_no_more",
    "dialling": "tests/e2e/test_reasons.py::test_before_the_first_answer_it_is_being_dialled",
    "unproven": "tests/e2e/test_reasons.py::test_who_is_connected_and_proves_nothing",
    "uncompared": "tests/simulation/test_sync_truth.py"
    "::test_before_the_first_comparison_has_ended_nothing_is_said_to_have_changed",
    "refused_forged": "tests/simulation/test_sync_truth.py"
    "::test_what_is_refused_is_named_with_its_reason_and_a_way_out",
    "refused_budget": "tests/simulation/test_sync_truth.py"
    "::test_what_is_refused_is_named_with_its_reason_and_a_way_out",
    "refused_stranger": "tests/simulation/test_sync_truth.py"
    "::test_what_is_refused_is_named_with_its_reason_and_a_way_out",
    "deferred": "tests/simulation/test_sync_truth.py"
    "::test_what_is_refused_is_named_with_its_reason_and_a_way_out",
    "refused": "tests/simulation/test_sync_truth.py"
    "::test_what_is_refused_is_named_with_its_reason_and_a_way_out",
    "held_rules": "tests/unit/test_realm_held.py"
    "::test_what_newer_rules_wrote_is_kept_aside_for_a_newer_program",
    "held_clock": "tests/unit/test_realm_held.py::test_three_days_ahead",
    "held_verifier": "tests/simulation/test_sync_truth.py"
    "::test_what_is_held_is_named_with_its_reason_and_a_way_out",
    "held_disk": "tests/e2e/test_reasons.py::test_a_full_disk_is_said_and_ends_by_itself",
    "silent": "tests/simulation/test_sync_truth.py"
    "::test_a_routine_comparison_does_not_make_who_is_in_sync_doubt_it",
    "turn": "tests/simulation/test_sync_truth.py::test_who_waits_for_another_peer_says_so",
    "changed": "tests/simulation/test_sync_truth.py"
    "::test_a_push_that_is_held_ends_the_claim_to_be_in_sync",
    "untaken": "tests/simulation/test_sync_truth.py"
    "::test_what_is_held_is_named_with_its_reason_and_a_way_out",
    "transfer": "tests/simulation/test_sync_truth.py"
    "::test_before_the_first_comparison_has_ended_nothing_is_said_to_have_changed",
    "synced": "tests/simulation/test_sync_truth.py"
    "::test_a_routine_comparison_does_not_make_who_is_in_sync_doubt_it",
}
"""The test that makes each reason come true, and looks at what is said then."""


def test_every_reason_is_provoked_by_a_test_that_is_there() -> None:
    assert PROVOKED.keys() == CATALOGUE.keys()
    for code, where in PROVOKED.items():
        file, _, name = where.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{code}: {where}"


def peer(code: str, *live: RealmId, shares: frozenset[RealmId] = frozenset()) -> PeerState:
    """A peer of whom this is said."""
    sync = SyncStatus(code, unknown_since=1)
    node = NodeId(digest("t-node", code.encode()).hex())
    away = CATALOGUE[code].state in {"unreachable", "blocked"} or code == "dialling"
    realms = dict.fromkeys(live, sync)
    return PeerState(
        node, (), not away, sync.state == "blocked", 1, sync, realms, shares | set(live)
    )


def test_alone_is_who_knows_nobody() -> None:
    found = of_peers(ELM, [])
    assert (found.state, [c.code for c in found.causes]) == ("alone", ["alone"])
    off = peer("unreachable", shares=frozenset({ELM}))
    found = of_peers(ELM, [off, replace(off, node=NodeId("0" * 64))])
    assert found.state == "unreachable", "known, and not here: that is not to be alone"
    assert [(c.code, c.count) for c in found.causes] == [("nobody_here", 2)]
    elsewhere = peer("unreachable", shares=frozenset({OAK}))
    assert of_peers(ELM, [elsewhere]).state == "alone", "it is of another community"
    blocked = peer("blocked", shares=frozenset({ELM}))
    assert of_peers(ELM, [blocked]).state == "alone", "and who is blocked is nobody here"


def test_who_left_a_community_and_speaks_of_another_is_a_stranger_in_it() -> None:
    bob = peer("synced", OAK, shares=frozenset({ELM}))
    (row,) = of_peers(ELM, [bob]).rows
    assert row.sync.state == "stranger"
    assert of_peers(OAK, [bob]).state == "synced"


@given(
    st.lists(st.sampled_from(OF_PEERS), max_size=5), st.lists(st.sampled_from(OF_PEERS), max_size=3)
)
def test_a_community_is_in_sync_only_if_somebody_is_here_and_everybody_here_is(
    live: list[str], apart: list[str]
) -> None:
    peers = [replace(peer(code, ELM), node=NodeId(f"{n:064x}")) for n, code in enumerate(live)]
    peers += [
        replace(peer(code), node=NodeId(f"{n + 9:064x}"))
        for n, code in enumerate(apart)
        if code != "synced"
    ]
    found = of_peers(ELM, peers)
    here = [p for p in peers if p.connected and not p.realms and p.sync.state == "unknown"]
    all_equal = bool(live) and set(live) == {"synced"} and not here
    assert (found.state == "synced") is all_equal
    for row in found.rows:
        causes = row.causes
        assert bool(causes) is (row.sync.state != "synced")
        assert all(cause.action and cause.sentence for cause in causes)
        assert [RANK[c.code] for c in causes] == sorted(RANK[c.code] for c in causes)
        assert row.sync.code in {cause.code for cause in causes} | {"synced"}


def test_several_causes_are_all_named_the_worst_first() -> None:
    refusals = {"signature": 2, "budget": 1, "limit": 3, "chain": 4}
    said = SyncStatus("refused_forged", refused=10, refusals=refusals, held={"clock": 5, "load": 1})
    assert [(c.code, c.count) for c in said.causes()] == [
        ("refused_forged", 2), ("refused_budget", 1), ("deferred", 3), ("refused", 4),
        ("held_clock", 5),
    ]  # fmt: skip
    assert "signature" in said.reason
    assert "peer block eeeeeeeeeeee" in said.action("e" * 64), "with the node to name"
    assert [c.code for c in of_refusals({}, 3)] == ["refused"]
    assert not of_held({"load": 2}), "what was shed for a moment is no reason of its own"


def looked(
    network: str = "up", *, copied: bool = False, sign: bool = True, free: int = 100,
    paused: bool = False,
) -> Any:  # fmt: skip
    """As much of a daemon as is looked at."""
    peering = SimpleNamespace(network=SimpleNamespace(state=network))
    room = Room(Path(), 10 * MIB, lambda: free * MIB)
    return SimpleNamespace(
        peering=peering, communities={ELM: None}, room=room,
        signing=SimpleNamespace(copied=copied), may_sign=lambda _realm: sign,
        keeping=SimpleNamespace(paused={ELM} if paused else set()),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("node", "codes"),
    [
        (looked(), []),
        (looked("restarting"), ["network_down"]),
        (looked(free=9), ["disk"]),
        (looked(sign=False), ["catching_up"]),
        (looked(sign=False, paused=True), []),
        (looked(sign=False, copied=True), ["copied_home"]),
        (looked("down", sign=False, free=1), ["network_down", "disk", "catching_up"]),
    ],
)
def test_the_node_itself_comes_first(node: Any, codes: list[str]) -> None:
    found = of_node(node)
    assert [cause.code for cause in found] == codes
    assert all(RANK[cause.code] < RANK["no_standing"] for cause in found)


def test_the_next_command_is_the_first_that_the_action_names() -> None:
    assert Cause("blocked", node="ab" * 32).command == "commons-node peer unblock abababababab"
    assert Cause("held_clock").command == ""
    assert Cause("unreachable").command == "commons-node peer connect ADDRESS"


async def test_contents_that_have_not_come_are_missed(rooms: Rooms) -> None:
    home, people = village()
    ident = note(home, people.bob, 1).id
    hollow = replace(home.operations[ident], body=None, parts=())
    rest = [operation for i, operation in home.operations.items() if i != ident]
    room = await rooms.open("a", home, *rest, hollow)
    assert await room.why() == {"contents": 1}
    await room.take(home.operations[ident])
    assert not await room.why(), "and not when they are here"


async def test_a_decision_that_has_not_come_is_waited_for(rooms: Rooms) -> None:
    home, people = village()
    room = await rooms.open("a", home, *bytes_of(home))
    async with room.realm.store.database.transaction():
        await room.realm._sealed.pin_to(room.realm.judge, OperationId(digest("t-seal")))
    room = await rooms.again(room)
    later = note(home, people.bob, 1)
    await room.take(home.operations[later.id])
    assert await room.said(later.id) == [(0, "pin", None)]
    assert "pin" in await room.why()


async def test_a_node_that_was_revoked_says_so(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool) as (north, south):
        before = await of_community(south.town, [])
        assert [cause.code for cause in before.causes] == ["alone"]
        device = south.realm.own_credential
        assert device is not None
        await north.do("alice", "peer.revoke", device=device.device.hex())
        await north.tell(south)
        found = await of_community(south.town, [])
        assert [cause.code for cause in found.causes] == ["no_standing", "alone"]
