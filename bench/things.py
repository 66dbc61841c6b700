"""Made-up things: what they are, and the changes that make them and edit them.

The functions for workers are pure, so that they can run in the verifier's processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from commons_crdt.document.values import Value
from commons_node.domains.resources.facts import ITEM_SCHEMA

Fields = Mapping[str, Value]

_NOTICES = (
    "", "Bring it back clean and dry.", "The battery is in the box.",
    "Ask for the second blade; it is in the drawer under the bench.",
)  # fmt: skip
_STATES = ("active", "active", "active", "maintenance")


@dataclass(frozen=True, slots=True)
class Making:
    """One thing to make: its number, its kind's document, how many edits, and by which device."""

    number: int
    specification: bytes
    edits: int
    device: bytes


def kinds(count: int) -> list[Fields]:
    """The fields of some kinds of things."""
    return [
        {"name": f"Tool {n}", "brand": "Maker", "model": f"M{n:03}", "categories": "tools; garden"}
        for n in range(count)
    ]


def thing(making: Making) -> Fields:
    """The fields of a new thing."""
    random = Random(making.number)
    return {
        "specification": making.specification.hex(),
        "number": str(1000 + making.number),
        "serial": f"{random.getrandbits(40):010x}",
        "quantity": 1,
        "state": "active",
        "price_cents": random.randrange(500, 60_000),
        "acquired": f"20{random.randrange(10, 26)}-0{random.randrange(1, 10)}",
    }


def edit(number: int, time: int) -> Fields:
    """The fields of a thing's edit; each differs from the one before."""
    random = Random(number * 1000 + time)
    return {
        "state": random.choice(_STATES),
        "notice": random.choice(_NOTICES),
        "price_cents": 100_000 + time,
    }


def grow(makings: Sequence[Making]) -> list[list[bytes]]:
    """For workers: of each thing the creating change and its edits, each on top of the last."""
    from commons_crdt.document.write import create  # noqa: PLC0415 - automerge stays in workers
    from commons_crdt.document.write import edit as change  # noqa: PLC0415 - likewise

    grown = []
    for making in makings:
        changes = [create(making.device, thing(making), ITEM_SCHEMA)]
        for time in range(making.edits):
            made, _ = change(changes, making.device, edit(making.number, time), ITEM_SCHEMA)
            assert made is not None, "every edit changes something"
            changes.append(made)
        grown.append(changes)
    return grown


def edit_each(
    histories: Sequence[tuple[Sequence[bytes], bytes, Fields]],
) -> list[tuple[bytes, tuple[bytes, ...]]]:
    """For workers: (history, device, fields) to the change and the hashes that it builds on."""
    from commons_crdt.document.write import edit as change  # noqa: PLC0415 - likewise

    made = [change(history, device, fields, ITEM_SCHEMA) for history, device, fields in histories]
    return [(new, deps) for new, deps in made if new is not None]
