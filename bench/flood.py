"""`flood`: what a member who floods one node costs the others there.

Eve is a member with the right to describe things; her daemon is stopped, and a program of hers goes
on with its keys (`intruder`). It sends bob's node as much as it can, in several ways. Meanwhile
alice writes, and bob's event stream tells when her acts are on his disk, as in `latency`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.author import PASSPHRASE
from bench.intruder import MODES
from bench.latency import Acts, Watch, percentile
from bench.node import Node
from bench.processes import Peak
from bench.town import Town, say

LEAST = 1_000
"""Messages a second; less is no flood, and the measurement fails."""
_CALM = "calm"
_FIRST = 20
"""Acts before the first that counts."""
_LATE_S = 20.0
_START_S = 300.0


def measure(town: Town) -> dict[str, object]:
    """For calm and for each mode: ``n, p50_ms, p99_ms``, of these ``times`` the calm p99.

    Each mode also has ``messages_per_second`` that Eve sent, her ``sessions``, ``refusals`` that
    bob's node counted, ``cpu_seconds`` of it a second, and ``peak_mb`` of its memory.
    """
    town.synced()
    town.start()
    alice, bob = town.alice, town.bob
    eve = _eve(town)
    alice.do("member.unlock", member="Alice", passphrase=PASSPHRASE)
    town.meet()
    acts = Acts(alice, Watch(bob), (_FIRST + town.size.writes * (len(MODES) + 1)) // 2 + 1)
    found: dict[str, object] = {}
    with Intruder(eve.home, bob.address) as intruder:
        say("calm")
        acts.some(_FIRST)
        calm = acts.some(town.size.writes)
        found[_CALM] = _figures(calm)
        say(json.dumps(found))
        for mode in MODES:
            say(mode)
            found[mode] = _flooded(town, acts, intruder, mode, percentile(calm, 99))
    town.meet()
    town.equal()
    return found


def _figures(seconds: list[float]) -> dict[str, object]:
    return {
        "n": len(seconds),
        "p50_ms": percentile(seconds, 50),
        "p99_ms": percentile(seconds, 99),
    }


def _flooded(
    town: Town, acts: Acts, intruder: Intruder, mode: str, calm_p99: float
) -> dict[str, object]:
    bob = town.bob
    before, busy = _refusals(bob), sum(bob.cpu().values())
    seconds = town.size.writes * acts.pace + _LATE_S / 4
    with Peak(bob.memory) as peak:
        intruder.begin(mode, seconds)
        times = acts.some(town.size.writes)
        told = intruder.told()
    rate = told["sent"] / told["seconds"]
    after = _refusals(bob)
    found = {
        **_figures(times),
        "times": round(percentile(times, 99) / calm_p99, 2),
        "messages_per_second": round(rate),
        "sessions": told["sessions"],
        "refusals": {k: n - before.get(k, 0) for k, n in after.items() if n > before.get(k, 0)},
        "cpu_seconds": round((sum(bob.cpu().values()) - busy) / told["seconds"], 2),
        "peak_mb": round(peak.highest[0] / 1e6),
    }
    say(json.dumps(found))
    if rate < LEAST:
        raise RuntimeError(f"{mode}: Eve sent only {rate:.0f} messages a second, that is no flood")
    return found


def _refusals(node: Node) -> dict[str, int]:
    return dict(node.see("status", 120)["refusals"])


def _eve(town: Town) -> Node:
    """Eve joined, became a steward, and agreed with alice; her daemon is stopped."""
    alice, eve = town.alice, Node("eve", town.folder / "eve")
    eve.start()
    try:
        alice.do("member.unlock", member="Alice", passphrase=PASSPHRASE)
        code = alice.do("invite.create")["code"]
        eve.do("join", 120, code=code, member="Eve", passphrase=PASSPHRASE)
        alice.do("member.role", who="Eve", role="steward")
        limit = town.size.timeout
        eve.do("sync.wait", limit, peer=[alice.node], timeout=limit)
    finally:
        eve.stop()
    return eve


class Intruder:
    """The process that floods. A context manager."""

    def __init__(self, home: Path, address: str) -> None:
        """``address`` of the node that it floods."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.intruder", str(home), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
        )

    def __enter__(self) -> Intruder:
        """Wait until it is ready to flood."""
        say(f"Eve has signed {self.told()['signed']} operations")
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_LATE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def begin(self, mode: str, seconds: float) -> None:
        """Flood for so long; returns when it has begun."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"mode": mode, "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        self.told()

    def told(self) -> dict[str, Any]:
        """What it has to tell next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the intruder has died")
        told: dict[str, Any] = json.loads(line)
        return told
