"""One question that the doctor asks: a name, how bad the answer is, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["ok", "warn", "fail"]
STATES: tuple[State, ...] = ("ok", "warn", "fail")
"""From best to worst."""

Fact = int | bool | str


@dataclass(frozen=True, slots=True)
class Check:
    """What one question gave.

    ``detail`` and ``fix`` are for the person at this machine and may hold names and paths.
    ``facts`` are what a report may hold: numbers, yes or no, and words of this program; never
    anything that a person wrote, an id, a path or an address.
    """

    check: str
    state: State
    detail: str
    fix: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def shown(self) -> dict[str, str]:
        """As CONTRACT.md has it."""
        return {"check": self.check, "state": self.state, "detail": self.detail, "fix": self.fix}


def worst(checks: list[Check]) -> State:
    """The worst state of all; "ok" for none."""
    return max((one.state for one in checks), key=STATES.index, default="ok")
