"""`flood`: what a member who floods one node costs the others there.

Eve is a member with the right to describe things; her daemon is stopped, and a program of hers goes
on with its keys (`intruder`). It sends bob's node as much as it can, in several ways. Meanwhile
alice writes, and bob's event stream tells when her acts are on his disk, as in `latency`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.author import PASSPHRASE
from bench.intruder import MODES
from bench.latency import Acts, Watch, percentile
from bench.node import Node
from bench.processes import Peak
from bench.town import Town, say
from commons_node.peering.penalties import FIRST_MS

LEAST = 1_000
"""Messages a second; less is no flood. Wants go one at a time, digests end the session: there it is
what it is."""
_BEYOND = {"wants", "digests"}
_CAUSES = {
    "pushes": {"push_flood"},
    "replays": {"push_flood"},
    "forged": {"push_flood", "signature"},
    "wants": set[str](),
    "digests": {"flood"},
}
"""What bob's node must refuse, or nobody flooded it that way."""
_TIMES = 3.0
"""Of the calm p99: the target."""
_MORE_MB = 64
"""Memory that a flood may add: 24 MiB for a slow peer, and batches on their way."""
_CALM = "calm"
_FIRST = 20
"""Acts before the first that counts."""
_LATE_S = 20.0
_START_S = 300.0


def measure(town: Town) -> dict[str, object]:
    """For calm and for each mode: ``n, p50_ms, p99_ms, peak_mb``, of these ``times`` the calm p99.

    Each mode also has ``messages_per_second`` that Eve sent and how many bob's node ``received``,
    her ``sessions``, what she ``signed`` for it and was ``served``, how many operations are ``new``
    at bob's, the ``refusals`` that he counted, and ``cpu_seconds`` of his a second. ``met``: at
    least `LEAST` messages a second, p99 below `_TIMES` the calm one, memory within `_MORE_MB`.
    ``keep_out``: the flood of forged operations at a node that keeps Eve out, as all do if they are
    not told otherwise: after how many messages, until when, and for how many seconds.
    """
    town.synced()
    alice, bob = town.alice, town.bob
    bob.stop()
    bob.settings["COMMONS_KEEP_OUT"] = "false"  # else Eve is out before there is much to measure
    town.start()
    eve = _eve(town)
    alice.do("member.unlock", member="Alice", passphrase=PASSPHRASE)
    town.meet()
    acts = Acts(alice, Watch(bob), (_FIRST + town.size.writes * (len(MODES) + 1)) // 2 + 1)
    found: dict[str, object] = {}
    with Intruder(eve.home, bob.address) as intruder:
        say("calm")
        acts.some(_FIRST)
        with Peak(bob.memory) as peak:
            calm = acts.some(town.size.writes)
        calm_mb = round(peak.highest[0] / 1e6)
        found[_CALM] = {**_figures(calm), "peak_mb": calm_mb}
        say(json.dumps(found))
        for mode in MODES:
            say(mode)
            found[mode] = _flooded(town, acts, intruder, mode, percentile(calm, 99), calm_mb)
    town.meet()
    town.equal()
    bob.stop()
    bob.settings.clear()
    bob.start()
    with Intruder(eve.home, bob.address) as intruder:
        found["keep_out"] = _kept_out(bob, intruder, eve)
    return found


def _figures(seconds: list[float]) -> dict[str, object]:
    return {
        "n": len(seconds),
        "p50_ms": percentile(seconds, 50),
        "p99_ms": percentile(seconds, 99),
    }


def _flooded(
    town: Town, acts: Acts, intruder: Intruder, mode: str, calm_p99: float, calm_mb: int
) -> dict[str, object]:
    bob = town.bob
    before, frames, held = _refusals(bob), _frames(bob), town.count(bob)
    intruder.begin(mode, town.size.writes * acts.pace + _LATE_S / 4)
    busy, began = sum(bob.cpu().values()), time.monotonic()
    with Peak(bob.memory) as peak:
        times = acts.some(town.size.writes)
        told = intruder.told()
    took = time.monotonic() - began
    refusals = _more(_refusals(bob), before)
    rate, ratio = told["sent"] / told["seconds"], percentile(times, 99) / calm_p99
    peak_mb = round(peak.highest[0] / 1e6)
    fast = rate >= LEAST or mode in _BEYOND
    found = {
        **_figures(times),
        "times": round(ratio, 2),
        "messages_per_second": round(rate),
        "received": _frames(bob) - frames,
        **{name: told[name] for name in ("sent", "sessions", "signed", "served")},
        "new": town.count(bob) - held - town.size.writes,
        "refusals": refusals,
        "cpu_seconds": round((sum(bob.cpu().values()) - busy) / took, 2),
        "peak_mb": peak_mb,
        "met": fast and ratio < _TIMES and peak_mb <= calm_mb + _MORE_MB,
    }
    say(json.dumps(found))
    if absent := _CAUSES[mode] - refusals.keys():
        raise RuntimeError(f"{mode}: bob's node refused nothing as {', '.join(sorted(absent))}")
    if mode == "wants" and not told["served"]:
        raise RuntimeError("wants: Eve was served nothing")
    if "penalty" in refusals:
        raise RuntimeError(f"{mode}: Eve was kept out, what was measured is a closed door")
    return found


def _kept_out(bob: Node, intruder: Intruder, eve: Node) -> dict[str, object]:
    """What becomes of her at a node that is set up as it comes."""
    before, frames = _refusals(bob), _frames(bob)
    intruder.begin("forged", _LATE_S)
    told = intruder.told()
    refusals = _more(_refusals(bob), before)
    (row,) = [peer for peer in bob.see("peer.list")["peers"] if peer["node"] == eve.node]
    if not row["blocked_until"] or not refusals.get("penalty"):
        raise RuntimeError(f"Eve is not kept out: {refusals}")
    found = {
        "received": _frames(bob) - frames,
        "sessions": told["sessions"],
        "out_after_s": told["out"],
        "for_s": FIRST_MS / 1000,
        "until": row["blocked_until"],
        "why": row["blocked_for"],
        "refusals": refusals,
    }
    say(json.dumps(found))
    return found


def _more(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {code: n - before.get(code, 0) for code, n in after.items() if n > before.get(code, 0)}


def _refusals(node: Node) -> dict[str, int]:
    return dict(node.see("status", 120)["refusals"])


def _frames(node: Node) -> int:
    """That peers have sent it on sync streams: Eve's, and the few of alice's."""
    return int(node.see("status", 120)["limits"]["frames"])


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
        self.told()
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
