"""A key of the council endorses two acts: the town is split, says so everywhere, and goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from commons_crdt.authority.council import Council
from commons_node.explaining.splitting import split_in_words
from commons_node.testing.liars import renaming
from commons_node.testing.lies import chosen
from commons_node.testing.node import Node
from commons_node.testing.plan import SMALL
from commons_node.testing.storm import Outcome, Storm
from commons_node.testing.town import Town
from commons_node.testing.weather import CALM

LIES = ("double_endorsement", "wrong_hash")
PLAN = replace(
    SMALL, nodes=5, joining=0, leaving=0, crashes=0, jumps=0, one_way=0, islands=1, writes=10,
    measures=0, asks=0, lies=LIES, schemes=2, weather=CALM,
)  # fmt: skip
BOTH, ONE = 4, 2


async def words(node: Node) -> str:
    """What `status` and `community acts` say of the council at a node."""
    said = await node.run(split_in_words(node.community))
    return said or ""


async def asks(node: Node) -> object:
    """A coordinator wants the council to decide something."""
    return await node.run(
        node.desk.do("community.propose", what="constitution", settings=["motto=none"])
    )


async def story(town: Town, both: bool) -> Outcome:
    outcome = await Storm(PLAN, town).tell()
    assert not outcome.wrong, outcome.wrong
    assert outcome.faults["split"] == len(town.honest), "it has really happened, and at every node"
    assert outcome.faults["lie_wrong_hash"] == int(both), "also beside a seal of a wrong state"
    councils = [node.realm.judge.authority.council for node in town.honest]
    assert len({one.base for one in councils}) == 1, "all stay at the same base"
    assert len({one.split for one in councils}) == 1
    (acts,) = {one.split for one in councils}
    assert len(acts) == 2
    for council in councils:
        assert acts.isdisjoint(council.chain), "neither of the two is followed"
        assert len(council.forked) == 1, "one key said both"
    for node in town.honest:
        said = await words(node)
        assert said.startswith("The community is split"), node.name
        assert all(act.hex()[:12] in said for act in acts)
    seats = [one for one in town.honest if one.member in dict(councils[0].seats)]
    assert seats
    for node in seats:
        assert not await asks(node), "the council decides nothing more"
    member = next(one for one in town.honest if one not in seats)
    written = await member.write([renaming(member, town.rng)])
    assert written is not None
    assert written[0].judgement.reason == "", "everything else goes on"
    return outcome


@pytest.mark.parametrize("seed", [BOTH, ONE])
def test_a_double_endorser_splits_the_town_and_every_node_says_so(seed: int) -> None:
    both = "wrong_hash" in chosen(LIES, 2, seed)
    assert both == (seed == BOTH)
    Town(seed).play(lambda town: story(town, both))


def test_a_town_that_follows_one_of_the_two_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Council.in_force
    monkeypatch.setattr(Council, "in_force", lambda *given: honest(*given)[:1])
    with pytest.raises(AssertionError):
        Town(ONE).play(lambda town: story(town, both=False))
