"""How bad the network and the machines are: values only. Each fault is counted under its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

CUT = "cut by the weather"
"""Why a connection ended that nobody ended."""

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


FAULTS: Mapping[str, tuple[str, ...]] = {
    # gossip
    "lost": ("missed",),
    "twice": ("heard_again",),
    "late": ("came_late",),
    # streams
    "resent": ("held_up",),
    "cut": ("cut_off",),
    "frame_lost": ("frame_gaps",),
    "frame_doubled": ("frame_repeats",),
    "frames_swapped": ("frame_swaps",),
    # who reaches whom
    "partitions": ("kept_apart",),
    "heals": ("reunited",),
    "one_way_links": ("unheard", "stalled"),
    # machines
    "slow_writes": ("slow_commits",),
    "fuses": ("torn_writes",),
    "crashes": ("tasks_killed", "forgotten_peers"),
    "restarts": ("lives_again",),
    "worker_deaths": ("held_items",),
    "clock_jumps": ("clocks_off",),
    # people
    "joins": ("newcomers",),
    "leaves": ("missed_members",),
}
"""Every fault, the liars' aside, each with what is seen of it somewhere else than where it strikes.

A fault that is counted and has no effect is the false green that simulators are known for: both
counts are looked at (Freenet #4694, #4727: tests of healing in which no message was ever lost).
"""


def idle(struck: Faults) -> list[str]:
    """What proves nothing here: faults that never struck, and those of which nothing was seen."""
    return [fault for fault in FAULTS if not struck[fault]] + [
        f"{fault} without {effect}"
        for fault, effects in FAULTS.items()
        for effect in effects
        if struck[fault] and not struck[effect]
    ]


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
