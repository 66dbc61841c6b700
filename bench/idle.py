"""`idle`: what two connected daemons cost while nobody does anything, by number of communities.

Bytes over TCP between them, CPU of each with its workers, memory of each: over some minutes, given
by the hour. Both are members of every community; each has one connection to the other.
"""

from __future__ import annotations

import time

from bench.author import PASSPHRASE
from bench.node import Node
from bench.processes import tcp_bytes
from bench.town import Town, say

COMMUNITIES = (1, 4, 16)
_HOUR = 3600.0
_SETTLE_S = 20.0
_WRITES = 20
_PAUSE_S = 2.0


def measure(town: Town) -> dict[str, object]:
    """By number of communities: bytes and CPU seconds of one node in an hour, and its memory."""
    alice, bob = (Node(name, town.folder / f"idle-{name}") for name in ("alice", "bob"))
    found: dict[str, object] = {}
    here = 0
    try:
        for node in (alice, bob):
            node.start()
        for communities in COMMUNITIES:
            for n in range(here, communities):
                _share(alice, bob, n)
            here = communities
            say(f"{communities} communities, {town.size.idle:.0f} s")
            time.sleep(_SETTLE_S)
            found[f"{communities} communities"] = _watch(alice, bob, town.size.idle)
            if communities == 1:
                found["a write"] = _write(alice, bob)
    finally:
        for node in (alice, bob):
            node.stop()
    return found


def _share(alice: Node, bob: Node, n: int) -> None:
    """One community more for both."""
    alice.community = None
    made = alice.do("community.init", name=f"Idle {n}", member="Alice", passphrase=PASSPHRASE)
    alice.community = made["community"]
    code = alice.do("invite.create")["code"]
    bob.do("join", 120, code=code, member="Bob", passphrase=PASSPHRASE)
    bob.do("sync.wait", 120, peer=[alice.node], timeout=120)


def _watch(alice: Node, bob: Node, seconds: float) -> dict[str, float]:
    ports = {alice.port, bob.port}
    wire, cpu = sum(tcp_bytes(ports).values()), _cpu(alice)
    time.sleep(seconds)
    hours = seconds / _HOUR
    # Each connection is listed from both ends, each with both directions: a quarter is what came
    # to one of them.
    return {
        "bytes_in": round((sum(tcp_bytes(ports).values()) - wire) / 4 / hours),
        "cpu_s": round((_cpu(alice) - cpu) / hours, 1),
        "pss_mb": round((alice.memory() + bob.memory()) / 2e6, 1),
    }


def _write(alice: Node, bob: Node) -> dict[str, float]:
    """Bytes that come to a node for one small operation, and CPU seconds of who receives it."""
    ports = {alice.port, bob.port}
    wire, cpu = sum(tcp_bytes(ports).values()), _cpu(bob)
    for _ in range(_WRITES):
        alice.do("invite.create")
        time.sleep(_PAUSE_S)
    return {
        "bytes_in": round((sum(tcp_bytes(ports).values()) - wire) / 4 / _WRITES),
        "cpu_ms": round((_cpu(bob) - cpu) / _WRITES * 1000, 1),
    }


def _cpu(node: Node) -> float:
    return sum(node.cpu().values())
