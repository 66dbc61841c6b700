"""How bad the network and the machines are: values only. Each fault is counted under its name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

Faults = Counter[str]
"""How often each fault struck. A fault that was asked for and never struck is a false green."""


@dataclass(frozen=True, slots=True)
class Weather:
    """Chances are per message; times are seconds, (least, most).

    Gossip may be ``lost``, heard ``twice``, or ``late`` (so that later messages overtake it).
    Streams stand on a reliable transport: what is lost there comes ``resend`` seconds later with
    everything behind it, or the connection is ``cut``. ``mangled`` frames are lost, doubled or
    swapped all the same: what no transport should do, and no session may be harmed by.
    """

    latency: tuple[float, float] = (0.005, 0.08)
    jitter: float = 0.02
    patience: tuple[float, float] = (8.0, 25.0)
    """How long a silent connection is kept."""
    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    lateness: tuple[float, float] = (0.5, 8.0)
    resent: float = 0.0
    resend: tuple[float, float] = (0.2, 2.0)
    cut: float = 0.0
    mangled: float = 0.0
    write: tuple[float, float] = (0.0, 0.002)
    """A commit, from the call until it is durable."""
    slow_disk: float = 0.0
    slow_write: tuple[float, float] = (0.2, 3.0)
    worker_death: float = 0.0
    """The chance that a batch's verifier dies on one item."""


FAULTS = (
    "lost", "twice", "late", "resent", "cut", "stalled", "unreachable", "frame_lost",
    "frame_doubled", "frames_swapped", "slow_writes", "torn_writes", "worker_deaths", "crashes",
    "restarts", "forgotten_peers", "partitions", "heals", "one_way_links", "clock_jumps", "joins",
    "leaves",
)  # fmt: skip
"""Every fault there is, the liars' aside. One that never strikes in a batch proves nothing."""

CALM = Weather()
ROUGH = Weather(
    lost=0.15,
    twice=0.1,
    late=0.2,
    resent=0.03,
    cut=0.0005,
    mangled=0.0008,
    slow_disk=0.02,
    worker_death=0.002,
)
