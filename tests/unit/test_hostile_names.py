"""Eve chooses her own name, and with it whom a coordinator's command means. She must not."""

from __future__ import annotations

import pytest

from commons_node.community import Ambiguous, find

ALICE, EVE = (bytes([n]) * 32 for n in (0xA1, 0xE5))


def test_a_whole_id_means_nothing_else_whatever_somebody_is_called() -> None:
    choices = [(ALICE, ("Alice",)), (EVE, (ALICE.hex(),))]
    assert find("member", ALICE.hex(), choices) == ALICE
    assert find("member", ALICE.hex().upper(), choices) == ALICE


def test_a_name_that_is_the_beginning_of_another_id_is_ambiguous() -> None:
    choices = [(ALICE, ("Alice",)), (EVE, (ALICE.hex()[:8],))]
    with pytest.raises(Ambiguous):
        find("member", ALICE.hex()[:8], choices)
    assert find("member", ALICE.hex()[:12], choices) == ALICE


def test_a_number_of_eight_digits_is_still_a_number() -> None:
    assert find("thing", "20240001", [(ALICE, ("20240001",)), (EVE, ("20240002",))]) == ALICE
