"""How large a story is and how bad its weather, as a value that can be printed and read again."""

from __future__ import annotations

from dataclasses import dataclass, fields

import msgspec

from commons_node.testing.lies import LIES
from commons_node.testing.weather import ROUGH, Weather


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the story is. Times in seconds, virtual."""

    nodes: int = 20
    joining: int = 1
    leaving: int = 1
    liars: int = 1
    lies: tuple[str, ...] = tuple(LIES)
    crashes: int = 6
    jumps: int = 3
    one_way: int = 3
    islands: int = 3
    writes: int = 100
    seats: int = 3
    """Coordinators, as far as there are honest nodes that stay from beginning to end."""
    measures: int = 20
    """Steps of the council, of coordinators and of members about who may do what."""
    schemes: int = 5
    """How many of the lies about authority are told in one story."""
    asks: int = 4
    """How often somebody runs `sync wait`."""
    seals: int = 0
    """A seal is due after so many operations; 0: nobody thinks of seals."""
    weather: Weather = ROUGH
    apart_s: float = 70.0
    settle_s: float = 25.0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a story that cannot be told."""
        if not self.nodes - self.joining - self.leaving >= self.liars + 1:
            raise ValueError("somebody honest must have been there all the time")
        if unknown := set(self.lies) - LIES.keys():
            raise ValueError(f"nobody lies by {', '.join(sorted(unknown))}")


SMALL = Plan(nodes=6, crashes=3, jumps=1, one_way=1, writes=50, measures=12, schemes=4)
USUAL = Plan(seals=40, writes=50, measures=12, schemes=3, apart_s=50.0)
"""What `make simulate` runs."""


def read(text: str) -> Plan:
    """A plan from JSON; what is not there is as in ``Plan()``. Raises ``ValueError``."""
    return msgspec.json.decode(text, type=Plan, strict=False)


def shown(plan: Plan) -> str:
    """The JSON that ``read`` reads: what is not as in ``Plan()``."""
    usual, rough = Plan(), Weather()
    differs: dict[str, object] = {
        one.name: value
        for one in fields(plan)
        if (value := getattr(plan, one.name)) != getattr(usual, one.name)
    }
    if "weather" in differs:
        differs["weather"] = {
            one.name: value
            for one in fields(rough)
            if (value := getattr(plan.weather, one.name)) != getattr(rough, one.name)
        }
    return msgspec.json.encode(differs).decode()


def command(seed: int, plan: Plan) -> str:
    """What a developer types to see this very run."""
    told = {shown(USUAL): "", shown(SMALL): " --small"}.get(shown(plan), f" --plan '{shown(plan)}'")
    return f"python -m commons_node.testing --seed {seed}{told}"
