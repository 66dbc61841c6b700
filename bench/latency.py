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


class Acts:
    """Acts of a member, each timed until another node tells of it: a loan request, then an edit."""

    pace = sum(_PAUSE_S) / 2
    """Seconds between two of them."""

    def __init__(self, author: Node, watch: Watch, count: int) -> None:
        """At most so many of each kind, each of another thing; their member must be unlocked.

        Raises ``RuntimeError`` if there are too few things.
        """
        self._author = author
        self._watch = watch
        things = active(author.home)
        if len(things) < 2 * count:
            raise RuntimeError(f"{len(things)} things are too few for {2 * count} acts")
        self._numbers = iter(random.Random(1).sample(things, 2 * count))
        self._done = 0
        self.answers: list[float] = []
        """Seconds until the author's own node had answered."""

    def request(self) -> float:
        """Seconds until a request was seen; it is called off then, as nobody has 200 at once."""
        thing = next(self._numbers)
        seconds = self._timed("loan.request", resource=thing, days=3)
        self._watch.when(self._author.do("loan.cancel", loan=thing)["operation"])
        return seconds

    def edit(self) -> float:
        """Seconds until an edit of a thing was seen."""
        self._done += 1
        return self._timed("resource.edit", resource=next(self._numbers), notice=f"{self._done}")

    def some(self, count: int) -> list[float]:
        """Both by turns."""
        return [self.edit() if n % 2 else self.request() for n in range(count)]

    def _timed(self, verb: str, **arguments: object) -> float:
        time.sleep(random.uniform(*_PAUSE_S))
        began = time.monotonic()
        operation = self._author.do(verb, **arguments)["operation"]
        self.answers.append(time.monotonic() - began)
        return self._watch.when(operation) - began


def measure(town: Town) -> dict[str, object]:
    """``n, p50_ms, p99_ms`` of loan requests; the same of edits; ``floor_ms`` of two commits."""
    town.synced()
    town.start()
    alice, bob, writes = town.alice, town.bob, town.size.writes
    alice.do("member.unlock", member="Alice", passphrase=PASSPHRASE)
    town.meet()
    acts = Acts(alice, Watch(bob), writes)
    say(f"{writes} requests and {writes} edits")
    loans: list[float] = []
    edits: list[float] = []
    for _ in range(writes):
        loans.append(acts.request())
        edits.append(acts.edit())
    town.meet()
    town.equal()
    return {
        "n": writes,
        "p50_ms": percentile(loans, 50),
        "p99_ms": percentile(loans, 99),
        "edit_p50_ms": percentile(edits, 50),
        "edit_p99_ms": percentile(edits, 99),
        "answer_p50_ms": percentile(acts.answers, 50),
        "floor_ms": round(floor.two_commits(town.folder, writes), 2),
    }


def percentile(seconds: Sequence[float], percent: int) -> float:
    """A percentile in milliseconds: the nearest rank, of at least one value."""
    ranked = sorted(seconds)
    rank = max(1, -(-len(ranked) * percent // 100))
    return round(ranked[rank - 1] * 1000, 1)
