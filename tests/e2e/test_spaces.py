"""Spaces and check-ins over real daemons: who comes is counted, and nobody can say who came.

One café for all stories, told in their order: four come, a fifth comes while cut off, the host's
machine is seized.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.e2e.neighbourhood import agree, cut, heal, misread, street, until
from tests.e2e.seizure import Seized
from tests.e2e.venue import Cafe, open_cafe

from commons_node.api.client import ApiError
from commons_protocol.venue import slot_of


@pytest.fixture(scope="module")
def cafe() -> Iterator[Cafe]:
    with street() as made:
        yield open_cafe(made)


def refusal(cafe: Cafe, who: str, code: str) -> tuple[str, str]:
    with pytest.raises(ApiError) as caught:
        cafe.comes(who, code)
    return caught.value.code, caught.value.message


def now_slot() -> int:
    return slot_of(time.time_ns() // 1_000_000)


def test_only_a_code_of_now_and_here_is_taken(cafe: Cafe) -> None:
    code, said = refusal(cafe, "bob", cafe.code_of_slot(now_slot() - 3))
    assert code == "code_old", "Eve cannot come with a code of a quarter of an hour ago"
    assert "five minutes" in said
    assert refusal(cafe, "bob", cafe.code_of_slot(now_slot() + 3))[0] == "clock"
    other = cafe.alice.do("space.create", name="Workshop")["space"]
    agree(cafe.alice, cafe.bob)
    there = cafe.alice.do("space.code", space="Workshop")["code"]
    code, said = refusal(cafe, "bob", there)
    assert (code, "another space" in said) == ("code", True), "a code is good for one space"
    assert refusal(cafe, "bob", misread(cafe.code()))[0] == "code", "a slip is noticed"
    assert cafe.alice.see("space.show", space=other)["open"] is None, "no hours were said"
    with pytest.raises(ApiError) as caught:
        cafe.bob.do("space.code", space=cafe.space)
    assert caught.value.code == "not_the_venue", "only the space's own node makes its codes"


def test_four_are_shown_as_fewer_than_five_and_leave_nothing(cafe: Cafe) -> None:
    for name in ("cia", "dan", "eve"):
        came = cafe.comes(name)
        assert came["state"] == "here"
        assert came["verdict"] == "accepted"
    cafe.comes("alice")
    again = cafe.comes("dan")
    assert again["again"], "coming twice changes nothing"
    assert cafe.count() is None, "four are too few to be told"
    assert cafe.tags() == [], "nor is there anything about them in the community's file"
    assert cafe.alice.see("space.list")["spaces"][0]["people"] == "< 5"


def test_the_fifth_comes_while_cut_off_and_is_counted_when_they_meet(cafe: Cafe) -> None:
    code = cafe.code()
    cut(cafe.alice, cafe.bob)
    came = cafe.bob.do("checkin.create", space="Café", code=code)
    assert (came["state"], cafe.count()) == ("here", None), "the code is checked with no network"
    (mine,) = cafe.bob.see("checkin.list")["checkins"]
    assert (mine["counted"], mine["who"], mine["state"]) == (False, "only you", "here")
    heal(cafe.bob, cafe.alice)
    until(lambda: cafe.count() == 5, "Bob's token is brought when the nodes meet")
    agree(cafe.alice, cafe.bob)
    assert cafe.count(cafe.bob) == 5, "everybody sees the same count"
    assert cafe.bob.see("checkin.list")["checkins"][0]["counted"] is True
    assert len(cafe.tags()) == 5, "Dan, who came twice, is counted once"


def test_an_own_check_in_is_seen_by_whom_its_member_chose(cafe: Cafe) -> None:
    published = cafe.bob.do("checkin.publish", to=["alice"])
    assert published["who"] == "alice"
    agree(cafe.alice, cafe.bob)
    (seen,) = cafe.alice.see("checkin.list")["others"]
    assert (seen["member"], seen["space_name"]) == (cafe.bob.member, "Café")
    assert cafe.lodgers["cia"].view("checkin.list", {}, 60)["others"] == [], "Cia was not named"
    assert cafe.bob.see("checkin.list")["checkins"][0]["who"] == "alice"
    cafe.bob.do("checkin.unpublish")
    agree(cafe.alice, cafe.bob)
    assert cafe.alice.see("checkin.list")["others"] == [], "taken back, it is gone"
    assert cafe.bob.refused("checkin.unpublish").code == "state"


def test_with_the_hosts_whole_disk_nobodys_attendance_can_be_enumerated(cafe: Cafe) -> None:
    """Issue 6: every file of the venue's node is read, and every member is tried."""
    assert cafe.count() == 5
    seized = Seized.of(cafe)
    assert len(seized.tokens) == 5, "there is something to find out"
    assert len(seized.files) > 5, "all of the host's files were read, with their journals"
    assert seized.tells() == [], "nothing on the disk says who came"


def test_a_host_that_writes_members_into_tokens_is_found_out(cafe: Cafe) -> None:
    """The mutant: what would be there if a token carried its member, or a hash of one."""
    for planted in Seized.ways_to_tell(cafe, cafe.members["cia"]):
        seized = Seized.of(cafe)
        seized.plant(planted)
        assert seized.tells() != [], f"the search notices {planted!r}"


def test_leaving_and_a_node_that_was_revoked(cafe: Cafe) -> None:
    left = cafe.bob.do("checkin.end")
    assert left["state"] == "left"
    assert cafe.bob.see("checkin.list")["checkins"][0]["state"] == "left"
    assert cafe.bob.refused("checkin.end").code == "not_checked_in"
    code = cafe.code()
    venue = cafe.alice.see("space.show", space=cafe.space)["node"]
    cafe.alice.do("peer.revoke", device=venue, reason="lost")
    refused = cafe.alice.refused("space.code", space=cafe.space)
    assert refused.code == "not_the_venue", "a node that was taken out makes no codes"
    with pytest.raises(ApiError) as caught:
        cafe.lodgers["fay"].command("checkin.create", {"space": cafe.space, "code": code}, 60)
    assert "no node stands" in caught.value.message, "nor is a code of before taken"
