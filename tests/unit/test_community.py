"""Names and selectors: what somebody types finds one thing, or says why it does not."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_node.community import Ambiguous, Unknown, find

DRILL, SAW = bytes([0xAB] * 32), bytes([0xAB] * 4 + [1] * 28)
CHOICES = [(DRILL, ("Drill", "1622")), (SAW, ("Saw", None))]


@pytest.mark.parametrize("typed", ["drill", " DRILL ", "1622", DRILL.hex(), DRILL.hex()[:9]])
def test_a_name_a_number_or_an_id(typed: str) -> None:
    assert find("thing", typed, CHOICES) == DRILL


def test_what_fits_several_is_ambiguous() -> None:
    with pytest.raises(Ambiguous) as refused:
        find("thing", "abababab", CHOICES)
    assert DRILL.hex()[:12] in str(refused.value), "it says which"


@pytest.mark.parametrize("typed", ["", "hammer", "ababab", "xyzxyzxyz", "ab" * 33])
def test_what_fits_nothing_is_unknown(typed: str) -> None:
    with pytest.raises(Unknown) as refused:
        find("thing", typed, CHOICES, "commons-node resource list")
    assert refused.value.way_out == "commons-node resource list", "and says where to look"


def test_a_name_that_looks_like_somebody_elses_id_means_neither() -> None:
    choices = [*CHOICES, (bytes(32), ("abab0101",)), (bytes([1] * 32), (DRILL.hex(),))]
    with pytest.raises(Ambiguous):
        find("thing", "abababab01", [*CHOICES, (bytes(32), ("abababab01",))])
    assert find("thing", "abab0101", choices) == bytes(32), "a name that nobody else's id begins"
    assert find("thing", DRILL.hex(), choices) == DRILL, "a whole id means nothing but itself"


@given(st.text(max_size=70))
def test_any_text_finds_something_or_says_why_not(typed: str) -> None:
    with suppress(Unknown, Ambiguous):
        assert find("thing", typed, CHOICES) in (DRILL, SAW)
