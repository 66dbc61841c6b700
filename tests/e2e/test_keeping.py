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
        (row,) = bob.see("sync.status")["peers"]
        assert (row["state"], row["code"], row["node"]) == ("paused", "paused", None)
        assert [one["code"] for one in bob.see("sync.why")["causes"]] == ["paused"]
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


def at(house: House, street_: str, verb: str, **arguments: Any) -> dict[str, Any]:
    """A command in one of two communities."""
    with house.at(street_):
        return house.do(verb, **arguments)


def hashes_of(house: House, street_: str) -> tuple[str, str]:
    with house.at(street_):
        return house.hashes()


def names_in(house: House, street_: str) -> set[str]:
    """The things that a house knows in one community."""
    with house.at(street_):
        return {str(one["name"]) for one in house.see("resource.list")["resources"]}


def equal(alice: House, bob: House, street_: str) -> None:
    until(
        lambda: hashes_of(alice, street_) == hashes_of(bob, street_),
        f"{street_} is the same in both houses",
        60,
    )


def stands(house: House, street_: str) -> dict[str, Any]:
    """What ``status`` says of one community."""
    found = house.see("status")["communities"]
    (one,) = (one for one in found if one["community"] == street_)
    return dict(one)


@pytest.mark.long
def test_of_two_communities_one_is_let_go_while_the_other_goes_on() -> None:
    """Selective: both on both nodes; bob keeps Oak Street in step, and Elm Street not."""
    with street() as both:
        alice, bob = both.community("alice", "bob", roles={"bob": "steward"})
        of_elm = bob.member  # another key in each community
        elm, oak = community(alice)["community"], alice.found("Oak Street")["community"]
        assert bob.join(at(alice, oak, "invite.create")["code"])["state"] == "joined"
        at(alice, oak, "member.role", who="bob", role="steward")
        at(alice, elm, "resource.add", name="Elm drill")
        at(alice, oak, "resource.add", name="Oak ladder")
        for one in (elm, oak):
            equal(alice, bob, one)

        # let go of one: the other neither stops nor is held up, with the same node
        before = hashes_of(alice, elm)
        until(lambda: stands(bob, elm)["sync"] == "synced", "he may let go only then")
        assert at(bob, elm, "community.pause", free=True)["let_go"] > 0
        assert names_in(bob, elm) == set()
        for n in range(5):
            at(alice, oak, "resource.add", name=f"Oak chair {n}")
            at(bob, oak, "resource.add", name=f"Bob's oak bench {n}")
            at(alice, elm, "resource.add", name=f"Elm saw {n}")
        equal(alice, bob, oak)
        assert len(names_in(bob, oak)) == len(names_in(alice, oak)) == 11
        assert (stands(bob, elm)["sync"], stands(bob, elm)["kept"]) == ("paused", False)
        until(lambda: stands(bob, oak)["sync"] == "synced", "of the other it says the truth, too")
        until(lambda: standing(alice, bob) == "synced", "they are in step in what they share")
        with bob.at(elm):
            assert bob.refused("resource.add", name="Rope").code == "paused"
        assert names_in(bob, elm) == set(), "nothing of it came by that way"
        assert hashes_of(bob, elm) != hashes_of(alice, elm) != before

        # over a start of the node, too
        assert bob.stop() == 0
        bob.again().unlock()
        bob.unlock(name=of_elm)
        at(alice, oak, "resource.add", name="Oak stove")
        until(lambda: "Oak stove" in names_in(bob, oak), "Oak Street goes on", 60)
        assert stands(bob, elm)["sync"] == "paused"
        assert names_in(bob, elm) == set()

        # and kept again
        at(bob, elm, "community.resume")
        equal(alice, bob, elm)
        assert len(names_in(bob, elm)) == 6, "he catches up with all of it"
        with bob.at(elm):
            until(lambda: adds_a_tent(bob), "and writes in it", 60)
        for one in (elm, oak):
            equal(alice, bob, one)
            assert stands(alice, one)["operations"]["contested"] == 0, "bob told one story"
