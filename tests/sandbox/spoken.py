"""Agents in WebAssembly's own text: components that make a list of calls, one after the other.

There is no compiler of another language here; what a component is to a node does not depend on one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from wasmtime import wat2wasm

WORLD = r"""
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
DATA)
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  (alias export $host "call" (func $call))
  (core func $lowered (canon lower (func $call) (memory $mem) (realloc $realloc)))
  (core module $main
    (import "host" "call" (func $call (param i32 i32 i32 i32 i32)))
    (import "memory" "memory" (memory 1))
    (func (export "run") (param i32 i32 i32 i32 i32 i32) (result i32)
      (local $n i32)
CALLS
      (i32.const 128)))
  (core instance $main (instantiate $main
    (with "host" (instance (export "call" (func $lowered))))
    (with "memory" (instance $memory))))
  (func (export "run") (param "source" string) (param "entry" string) (param "event" string)
    (result (result string (error string)))
    (canon lift (core func $main "run") (memory $mem) (realloc $realloc))))
"""
"""One that may call its node; ``DATA`` are its words, ``CALLS`` what it does."""
_REST = """
      (local.set $n (i32.const TURNS))
      (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n)))"""


def component(calls: Sequence[tuple[str, dict[str, Any]]], turns: int = 1) -> bytes:
    """One that makes these calls, counting to ``turns`` before each, and gives the last answer."""
    at, data, made = 256, "", ""
    for method, params in calls:
        spans = []
        for text in (method, json.dumps(params)):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            data += f'    (data (i32.const {at}) "{escaped}")\n'
            spans += [f"(i32.const {at})", f"(i32.const {len(text)})"]
            at += len(text)
        made += _REST.replace("TURNS", str(turns))
        made += f"\n      (call $call {' '.join(spans)} (i32.const 128))"
    return bytes(wat2wasm(WORLD.replace("DATA", data).replace("CALLS", made)))


def asks(method: str, params: dict[str, Any], before: str = "", after: str = "") -> bytes:
    """One that gives back what its node answers to one call, good or not.

    ``before``, ``after``: what else it does.
    """
    return bytes(wat2wasm(_asks(method, params, before, after)))


def _asks(method: str, params: dict[str, Any], before: str, after: str) -> str:
    told = json.dumps(params, separators=(",", ":"))
    escaped = told.replace("\\", "\\\\").replace('"', '\\"')
    data = f'    (data (i32.const 16) "{method}")\n    (data (i32.const 64) "{escaped}")'
    words = f"(i32.const 16) (i32.const {len(method)}) (i32.const 64) (i32.const {len(told)})"
    call = f"(call $call {words} (i32.const 128))"
    return WORLD.replace("DATA", data).replace("CALLS", f"{before}\n      {call}\n      {after}")


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
TWO = """
(component
  (core module $one (memory (export "memory") 1))
  (core instance $first (instantiate $one))
  (core instance $second (instantiate $one))
  (core module $main (memory 1) (memory 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 128)))
  (core instance $main (instantiate $main))
  (alias core export $first "memory" (core memory $mem))
  (alias core export $main "realloc" (core func $realloc))
  (func (export "run") (param "source" string) (param "entry" string) (param "event" string)
    (result (result string (error string)))
    (canon lift (core func $main "run") (memory $mem) (realloc $realloc))))
"""
"""Several memories, in several instances and in one."""


def attacks(method: str, params: dict[str, Any]) -> dict[str, tuple[bytes, str]]:
    """Components that try something, with the code with which each ends; most ask this first."""

    def tries(body: str) -> bytes:
        return asks(method, params, after=body)

    deep = _asks(method, params, "", "(call $f)")
    deep = deep.replace('(func (export "run")', '(func $f (call $f))\n    (func (export "run")', 1)
    return {
        "forever": (tries("(loop $l (br $l))"), "fuel"),
        "grows": (tries("(drop (memory.grow (i32.const 65000))) (unreachable)"), "trap"),
        "deep": (bytes(wat2wasm(deep)), "recursion"),
        "outside": (tries("(i32.store (i32.const 0x7fffffff) (i32.const 1))"), "trap"),
        "reaches": (bytes(wat2wasm(WANTS)), "reach"),
        "more memories": (bytes(wat2wasm(TWO)), "memories"),
        "no agent": (bytes(wat2wasm("(component)")), "world"),
        "a module": (bytes(wat2wasm("(module)")), "code"),
    }


def heavy(size: int) -> bytes:
    """Small, and very long to compile: each of so many loops hands on each of so many numbers."""
    loops = "".join(
        f"(loop (local.set {n} (i32.add (local.get {n}) (i32.const 1))) (br_if 0 (local.get {n})))"
        for n in range(size)
    )
    uses = "".join(f"(i32.store (i32.const {4 * n}) (local.get {n}))" for n in range(size))
    mark = "(global $next"
    function = f"(func (local {'i32 ' * size}) {loops} {uses}) {mark}"
    made = _asks("kv.get", {"name": "count"}, "", "")
    return bytes(wat2wasm(made.replace(mark, function, 1)))
