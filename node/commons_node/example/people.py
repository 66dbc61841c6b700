"""Who lives on the example street, and what stands in their sheds."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import dataclass
from typing import Final

from commons_node.demo.story import inventory

STREET: Final = "Elm Street (example)"
ZONE: Final = "Europe/Stockholm"
PASSPHRASE: Final = "just looking round"  # noqa: S105 - everybody is told it
"""Of everybody on the street: it protects nothing that is anybody's."""
THINGS: Final = 60
FAVOURITE: Final = "1622"
"""The drill that everybody wants."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A household: on which day it joins, what it becomes and when, and how it borrows.

    ``eager``: its share of all requests. ``late``: of a hundred loans so many come back late.
    """

    name: str
    joins: int
    role: str
    since: int
    eager: int
    late: int


FOUNDER: Final = "Anna"
NEIGHBOURS: Final = (
    Neighbour("Cia", 0, "steward", 1, 4, 2),
    Neighbour("Bo", 1, "member", 9, 12, 10),
    Neighbour("Elin", 1, "member", 9, 9, 5),
    Neighbour("Farid", 4, "member", 20, 10, 4),
    Neighbour("Gun", 9, "member", 30, 5, 0),
    Neighbour("Hasse", 12, "steward", 45, 6, 8),
    Neighbour("Ida", 30, "member", 60, 8, 15),
    Neighbour("Johan", 33, "member", 75, 7, 12),
    Neighbour("Kalle", 50, "member", 80, 9, 45),
    Neighbour("Maj-Britt", 120, "member", 150, 4, 0),
    Neighbour("Lina", 330, "newcomer", 330, 6, 5),
)
DELIVERIES: Final = ((1, FOUNDER, 26), (18, "Cia", 20), (60, "Hasse", 14))
"""On which day who brings how many things."""


Delivery = tuple[int, str, list[str], bytes]
"""On which day, by which steward, the numbers, and the CSV."""


def inventories(rng: random.Random) -> list[Delivery]:
    """Each delivery, drawn from a real tool library's list."""
    rows = list(csv.DictReader(io.StringIO(inventory().decode())))
    fit = [row for row in rows if row["status"] == "active" and row["policy"] != "Uncounted"]
    first = [row for row in fit if row["number"] == FAVOURITE]
    others = [row for row in fit if row["number"] != FAVOURITE]
    chosen = first + rng.sample(others, THINGS - len(first))
    found = []
    for day, who, count in DELIVERIES:
        part, chosen = chosen[:count], chosen[count:]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(part)
        found.append((day, who, [row["number"] for row in part], text.getvalue().encode()))
    return found
