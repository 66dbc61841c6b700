"""Two nodes, alice and bob, in one community; what several benchmarks need is made only once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.author import PASSPHRASE
from bench.node import Node
from bench.processes import tcp_bytes
from bench.size import Size

_AUTHOR_S = 3600.0
_NAP_S = 0.05


def say(text: str) -> None:
    """Progress, for a person."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Town:
    """Alice founded it, bob is in it with the right to describe things."""

    def __init__(self, folder: Path, size: Size) -> None:
        """Makes nothing yet; use it as a context manager."""
        self.folder = folder
        self.size = size
        self.alice = Node("alice", folder / "alice")
        self.bob = Node("bob", folder / "bob")
        self._stage = 0

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop the daemons."""
        for node in (self.alice, self.bob):
            node.stop()

    # -- stages --------------------------------------------------------------------------------

    def filled(self) -> None:
        """Alice's node stands still and holds all things; bob's is a member's, and holds none."""
        assert self._stage == 0, "nothing is made twice"
        alice, bob = self.alice, self.bob
        say("founding, inviting, joining")
        alice.start()
        bob.start()
        alice.do("community.init", name="Bench", member="Alice", passphrase=PASSPHRASE)
        alice.do("community.propose", what="constitution", set=["loan.holds=1000000"])
        code = alice.do("invite.create")["code"]
        bob.do("join", 120, code=code, member="Bob", passphrase=PASSPHRASE)
        alice.do("member.role", who="Bob", role="steward")
        self.meet()
        bob.do("peer.block", node=alice.node)
        self.stop()
        say(f"alice writes {self.size.operations} operations")
        self.write(alice, "make", self.size.things, self.size.edits, self.size.together)
        self._stage = 1

    def synced(self) -> None:
        """Both run and hold all things."""
        if self._stage == 0:
            self.filled()
        if self._stage == 1:
            self.start()
            self.bob.do("peer.unblock", node=self.alice.node)
            self.meet()
            self._stage = 2

    def done(self, stage: int) -> None:
        """A benchmark has taken the town further by itself."""
        self._stage = stage

    @property
    def fresh(self) -> bool:
        """True while nothing was made."""
        return self._stage == 0

    # -- steps ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Both daemons, if they do not run; returns when their workers are warm."""
        for node in (self.alice, self.bob):
            if not node.runs:
                node.start()
        time.sleep(3.0)

    def stop(self) -> None:
        """Both daemons."""
        for node in (self.alice, self.bob):
            node.stop()

    def write(self, node: Node, verb: str, *numbers: int) -> None:
        """Write with a stopped node's keys; see ``author``."""
        command = [sys.executable, "-m", "bench.author", str(node.home), verb, *map(str, numbers)]
        root = Path(__file__).resolve().parents[1]
        subprocess.run(command, check=True, cwd=root, timeout=_AUTHOR_S)

    def meet(self) -> float:
        """Wait until bob holds what alice holds; seconds."""
        limit = self.size.timeout
        began = time.monotonic()
        self.bob.do("sync.wait", limit, peer=[self.alice.node], timeout=limit)
        return time.monotonic() - began

    def count(self, node: Node) -> int:
        """How many operations a node holds."""
        (community,) = node.see("status", 120)["communities"]
        return sum(community["operations"].values())

    def equal(self) -> str:
        """The state hash that both have; RuntimeError if they differ."""
        one, other = (node.see("community.hash", 120) for node in (self.alice, self.bob))
        for name in ("set_hash", "state_hash"):
            if one[name] != other[name]:
                raise RuntimeError(f"{name}: {one[name]} at alice, {other[name]} at bob")
        return str(one["state_hash"])

    def wire(self) -> int:
        """Bytes that went over TCP between the two so far, both directions; open ones only."""
        ports = {self.alice.port, self.bob.port}
        found = tcp_bytes(ports)
        # each connection has two ends here: count the end of the one who accepted it
        return sum(n for (here, _), n in found.items() if here in ports)
