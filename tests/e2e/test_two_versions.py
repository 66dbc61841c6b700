"""One community on nodes of two versions: the older one keeps aside what it does not know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.neighbourhood import (
    House,
    Street,
    agree,
    cli,
    meet,
    street,
    until,
)

from commons_node.domains import RULES
from commons_node.verbs import VERSION


class Older(House):
    """A house whose daemon is of the version before, until it is upgraded."""

    module = "tests.e2e.older"


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


def held(house: House) -> dict[str, int]:
    """What is kept aside, by reason."""
    found: dict[str, int] = house.see("status")["communities"][0]["held"]
    return found


def rules(house: House) -> int:
    found: int = house.see("community.acts")["rules"]
    return found


def told(house: House) -> set[tuple[str | None, int | None]]:
    """Which program the one neighbour says it is; one thing, once both views have heard it."""
    views = (house.see("sync.status")["peers"], house.see("peer.list")["peers"])
    return {(row["version"], row["rules"]) for rows in views for row in rows}


def program(house: House) -> str | None:
    """How the neighbour's program stands to its own; the views say the same, with what to do."""
    (row,) = house.see("sync.status")["peers"]
    (peer,) = house.see("peer.list")["peers"]
    word: str | None = row["program"]
    assert word == peer["program"]
    upgrade = str(row["upgrade"] or "")
    assert bool(word) == bool(upgrade)
    assert upgrade in row["next_action"]
    assert upgrade in peer["next"]
    return word


def versions(house: House) -> dict[str, str]:
    """What the doctor says of them."""
    checks: list[dict[str, str]] = cli(house.home, "doctor", "--quick", "--json").json["checks"]
    return next(one for one in checks if one["check"] == "versions")


@pytest.mark.long
def test_an_older_node_goes_on_and_catches_up_when_it_is_upgraded(elm_street: Street) -> None:
    bob = Older("bob", elm_street.folder / "bob")
    elm_street.houses.append(bob)
    bob.ready()
    (alice,) = elm_street.build("alice")
    bob.found()
    alice.join(bob.invite())
    assert rules(bob) == RULES.version - 1, "a community has the rules of who founded it"
    agree(alice, bob)
    until(lambda: told(alice) == {(VERSION, RULES.version - 1)}, "members hear what a node is")
    until(lambda: told(bob) == {(VERSION, RULES.version)}, "and the other way")
    assert versions(alice)["state"] == versions(bob)["state"] == "warn"
    assert "upgrade this node" in versions(bob)["fix"], "the other one is newer"
    assert "ask their hosts" in versions(alice)["fix"]
    assert (program(alice), program(bob)) == ("older", "newer")
    first = bob.do("resource.add", name="Drill", number="1")["resource"]
    agree(alice, bob)
    assert rules(alice) == RULES.version - 1

    refused = bob.refused("community.propose", what="rules", version=RULES.version)
    assert refused.code == "terms", "it does not know them"
    bob.do("community.propose", what="coordinators", add=["alice"], drop=["bob"])
    agree(alice, bob)
    alice.do("community.propose", what="rules", version=RULES.version)
    assert rules(alice) == RULES.version
    newer = alice.do("resource.add", name="Saw", number="2")["operation"]
    until(lambda: any("rules" in why for why in held(bob)), "it is kept aside, not refused")
    assert newer not in bob.verdicts()
    assert program(alice) == "too_old", "it keeps aside what the community keeps to now"
    assert "ask their hosts to upgrade them:" in versions(alice)["fix"]
    assert bob.see("resource.show", resource=first)["resource"], "what it knows it goes on showing"

    bob.stop()
    bob.module = "commons_node"
    bob.again()
    meet(bob, alice)
    agree(alice, bob)
    assert bob.verdicts()[newer] == 1, "what it had kept aside counts now"
    assert rules(bob) == RULES.version
    until(lambda: told(alice) == {(VERSION, RULES.version)}, "alice hears that bob was upgraded")
    assert versions(alice)["state"] == versions(bob)["state"] == "ok"
    assert (program(alice), program(bob)) == (None, None)
