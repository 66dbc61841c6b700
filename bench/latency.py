"""`latency`: from a member's act at alice's node until bob's node tells that it has it.

The clock starts before the call of alice's API; it stops when bob's event stream names the
operation, which it does after bob's commit: durable on both sides. Loan requests and edits of
things take turns. Beside it: two durable commits of one row, one after the other.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

from bench import floor
from bench.author import PASSPHRASE
from bench.ledger import active
from bench.node import Node
from bench.town import Town, say

_PAUSE_S = (0.02, 0.06)
_SEEN_S = 30.0


class Watch:
    """Remembers when a node's event stream named which operation."""

    def __init__(self, node: Node) -> None:
        """Begins to listen; returns when the node answers."""
        self._seen: dict[str, float] = {}
        self._news = threading.Condition()
        self._events = node.client().events()
        threading.Thread(target=self._listen, daemon=True).start()
        time.sleep(0.5)

    def _listen(self) -> None:
        for event in self._events:
            now = time.monotonic()
            with self._news:
                self._seen.update(dict.fromkeys(event.get("operations", ()), now))
                self._news.notify_all()

    def when(self, operation: str) -> float:
        """When it was named; waits for it. RuntimeError if it never is."""
        with self._news:
            if not self._news.wait_for(lambda: operation in self._seen, _SEEN_S):
                raise RuntimeError(f"{operation} was not seen within {_SEEN_S} s")
            return self._seen[operation]


def measure(town: Town) -> dict[str, object]:
    """``n, p50_ms, p99_ms`` of loan requests; the same of edits; ``floor_ms`` of two commits."""
    town.synced()
    town.start()
    alice, bob, writes = town.alice, town.bob, town.size.writes
    numbers = random.Random(1).sample(active(alice.home), 2 * writes)
    alice.do("member.unlock", member="Alice", passphrase=PASSPHRASE)
    town.meet()
    watch = Watch(bob)
    say(f"{writes} requests and {writes} edits")
    loans: list[float] = []
    edits: list[float] = []
    answers: list[float] = []
    for at in range(writes):
        for times, verb, arguments in (
            (loans, "loan.request", {"resource": numbers[2 * at], "days": 3}),
            (edits, "resource.edit", {"resource": numbers[2 * at + 1], "notice": f"Note {at}"}),
        ):
            time.sleep(random.uniform(*_PAUSE_S))
            began = time.monotonic()
            operation = alice.do(verb, **arguments)["operation"]
            answers.append(time.monotonic() - began)
            times.append(watch.when(operation) - began)
    town.meet()
    town.equal()
    return {
        "n": writes,
        "p50_ms": percentile(loans, 50),
        "p99_ms": percentile(loans, 99),
        "edit_p50_ms": percentile(edits, 50),
        "edit_p99_ms": percentile(edits, 99),
        "answer_p50_ms": percentile(answers, 50),
        "floor_ms": round(floor.two_commits(town.folder, writes), 2),
    }


def percentile(seconds: Sequence[float], percent: int) -> float:
    """A percentile in milliseconds: the nearest rank, of at least one value."""
    ranked = sorted(seconds)
    rank = max(1, -(-len(ranked) * percent // 100))
    return round(ranked[rank - 1] * 1000, 1)
