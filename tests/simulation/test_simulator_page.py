"""`docs/testing.md` says of the simulator what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from commons_node.testing.bounds import BOUNDS
from commons_node.testing.lies import LIES
from commons_node.testing.measures import MEASURES
from commons_node.testing.paths import PATHS
from commons_node.testing.weather import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text below a heading, up to the next of its rank."""
    begin = PAGE.index(f"\n## {title}\n")
    return PAGE[begin : PAGE.find("\n## ", begin + 1)]


def quoted(text: str, column: int) -> set[str]:
    """The words in code in one column of the tables of a text."""
    cells = [line.split("|")[column] for line in text.splitlines() if line.startswith("| `")]
    return {word for cell in cells for word in re.findall(r"`([a-z_]+)`", cell)}


def test_every_fault_lie_and_measure_is_on_the_page_and_no_other() -> None:
    named = FAULTS.keys() | LIES.keys() | set(MEASURES)
    assert quoted(section("What goes wrong"), 1) == named


def test_what_is_seen_of_each_fault_is_on_the_page() -> None:
    told = quoted(section("What goes wrong"), 2)
    assert {effect for effects in FAULTS.values() for effect in effects} <= told


def test_every_way_of_operations_is_on_the_page() -> None:
    for way in PATHS:
        assert f"*{way}*" in section("What must hold"), way


def test_the_number_of_bounds_is_the_one_on_the_page() -> None:
    assert f": {len(BOUNDS)} counts of one node" in section("What must hold")


@pytest.mark.parametrize("title", ["Fuzzing", "Soak", "Scale", "To add", "The tiers"])
def test_what_a_reader_looks_for_is_there(title: str) -> None:
    assert len(section(title)) > 200
