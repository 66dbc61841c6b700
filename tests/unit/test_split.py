"""A community that is split says so on every screen, and names whose keys endorsed both."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.machines import Machine, machines
from tests.unit.street import member, open_realm
from tests.unit.test_explaining import invite

from commons_cli.output import lines_of
from commons_crdt.errors import CommonsError
from commons_crdt.texts import listed
from commons_node import verbs
from commons_node.backup.safety import Safety
from commons_node.disk import Room
from commons_node.domains import RULES
from commons_node.health.overview import of_community
from commons_node.parts.keeper import PartsKeeper
from commons_node.peering.load import Load
from commons_node.peering.peering import Peering
from commons_node.registry import Request
from commons_node.verifier.pool import VerifierPool

ROOT = Path(__file__).resolve().parents[2]


async def split(north: Machine, south: Machine) -> list[str]:
    """Alice's node was copied: each copy decides alone, and neither knows of the other."""
    acts = []
    for node, who in ((north, "bob"), (south, "cia")):
        done = await node.do("alice", "community.propose", what="coordinators", add=[who])
        assert done["state"] == "in_force", "alone she is the council"
        acts.append(str(done["act"]))
    known = await north.home.operations()
    await north.realm.ingest(await south.home.operations(), "south")
    await south.realm.ingest(known, "north")
    return acts


def nobody() -> Peering:
    """This node asks nobody for parts."""
    raise AssertionError


async def status(node: Machine) -> dict[str, Any]:
    """What ``status`` answers at a node that is otherwise idle."""
    room = Room(Path(), 0)

    async def safety() -> Safety:
        return Safety()

    daemon = SimpleNamespace(
        room=room,
        communities=node.communities, peering=SimpleNamespace(peers=list, load=Load()), refusals={},
        node="0" * 64, ready=True, started=0.0, parts=PartsKeeper(nobody, list),
        keeping=SimpleNamespace(paused=set(), freed=set()), safety=safety,
        rules=RULES,
    )  # fmt: skip
    return dict((await verbs.status(Request(daemon), verbs.Nothing())).value)  # type: ignore[arg-type]  # all of a daemon that it asks


def shown(view: str, value: dict[str, Any]) -> str:
    """What a person sees."""
    described = json.loads((ROOT / "cli/commons_cli/verbs.json").read_text(encoding="utf-8"))
    (verb,) = [one for one in described["verbs"] if one["name"] == view]
    return "\n".join(lines_of(verb, value))


async def test_a_split_is_said_with_the_keys_and_what_to_do(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        before = await status(north)
        assert before["warning"] is None
        acts = await split(north, south)
        for node in (north, south):
            seen = (await node.see("dan", "community.acts")).value
            assert {one["operation"] for one in seen["split"]} == set(acts)
            assert {name for one in seen["split"] for name in one["endorsed_twice_by"]} == {"alice"}
            warning = seen["warning"]
            assert warning.startswith("The community is split: the key of alice endorsed two")
            assert "bob becomes coordinator" in warning
            assert "cia becomes coordinator" in warning
            assert "commons-node community follow ACT" in warning
            assert warning in shown("community.acts", seen)
            causes = (await of_community(node.town, [])).causes
            assert [cause.code for cause in causes] == ["split", "alone"]
            told = await status(node)
            assert told["warning"] is not None
            assert told["communities"][0]["split"] == told["warning"]
            assert told["warning"] in shown("status", told)


async def test_in_a_split_the_council_rests_and_the_rest_goes_on(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        await split(north, south)
        with pytest.raises(CommonsError) as caught:
            await north.do("alice", "community.propose", what="rules", version=1)
        assert caught.value.code == "split"
        assert "the key of alice" in str(caught.value)
        authority = north.realm.judge.authority
        assert authority.council.seats == south.realm.judge.authority.council.seats
        assert [seat for seat, _ in authority.council.seats] == [member("alice")], "as before"
        ident = await invite(north, "cia")
        said = (await north.see("cia", "explain", operation=ident)).value
        assert said["verdict"] == "accepted"


async def follow(node: Machine, act: str, who: str = "alice") -> dict[str, Any]:
    return dict(await node.do(who, "community.follow", act=act))


async def test_people_decide_which_act_their_nodes_follow(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        council = north.realm.judge.authority.council
        with pytest.raises(CommonsError) as caught:
            await follow(north, council.base.hex())
        assert caught.value.code == "state", "there is nothing to follow yet"
        bobs, cias = await split(north, south)
        with pytest.raises(CommonsError) as caught:
            await follow(north, bobs, "dan")
        assert caught.value.code == "not_permitted", "not anybody who sits down there"
        done = await follow(north, bobs)
        assert (done["act"], done["base"], done["split"]) == (bobs, bobs, False)
        seats = [seat for seat, _ in north.realm.judge.authority.council.seats]
        assert sorted(seats) == sorted([member("alice"), member("bob")]), "what it decided, holds"
        assert (await status(north))["warning"] is None
        with pytest.raises(CommonsError) as caught:
            await follow(north, cias)
        assert caught.value.code == "state", "there is no way back"
        assert south.realm.judge.authority.council.split, "each node is told by its own people"

        asked = await north.do("bob", "community.propose", what="constitution", settings=["a=b"])
        assert asked["state"] != "in_force", "two keys now"
        pin = north.realm.judge.pin
        assert pin is not None
        assert pin.hex() == bobs

        await follow(south, bobs)
        await south.realm.ingest(await north.home.operations(), "north")
        await north.realm.ingest(await south.home.operations(), "south")
        assert await north.realm.hashes() == await south.realm.hashes(), "who follows one, agrees"
        path = north.realm.store.database.path
        await north.realm.close()
        again = await open_realm(south.realm.realm, path, pool)
        north.home.realm = again
        assert again.judge.authority.council.seats == south.realm.judge.authority.council.seats
        assert again.judge.pin == pin, "a start changes nothing"


def test_several_names_in_a_sentence() -> None:
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "", "a", "a and b", "a, b and c",
    ]  # fmt: skip
