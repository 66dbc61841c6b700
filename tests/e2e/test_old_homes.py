"""A real node on homes that earlier versions wrote: what they held is there, and it goes on."""

from __future__ import annotations

import pytest
from tests.e2e.neighbourhood import street
from tests.homes import make

pytestmark = pytest.mark.long


def test_of_every_earlier_version() -> None:
    of_node = make.known("node-1")["realm"]
    numbers = [n for kind, n in make.wanted() if kind == "realm"]
    same = [n for n in numbers if make.known(f"realm-{n}")["realm"] == of_node]
    assert len(same) >= 6, "the node's file knows the community of these"
    with street() as elm_street:
        for number in same:
            name = f"of-{number}"
            known = make.old_home(elm_street.folder / name, number, node=1 + number % 2)
            (house,) = elm_street.build(name)
            assert house.hashes() == (known["set"], known["state"]), number
            assert house.see("resource.list")["resources"], number
            assert house.see("status")["repaired"] == []
            assert known["peer"] in {one["node"] for one in house.see("peer.list")["peers"]}
            assert house.stop() == 0
            house.assert_whole()
            assert not list(house.home.rglob("*before*"))
