"""A member whose acts count otherwise than before finds a notice, and keeps it until it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import Machine, machines
from tests.unit.street import VERBS, member, open_realm
from tests.unit.test_explaining import ask, invite
from tests.unit.town import DAY_MS, person

from commons_crdt.author import Draft
from commons_crdt.authority.council_facts import CouncilAct, Lift
from commons_crdt.authority.kinds_council import ACT
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, OperationId
from commons_node.domains.lending.facts import DECISION, Decision
from commons_node.flips import MOST_LISTED, told
from commons_node.notices import told_at_unlock
from commons_node.realm import notices as kept
from commons_node.realm.told import Change
from commons_node.registry import Command
from commons_node.verifier.pool import VerifierPool


async def notices(node: Machine, who: str, **how: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await node.see(who, "notice.list", **how)).value["notices"]
    return rows


async def read(node: Machine, who: str) -> int:
    verb = VERBS.command("notice.read")
    assert isinstance(verb, Command)
    return int(str((await verb.run(node.terminal(who), verb.args()))["read"]))


async def removed_unheard(north: Machine, south: Machine, acts: int = 2) -> list[str]:
    """Alice removes bob at north; he goes on at south, where he lives, and then hears."""
    south.realm.notices.residents.update({member("bob"), member("cia")})
    await north.do("alice", "member.remove", who="bob", reason="conduct")
    south.home.now = north.home.now + DAY_MS
    done = [await ask(south, "bob", str(n)) for n in range(acts)]
    assert await notices(south, "bob") == []
    await north.tell(south)
    return done


async def lift(node: Machine, cut: str) -> None:
    council = node.realm.judge.authority.council
    act = CouncilAct(council.base, 0, Lift(bytes.fromhex(cut)))
    refs = [OperationId(bytes.fromhex(cut))]
    (done,) = await node.forge("alice", Draft.fact(ACT, act, log=0, refs=refs))
    assert done.judgement.reason == ""


async def test_who_was_removed_finds_what_does_not_count_and_why(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        acts = await removed_unheard(north, south)
        rows = await notices(south, "bob")
        assert sorted(one["operation"] for one in rows) == sorted(acts)
        for row in rows:
            assert (row["was"], row["verdict"], row["reason"]) == ("accepted", "rejected", "cut")
            assert row["now"] == "counts no more"
            assert row["what"] == "a request for a loan"
            assert row["sentence"].startswith("bob was removed by alice on ")
            assert row["because"][0]["part"] == "removal"
        count, news = await told_at_unlock(south.town, member("bob"), south.home.now)
        assert count == 2
        assert news is not None
        assert news.startswith("2 things you did do not count any more.")

        assert await notices(south, "cia") == [], "a notice is of the member whose act it is"
        assert await read(south, "bob") == 2
        assert await notices(south, "bob") == []
        assert len(await notices(south, "bob", all=True)) == 2, "read, and still to be looked up"
        assert await told_at_unlock(south.town, member("bob"), south.home.now) == (0, None)


async def test_notices_outlive_a_restart_and_a_lift_takes_them_back(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        await removed_unheard(north, south)
        path = south.realm.store.database.path
        again = await open_realm(south.realm.realm, path, pool)
        try:
            assert len(await again.notices.of(member("bob"))) == 2
        finally:
            await again.close()
        (cut,) = [c for c in north.realm.judge.authority.cuts if c.member == member("bob")]
        await lift(north, cut.id.hex())
        await north.tell(south)
        assert await notices(south, "bob") == [], "nobody has read it, and it is as it was"


async def test_who_has_read_it_hears_when_it_counts_again(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        await removed_unheard(north, south, acts=1)
        await read(south, "bob")
        (cut,) = [c for c in north.realm.judge.authority.cuts if c.member == member("bob")]
        await lift(north, cut.id.hex())
        await north.tell(south)
        (row,) = await notices(south, "bob")
        assert (row["was"], row["verdict"], row["now"]) == ("rejected", "accepted", "counts again")


async def test_whose_act_rests_on_what_fell_hears_of_it(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool) as (north, south):
        (request,) = await removed_unheard_and_answered(north, south)
        (row,) = await notices(south, "cia")
        assert row["verdict"] == "accepted", "her own act stands"
        assert row["rests_on"] == request
        assert row["now"] == "rests on what fell"
        assert row["sentence"].startswith(
            "It builds on something that does not count any more: a request for a loan by bob."
        )
        (cut,) = [c for c in north.realm.judge.authority.cuts if c.member == member("bob")]
        await lift(north, cut.id.hex())
        await north.tell(south)
        assert await notices(south, "cia") == []


async def removed_unheard_and_answered(north: Machine, south: Machine) -> list[str]:
    """As ``removed_unheard``; cia approves bob's request before they hear."""
    south.realm.notices.residents.update({member("bob"), member("cia")})
    await north.do("alice", "member.remove", who="bob")
    request = await ask(south, "bob")
    ident = OperationId(bytes.fromhex(request))
    draft = Draft.fact(DECISION, Decision(True), document=DocumentId(ident), refs=[ident])
    (done,) = await south.forge("cia", draft)
    assert done.judgement.reason == ""
    await north.tell(south)
    return [request]


async def test_a_fork_is_told_to_its_owner_and_again_when_a_branch_is_chosen(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        south.realm.notices.residents.add(member("bob"))
        one, other = await ask(north, "bob", "one"), await ask(south, "bob", "two")
        await south.realm.ingest(await north.home.operations(), "north")
        rows = await notices(south, "bob")
        assert {row["operation"] for row in rows} == {one, other}
        for row in rows:
            assert row["reason"] == "fork"
            assert "two different things at one place" in row["sentence"]
        await read(south, "bob")
        device = person("bob").device.keys.id.hex()
        (listed,) = (await south.see("alice", "fork.list")).value["forks"]
        assert listed["touches"][0]["sentence"].startswith("bob: what the device wrote")
        await south.do("alice", "fork.resolve", device=device, branch=other)
        (row,) = await notices(south, "bob")
        assert (row["operation"], row["now"]) == (other, "counts again")
        assert one in {c["operation"] for c in (await south.see(
            "alice", "explain", operation=one)).value["because"]}  # fmt: skip


async def test_only_who_is_unlocked_reads(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool) as (north, south):
        await removed_unheard(north, south)
        with pytest.raises(CommonsError) as caught:
            await notices(south, "dan")
        assert caught.value.code == "locked", "dan does not live here"


async def test_notices_are_bounded(
    tmp_path: Path, pool: VerifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST", 5)
    async with machines(tmp_path, pool) as (north, south):
        await removed_unheard(north, south, acts=9)
        assert len(await notices(south, "bob", all=True)) == 5


async def test_listeners_hear_the_same_sentence(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool) as (north, south):
        heard: list[Change] = []
        south.realm.listeners.append(heard.append)
        await north.do("alice", "member.remove", who="bob")
        acts = [await ask(south, "bob", str(n)) for n in range(MOST_LISTED + 4)]
        await invite(south, "cia")
        await north.tell(south)
        change = next(one for one in heard if one.flips)
        (event,) = await told(south.town, change.flips)
        assert (event["member"], event["count"]) == (member("bob").hex(), len(acts))
        listed: Any = event["operations"]
        assert len(listed) == MOST_LISTED
        assert listed[0]["before"] == {"verdict": "accepted", "reason": ""}
        assert listed[0]["after"] == {"verdict": "rejected", "reason": "cut"}
        said = await south.see("alice", "explain", operation=listed[0]["operation"])
        assert listed[0]["sentence"] == said.value["sentence"]
        assert listed[0]["because"] == said.value["because"]
