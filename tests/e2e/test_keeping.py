"""A node that keeps only some communities in step: it says so, and comes back without a fork."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.neighbourhood import House, agree, cut, heal, street, until
from tests.e2e.test_parts import adds, photos, stored
from tests.unit.pictures import jpeg

from commons_node.api.client import ApiError


def community(house: House) -> dict[str, Any]:
    found: dict[str, Any] = house.see("status")["communities"][0]
    return found


def standing(house: House, other: House) -> str:
    """What a node says of another one."""
    peers = house.see("peer.list")["peers"]
    return next(str(peer["state"]) for peer in peers if peer["node"] == other.node)


def adds_a_tent(house: House) -> bool:
    """Whether it was added; not while what was let go of is still being fetched."""
    try:
        house.do("resource.add", name="Tent", number="10")
    except ApiError as error:
        if error.code != "catching_up":
            raise
        return False
    return True


@pytest.mark.long
def test_a_community_is_paused_let_go_of_and_comes_back_whole() -> None:
    with street() as elm_street:
        alice, bob = elm_street.community("alice", "bob", roles={"bob": "steward"})
        for n in range(1, 6):
            alice.do("resource.add", name=f"Drill {n}", number=str(n))
        bob.do("resource.add", name="Bob's saw", number="7")
        adds(bob, jpeg(200_000), "7")
        agree(alice, bob)

        # paused: nothing comes, nothing goes, everybody says what is true
        assert bob.do("community.pause")["kept"] is False
        before = bob.hashes()
        alice.do("resource.add", name="Ladder", number="8")
        until(lambda: standing(alice, bob) == "stranger", "bob's node shares nothing now")
        said = community(bob)
        assert (said["kept"], said["sync"]) == (False, "paused")
        assert "community resume" in said["next_action"]
        assert bob.hashes() == before, "what is here can be read, and stays as it was"
        with pytest.raises(ApiError) as caught:
            bob.do("resource.add", name="Rope", number="9")
        assert caught.value.code == "paused"
        with pytest.raises(ApiError) as caught:
            bob.do("community.pause", free=True)
        assert caught.value.code == "last_copy", "nobody can be asked"
        bob.stop()
        bob.again().unlock()
        assert community(bob)["sync"] == "paused", "over a start, too"
        assert standing(alice, bob) in {"stranger", "unreachable", "unknown"}, "never behind"
        bob.do("community.resume")
        agree(alice, bob)
        bob.do("resource.add", name="Rope", number="9")
        agree(alice, bob)

        # let go of: not while nobody else has it
        cut(alice, bob)
        with pytest.raises(ApiError) as caught:
            bob.do("community.pause", free=True)
        assert caught.value.code == "last_copy"
        heal(alice, bob)
        agree(alice, bob)
        until(lambda: photos(alice, "7")[0]["here"], "alice has bob's photo")
        whole = bob.hashes()
        gone = bob.do("community.pause", free=True)
        assert gone["let_go"] >= 9, "things, kinds, names"
        assert not stored(bob)
        assert bob.see("resource.list")["resources"] == []
        assert "who may do what" in community(bob)["reason"]
        bob.stop()
        bob.again().unlock()
        assert community(bob)["sync"] == "paused"

        # and back: all of it, before anything is signed
        bob.do("community.resume")
        until(lambda: adds_a_tent(bob), "bob adds a thing as soon as he knows what he had", 60)
        agree(alice, bob)
        assert community(alice)["operations"]["contested"] == 0, "bob's device told one story"
        assert len(bob.see("resource.list")["resources"]) == 9
        until(lambda: photos(bob, "7")[0]["here"], "his own photo, too", 60)
        assert bob.hashes() != whole
