"""Agents that are components of the same world, in any language: here in WebAssembly's own text."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.sandbox.prepared import agents
from tests.sandbox.spoken import asks, attacks, heavy

from commons_node.jobs import frames
from commons_node.jobs.job import Limits
from commons_node.jobs.workers import Ended
from commons_node.sandbox.agent import FUEL

COUNT = ("kv.get", {"name": "count"})
AGAIN = (
    "(loop $l (call $call (i32.const 16) (i32.const 6) (i32.const 64) (i32.const 16)"
    " (i32.const 128)) (br $l))"
)
"""The same call without end."""


async def counted(method: str, params: dict[str, Any]) -> object:
    assert (method, params) == COUNT
    return {"count": 41}


async def test_a_component_asks_its_node_and_answers() -> None:
    made = asks(*COUNT)
    async with agents() as run:
        first = await run(made, counted)
        assert isinstance(first, frames.Done), first
        assert first.result == {"count": 41}
        assert first.runner == hashlib.sha256(made).hexdigest(), "what ran is the component"
        again = await run(made, counted)
        assert isinstance(again, frames.Done)
        assert again.fuel == first.fuel > 0
        refused = await run(made)
        assert isinstance(refused, frames.Failed)
        assert refused.code == "not_offered", "an error of the node is the component's own answer"
        await run.healthy()


async def test_a_component_is_held_as_python_is() -> None:
    async with agents() as run:
        for name, (made, code) in attacks(*COUNT).items():
            ended = await run(made, counted, fuel=10**8 if code == "fuel" else FUEL)
            assert isinstance(ended, frames.Failed), name
            assert ended.code == code, f"{name}: {ended}"
            assert run.workers.pids() == [], f"{name}: its process is not used again"
        with pytest.raises(Ended, match="2000 calls"):
            await run(asks(*COUNT, after=AGAIN), counted)
        await run.healthy()


@pytest.mark.long
async def test_a_component_that_is_a_bomb_to_compile_ends_its_own_worker() -> None:
    """Nothing interrupts compiling from within: time and memory of the process are its bounds."""
    made = heavy(4_000)
    assert len(made) < 200_000, "it looks like any other"
    async with agents() as run:
        with pytest.raises(Ended) as slow:
            await run(made, counted, Limits(wall_s=1, cpu_s=20, memory_mib=2_048))
        assert slow.value.code == "timeout"
        assert run.workers.pids() == [], "its process is gone"
        with pytest.raises(Ended) as large:
            await run(made, counted, Limits(wall_s=60, cpu_s=60, memory_mib=64))
        assert large.value.code == "died", large.value
        assert run.workers.pids() == []
        await run.healthy()
