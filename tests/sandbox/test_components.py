"""Agents that are components of the same world, in any language: here in WebAssembly's own text."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.sandbox.prepared import agents
from wasmtime import wat2wasm

from commons_node.jobs import frames
from commons_node.jobs.workers import Ended
from commons_node.sandbox.agent import FUEL

SAYS = r"""
(component
  (import "commons:agent/host@0.1.0" (instance $host
    (export "call" (func (param "method" string) (param "params" string)
      (result (result string (error string)))))))
  (core module $memory
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $next))
      (global.set $next (i32.add (global.get $next) (local.get 3)))
      (local.get $at))
    (data (i32.const 16) "kv.get")
    (data (i32.const 32) "{\"name\":\"count\"}"))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  (alias export $host "call" (func $call))
  (core func $lowered (canon lower (func $call) (memory $mem) (realloc $realloc)))
  (core module $main
    (import "host" "call" (func $call (param i32 i32 i32 i32 i32)))
    (import "memory" "memory" (memory 1))
    (func (export "run") (param i32 i32 i32 i32 i32 i32) (result i32)
      BODY
      (call $call (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 16) (i32.const 128))
      (i32.const 128)))
  (core instance $main (instantiate $main
    (with "host" (instance (export "call" (func $lowered))))
    (with "memory" (instance $memory))))
  (func (export "run") (param "source" string) (param "entry" string) (param "event" string)
    (result (result string (error string)))
    (canon lift (core func $main "run") (memory $mem) (realloc $realloc))))
"""
"""Gives back what the node answers to kv.get, good or not."""
WANTS = r"""
(component
  (import "wasi:cli/exit@0.2.0" (instance $exit
    (export "exit" (func (param "status" (result))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  (alias export $exit "exit" (func $call))
  (core func $lowered (canon lower (func $call)))
  (core module $main
    (import "exit" "exit" (func $exit (param i32)))
    (func (export "run") (param i32 i32 i32 i32 i32 i32) (result i32)
      (call $exit (i32.const 0))
      (i32.const 128)))
  (core instance $main (instantiate $main
    (with "exit" (instance (export "exit" (func $lowered))))))
  (func (export "run") (param "source" string) (param "entry" string) (param "event" string)
    (result (result string (error string)))
    (canon lift (core func $main "run") (memory $mem) (realloc $realloc))))
"""
"""Reaches for the end of its process."""


def component(text: str, body: str = "") -> bytes:
    return bytes(wat2wasm(text.replace("BODY", body)))


async def counted(method: str, params: dict[str, Any]) -> object:
    assert (method, params) == ("kv.get", {"name": "count"})
    return {"count": 41}


async def test_a_component_asks_its_node_and_answers() -> None:
    made = component(SAYS)
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
    forever = component(SAYS, "(loop $l (br $l))")
    grows = component(SAYS, "(drop (memory.grow (i32.const 65000))) (unreachable)")
    deep = component(SAYS.replace("BODY", "(call $f)").replace(
        '(func (export "run")', '(func $f (call $f))\n    (func (export "run")', 1
    ))  # fmt: skip
    outside = component(SAYS, "(i32.store (i32.const 0x7fffffff) (i32.const 1))")
    many = component(SAYS, "(loop $l (call $call (i32.const 16) (i32.const 6) (i32.const 32)"
                           " (i32.const 16) (i32.const 128)) (br $l))")  # fmt: skip
    async with agents() as run:
        for name, made, code, given in (
            ("forever", forever, "fuel", 10**8),
            ("grows", grows, "trap", None),
            ("deep", deep, "recursion", None),
            ("outside", outside, "trap", None),
            ("reaches", component(WANTS), "reach", None),
            ("no agent", component("(component)"), "world", None),
            ("a module", bytes(wat2wasm("(module)")), "code", None),
        ):
            ended = await run(made, counted, fuel=given or FUEL)
            assert isinstance(ended, frames.Failed), name
            assert ended.code == code, f"{name}: {ended}"
            assert run.workers.pids() == [], f"{name}: its process is not used again"
        with pytest.raises(Ended, match="2000 calls"):
            await run(many, counted)
        await run.healthy()
