"""A community that is split says so on every screen, and names whose keys endorsed both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.machines import Machine, machines
from tests.unit.street import member
from tests.unit.test_explaining import invite

from commons_cli.output import lines_of
from commons_crdt.errors import CommonsError
from commons_node import verbs
from commons_node.explaining import catalogue
from commons_node.parts.keeper import PartsKeeper
from commons_node.peering.peering import Peering
from commons_node.registry import Request
from commons_node.verifier.pool import VerifierPool

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    workers = VerifierPool(1)
    yield workers
    asyncio.run(workers.stop())


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
    daemon = SimpleNamespace(
        communities=node.communities, peering=SimpleNamespace(peers=list), refusals={},
        node="0" * 64, ready=True, started=0.0, parts=PartsKeeper(nobody, list),
        keeping=SimpleNamespace(paused=set(), freed=set()),
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
            assert "founds a community anew" in warning
            assert warning in shown("community.acts", seen)
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


def test_several_names_in_a_sentence() -> None:
    assert [catalogue.listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "", "a", "a and b", "a, b and c",
    ]  # fmt: skip
