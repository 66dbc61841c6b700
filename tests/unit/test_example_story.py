"""The story of the example street, where it must hold at every hour at which it is told."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, cast

from commons_node.example.company import speak
from commons_node.example.memory import Year
from commons_node.example.past import Past


class Heard:
    """A past that only remembers who did what."""

    def __init__(self) -> None:
        self.at_ms = 0
        self.deeds: list[tuple[str | None, str]] = []

    async def do(self, who: str | None, verb: str, /, **_arguments: object) -> Mapping[str, Any]:
        self.deeds.append((who, verb))
        return {}


async def test_who_is_suspended_opens_what_was_said_when_they_are_back() -> None:
    """At some hours of the day Kalle had said something of a loan before he was suspended."""
    past = Heard()
    year = Year(cast("Past", past), random.Random(1), 365, ())
    year.sealed = [(3, "Kalle"), (3, "Bo"), (9, "Cia")]
    year.away["Kalle"] = "an operation"
    for year.day in (3, 4):
        await speak(year)
    assert past.deeds == [("Bo", "reputation.open")]
    del year.away["Kalle"]
    year.day = 5
    await speak(year)
    assert past.deeds == [("Bo", "reputation.open"), ("Kalle", "reputation.open")]
    assert year.sealed == [(9, "Cia")]
