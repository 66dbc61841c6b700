"""The simulator's faults and lies are real: still one of them in any way, and it is missed.

In two ways each: it never strikes, or it is counted and nothing comes of it. The second is how
simulators stay green over tests of nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest

from commons_node.testing import storm
from commons_node.testing.air import Air
from commons_node.testing.disk import Power
from commons_node.testing.host import Host
from commons_node.testing.liars import Told
from commons_node.testing.lies import LIES, unmet
from commons_node.testing.life import Life, Shelf
from commons_node.testing.node import Node
from commons_node.testing.plan import Plan, command
from commons_node.testing.storm import Outcome, run
from commons_node.testing.streams import SimStream
from commons_node.testing.town import Town
from commons_node.testing.weather import CALM, FAULTS, ROUGH, Faults, idle

pytestmark = pytest.mark.long

BAD = replace(ROUGH, cut=0.004, mangled=0.02, slow_disk=0.1, worker_death=0.1)
EVERYTHING = Plan(
    nodes=5, liars=0, lies=(), crashes=5, jumps=2, one_way=3, islands=2, writes=40, asks=1,
    weather=BAD, apart_s=35, settle_s=20,
)  # fmt: skip
"""A short story in which every fault strikes."""
LIAR = Plan(
    nodes=5, joining=0, leaving=0, crashes=0, jumps=0, one_way=0, islands=1, writes=10, asks=0,
    measures=0, weather=CALM, apart_s=5, settle_s=5,
)  # fmt: skip
"""A calm one in which somebody lies."""
SEEDS = range(1, 13)

Patch = pytest.MonkeyPatch


def _first(plan: Plan, complete: Callable[[Outcome], bool]) -> int:
    for seed in SEEDS:
        outcome, _ = run(seed, plan)
        assert not outcome.wrong, f"{command(seed, plan)}: {outcome.wrong}"
        if complete(outcome):
            return seed
    raise AssertionError("no story has everything any more: make the weather worse")


@pytest.fixture(scope="module")
def everything() -> int:
    """A seed by which every fault strikes and is felt."""
    return _first(EVERYTHING, lambda outcome: not outcome.idle())


# --- a fault that never strikes ---


def _weather(**still: Any) -> Plan:
    return replace(EVERYTHING, weather=replace(BAD, **still))


NEVER: Mapping[str, Plan] = {
    "lost": _weather(lost=0.0),
    "twice": _weather(twice=0.0),
    "late": _weather(late=0.0),
    "resent": _weather(resent=0.0),
    "cut": _weather(cut=0.0),
    "frame_lost": _weather(mangled=0.0),
    "frame_doubled": _weather(mangled=0.0),
    "frames_swapped": _weather(mangled=0.0),
    "slow_writes": _weather(slow_disk=0.0),
    "worker_deaths": _weather(worker_death=0.0),
    "partitions": replace(EVERYTHING, islands=1),
    "one_way_links": replace(EVERYTHING, one_way=0),
    "crashes": replace(EVERYTHING, crashes=0),
    "fuses": replace(EVERYTHING, crashes=0),
    "restarts": replace(EVERYTHING, crashes=0),
    "clock_jumps": replace(EVERYTHING, jumps=0),
    "joins": replace(EVERYTHING, joining=0),
    "leaves": replace(EVERYTHING, leaving=0),
}


@cache
def _told(seed: int, plan: Plan) -> Outcome:
    """What came of a story: the same where several faults have one cause."""
    return run(seed, plan)[0]


@pytest.mark.parametrize("fault", NEVER)
def test_a_fault_that_never_strikes_is_missed(fault: str, everything: int) -> None:
    assert fault in _told(everything, NEVER[fault]).idle(), "no silent success"


# --- a fault that is counted, and nothing comes of it ---


def _misses(fault: str, patch: Patch) -> None:
    strikes = Air.strikes

    def counted(air: Air, name: str, chance: float) -> bool:
        return strikes(air, name, chance) and name != fault

    patch.setattr(Air, "strikes", counted)


def _whole_frames(patch: Patch) -> None:
    def counted(stream: SimStream, parcel: Any) -> None:
        air = stream._wire.air
        air.faults[air.rng.choice(("frame_lost", "frame_doubled", "frames_swapped"))] += 1
        stream._queue(parcel)

    patch.setattr(SimStream, "_mangle", counted)


def _no_islands(patch: Patch) -> None:
    split = Air.split

    def counted(air: Air, islands: Any) -> None:
        split(air, islands)
        air._island = {}

    patch.setattr(Air, "split", counted)


def _no_heal(patch: Patch) -> None:
    def counted(air: Air) -> None:
        air.faults["heals"] += 1

    patch.setattr(Air, "heal", counted)


def _no_mute(patch: Patch) -> None:
    passes = Air.passes

    def heard(air: Air, source: Host, target: Host) -> bool:
        mute, air.mute = air.mute, set()
        try:
            return passes(air, source, target)
        finally:
            air.mute = mute

    patch.setattr(Air, "passes", heard)


def _no_fuse(patch: Patch) -> None:
    patch.setattr(Power, "spend", Power.need)


def _no_death(patch: Patch) -> None:
    def off(life: Life) -> int:
        life.power.on = False
        return 0

    patch.setattr(Life, "end", off)


def _no_forgetting(patch: Patch) -> None:
    def kept(shelf: Shelf) -> int:
        shelf.settle()
        return 0

    patch.setattr(Shelf, "lose", kept)


def _no_second_life(patch: Patch) -> None:
    start = Node.start

    async def once(node: Node) -> None:
        if not node.lives:
            await start(node)

    patch.setattr(Node, "start", once)


def _true_clocks(patch: Patch) -> None:
    right = property(lambda _life: 0, lambda _life, _ms: None)
    patch.setattr(Life, "skew_ms", right, raising=False)


def _no_joining(patch: Patch) -> None:
    async def nothing(_town: Town, *_arguments: object) -> bool:
        return True

    patch.setattr(Town, "join", nothing)


def _no_leaving(patch: Patch) -> None:
    async def nothing(_node: Node) -> None:
        await asyncio.sleep(0)

    patch.setattr(Node, "stop", nothing)


INERT: Mapping[str, Callable[[Patch], None]] = {
    **{
        f"{fault} without {FAULTS[fault][0]}": partial(_misses, fault)
        for fault in ("lost", "twice", "late", "resent", "cut", "slow_writes", "worker_deaths")
    },
    "frame_lost without frame_gaps": _whole_frames,
    "frame_doubled without frame_repeats": _whole_frames,
    "frames_swapped without frame_swaps": _whole_frames,
    "partitions without kept_apart": _no_islands,
    "heals without reunited": _no_heal,
    "one_way_links without unheard": _no_mute,
    "fuses without torn_writes": _no_fuse,
    "crashes without tasks_killed": _no_death,
    "crashes without forgotten_peers": _no_forgetting,
    "restarts without lives_again": _no_second_life,
    "clock_jumps without clocks_off": _true_clocks,
    "joins without newcomers": _no_joining,
    "leaves without missed_members": _no_leaving,
}  # fmt: skip


@pytest.mark.parametrize("sentence", INERT)
def test_a_fault_without_effect_is_missed(
    sentence: str, everything: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storm, "_LONGEST_REST_S", 30.0)
    INERT[sentence](monkeypatch)
    outcome, _ = run(everything, EVERYTHING)
    assert sentence in outcome.idle(), "the count alone proves nothing"


def test_every_fault_is_stilled_in_both_ways() -> None:
    assert NEVER.keys() == FAULTS.keys() - {"heals"}, "without a heal no story ends"
    effects = {f"{fault} without {effect}" for fault in FAULTS for effect in FAULTS[fault]}
    stalled = "one_way_links without stalled"  # the same as unheard, for streams
    assert INERT.keys() == effects - {stalled}
    assert set(idle(Faults())) == FAULTS.keys()


# --- lies ---


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_met_and_one_that_nobody_tells_is_missed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mute(_lie: object, _node: Node, _rng: random.Random) -> Told:
        return Told()

    plan = replace(LIAR, lies=(name,))
    seed = _first(plan, lambda outcome: outcome.faults[f"met_{name}"] > 0)
    monkeypatch.setattr(type(LIES[name]), "tell", mute)
    outcome, _ = run(seed, plan)
    assert f"lie_{name} without met_{name}" in unmet(outcome.faults), "nobody has met it"


def test_without_a_liar_every_lie_is_missed() -> None:
    outcome, _ = run(1, replace(LIAR, liars=0))
    assert unmet(outcome.faults) == [f"lie_{name}" for name in LIES]
    assert not any(count for name, count in outcome.faults.items() if name.startswith("met_"))
