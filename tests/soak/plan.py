"""What will happen, and when: all of it follows from the seed, before anything starts.

A plan is data. The daemons are real, so what comes of it is not the same twice; who is killed, cut
off or asked to write, and after how many seconds, is.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from tests.soak.truth import PATIENCE_S

ROUND_S: Final = 60.0
"""Seconds of storm before everything is mended and looked at."""
_LAST_S: Final = 4.0
"""Nothing begins so shortly before the end of a round."""

PER_MINUTE: Final[Mapping[str, float]] = {
    "kill": 3.0,
    "stillborn": 0.6,
    "restart": 1.0,
    "away": 0.4,
    "freeze": 1.0,
    "worker": 0.6,
    "block": 1.0,
    "split": 1.0,
    "mute": 0.8,
    "cut": 3.0,
    "stall": 1.0,
    "one_way": 1.0,
    "slow": 1.0,
    "snap": 4.0,
}
"""Faults of each kind in a minute; each comes at least once in a plan.

kill: ``kill -9``, started again after a while. stillborn: the same, and once more while it starts.
restart: stopped with SIGTERM, started again. away: the same, much later. freeze: SIGSTOP for some
seconds, as a laptop sleeps. worker: ``kill -9`` of a verifier process. block: two groups, by
``peer block``. split: two groups, by dropped links. mute: two groups whose connections stand and
carry nothing, for longer than anybody may go on saying "synced" (`truth.PATIENCE_S`). cut, stall,
one_way, slow: one link, see `links`. snap: one connection breaks in the middle of what it carries.
"""
OF_A_NODE: Final = frozenset({"kill", "stillborn", "restart", "away", "freeze", "worker"})
OF_GROUPS: Final = frozenset({"block", "split", "mute"})
_SECONDS: Final[Mapping[str, tuple[float, float]]] = {
    "kill": (0.2, 6.0),
    "stillborn": (0.1, 2.0),
    "restart": (0.0, 3.0),
    "away": (20.0, 40.0),
    "freeze": (1.0, 6.0),
    "worker": (0.0, 0.0),
    "block": (8.0, 20.0),
    "split": (8.0, 20.0),
    "mute": (PATIENCE_S + 5.0, PATIENCE_S + 20.0),
    "cut": (1.0, 12.0),
    "stall": (2.0, 15.0),
    "one_way": (2.0, 15.0),
    "slow": (5.0, 20.0),
    "snap": (0.0, 0.0),
}

DEEDS_PER_S: Final = 4.0
_DEEDS: Final[Mapping[str, int]] = {
    "adds": 6, "imports": 1, "edits": 16, "erases": 1,
    "asks": 14, "decides": 12, "hands_over": 9, "takes": 9, "returns": 8, "receives": 8,
    "invites": 3, "welcomes": 1,
}  # fmt: skip
_BY_CLI: Final = frozenset({"adds", "edits", "asks"})
_CLI_CHANCE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """``who``: a node, the two ends of a link (the first is the sender), or one of two groups."""

    at: float
    kind: str
    who: tuple[str, ...]
    seconds: float
    number: int = 0


@dataclass(frozen=True, slots=True)
class Deed:
    """Somebody does something at their own node; ``chance`` picks what they do it to."""

    at: float
    who: str
    what: str
    chance: float
    by_cli: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of storm, what goes wrong in them, and what people do. Times from its beginning."""

    seconds: float
    faults: tuple[Fault, ...]
    deeds: tuple[Deed, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run."""

    seed: int
    names: tuple[str, ...]
    rounds: tuple[Round, ...]

    def digest(self) -> str:
        """Equal for equal plans."""
        return hashlib.blake2b(json.dumps(asdict(self)).encode(), digest_size=8).hexdigest()

    def faults(self) -> list[str]:
        """The kinds of faults in it."""
        return sorted({fault.kind for one in self.rounds for fault in one.faults})


def make(seed: int, seconds: float, names: Sequence[str]) -> Plan:
    """The plan of a seed: so many seconds of storm in rounds of about a minute, at least two."""
    rng = random.Random(f"soak {seed}")
    count = max(2, round(seconds / ROUND_S))
    length = seconds / count
    faults: list[list[Fault]] = [[] for _ in range(count)]
    number = 0
    for kind, rate in PER_MINUTE.items():
        for _ in range(max(1, round(rate * seconds / 60))):
            number += 1
            fault = _fault(rng, kind, names, length, number)
            faults[rng.randrange(count)].append(fault)
    rounds = [
        Round(length, tuple(sorted(some, key=lambda fault: fault.at)), _deeds(rng, names, length))
        for some in faults
    ]
    return Plan(seed, tuple(names), tuple(rounds))


def _fault(
    rng: random.Random, kind: str, names: Sequence[str], length: float, number: int
) -> Fault:
    seconds = round(rng.uniform(*_SECONDS[kind]), 2)
    # What is long begins early: the end of a round mends everything.
    latest = max(length - _LAST_S - (seconds if kind == "mute" else 0.0), length / 8)
    at = round(rng.uniform(0.0, latest), 2)
    if kind in OF_A_NODE:
        who = [rng.choice(names)]
    elif kind in OF_GROUPS:
        who = rng.sample(names, rng.randint(1, len(names) // 2))
    else:
        who = rng.sample(names, 2)
    return Fault(at, kind, tuple(who), seconds, number)


def _deeds(rng: random.Random, names: Sequence[str], length: float) -> tuple[Deed, ...]:
    made = []
    for _ in range(round(length * DEEDS_PER_S)):
        (what,) = rng.choices(list(_DEEDS), list(_DEEDS.values()))
        by_cli = what in _BY_CLI and rng.random() < _CLI_CHANCE * 3
        at = min(round(rng.uniform(0.0, length), 2), length)
        made.append(Deed(at, rng.choice(names), what, round(rng.random(), 6), by_cli))
    return tuple(sorted(made, key=lambda deed: deed.at))
