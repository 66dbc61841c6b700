"""`peers`: what fifty connected peers cost one node while nobody does anything.

Alice's daemon is as everywhere here. The peers are nodes of her community with a real libp2p host
each, ten in a process (`crowd`), since fifty daemons do not fit on this machine; they talk with
alice's node only. A node lets in 48, so some of them are dialled by alice's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.author import PASSPHRASE
from bench.node import Node
from bench.processes import Peak, tcp_bytes
from bench.town import Town, say

PEERS = 50
_IN_A_PROCESS = 10
_DIALLED = 10
"""By alice's node."""
_MEET_S = 180.0
_SETTLE_S = 70.0
"""Until every pair has compared once more, a minute apart, and nothing is left of the beginning."""
_STOP_S = 60.0


def measure(town: Town) -> dict[str, object]:
    """``peers, seconds``; of alice's node with its workers: ``cpu_percent`` of a core, ``pss_mb``.

    ``alone``: the same node before anybody came. ``bytes_per_second`` come and go over TCP.
    """
    alice = Node("alice", town.folder / "peers-alice")
    alice.start()
    try:
        alice.do("community.init", name="Peers", member="Alice", passphrase=PASSPHRASE)
        alice.stop()
        seats = _grant(alice.home)
        file = _copied(alice.home, town.folder)
        alice.start()
        time.sleep(_SETTLE_S / 7)
        alone = _watch(alice, town.size.idle / 3)
        return {"peers": PEERS, "alone": alone, **_together(alice, file, seats, town.size.idle)}
    finally:
        alice.stop()


def _together(
    alice: Node, file: Path, seats: list[dict[str, Any]], seconds: float
) -> dict[str, object]:
    with ExitStack() as stack:
        crowds = [
            stack.enter_context(Crowd(file, seats[at : at + _IN_A_PROCESS], alice.address))
            for at in range(0, PEERS, _IN_A_PROCESS)
        ]
        for crowd in crowds:
            for address in crowd.met():
                alice.do("peer.connect", address=address)
        deadline = time.monotonic() + _MEET_S
        while (there := sum(crowd.connected() for crowd in crowds)) < PEERS:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {there} of {PEERS} peers are in sync with alice's node")
            time.sleep(1.0)
        say(f"{there} peers are connected and in sync")
        time.sleep(_SETTLE_S)
        found = _watch(alice, seconds)
        still = sum(crowd.connected() for crowd in crowds)
        listed = sum(bool(one["connected"]) for one in alice.see("peer.list")["peers"])
        if min(still, listed) < PEERS:
            raise RuntimeError(f"{still} were in sync at the end, {listed} connected")
        return found


def _grant(home: Path) -> list[dict[str, Any]]:
    """Fifty more nodes of alice's member."""
    command = [sys.executable, "-m", "bench.author", str(home), "nodes", str(PEERS)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=_MEET_S, cwd=_root()
    )
    seats: list[dict[str, Any]] = json.loads(done.stdout)
    return [{**seat, "dial": n >= _DIALLED} for n, seat in enumerate(seats)]


def _copied(home: Path, folder: Path) -> Path:
    (file,) = (home / "realms").glob("*.db")
    return Path(shutil.copy(file, folder / file.name))


def _watch(alice: Node, seconds: float) -> dict[str, object]:
    wire, cpu = _wire(alice), sum(alice.cpu().values())
    began = time.monotonic()
    with Peak(alice.memory) as peak:
        time.sleep(seconds)
    passed = time.monotonic() - began
    return {
        "seconds": round(passed),
        "cpu_percent": round(100 * (sum(alice.cpu().values()) - cpu) / passed, 2),
        "pss_mb": round(peak.highest[0] / 1e6),
        "bytes_per_second": round((_wire(alice) - wire) / passed),
    }


def _wire(alice: Node) -> int:
    # each connection is listed from both ends
    return sum(tcp_bytes({alice.port}).values()) // 2


def _root() -> Path:
    return Path(__file__).resolve().parents[1]


class Crowd:
    """One process of peers, with a copy of the realm of its own. A context manager."""

    def __init__(self, file: Path, seats: list[dict[str, Any]], address: str) -> None:
        """Starts it."""
        folder = file.parent / f"crowd-{seats[0]['grant'][:8]}"
        folder.mkdir()
        own = shutil.copy(file, folder / file.name)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.crowd", str(own), json.dumps(seats), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_root(),
        )

    def __enter__(self) -> Crowd:
        """It starts by itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def met(self) -> list[str]:
        """Where those are that wait to be dialled."""
        addresses: list[str] = self._heard()["addresses"]
        return addresses

    def connected(self) -> int:
        """How many of its peers talk with alice's node, and agree with it."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._heard()["connected"])

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of peers has died")
        told: dict[str, Any] = json.loads(line)
        return told
