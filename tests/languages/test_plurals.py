"""What is counted is looked up in the form in which the catalogues hold it: as one and several."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scripts import texts

from commons_crdt.texts import reading
from commons_node.domains.reputation import wording
from commons_node.explaining import catalogue

COUNTS: dict[str, Callable[[int], str]] = {
    **catalogue.COUNTED,
    "returned": lambda n: wording.returned(n, name="bob", lenders=2, months=12),
    "lent": lambda n: wording.lent(n, 2),
    "word": wording.sealed,
    "known": lambda n: wording.known(n, "bob", "eve"),
    "ways": lambda n: wording.ways(n, "bob"),
}


class Asked:
    """A catalogue that knows nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.keys: list[texts.Key] = []

    def gettext(self, message: str, /) -> str:
        self.keys.append(message)
        return message

    def ngettext(self, one: str, many: str, n: int, /) -> str:
        self.keys.append((one, many))
        return one if n == 1 else many

    def info(self) -> dict[str, str]:
        return {}

    def pgettext(self, context: str, message: str, /) -> str:
        raise AssertionError((context, message))


@pytest.mark.parametrize("name", COUNTS)
def test_both_forms_stand_in_the_catalogues_as_one_entry(name: str) -> None:
    asked = Asked()
    token = reading.set(asked)
    try:
        one, several = COUNTS[name](1), COUNTS[name](3)
    finally:
        reading.reset(token)
    assert one != several
    assert len(asked.keys) == 2
    assert all(isinstance(key, tuple) and key in texts.found() for key in asked.keys)
