"""Policies: what of an agent's is signed without asking, counted, ended, and nothing beyond."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.bureau import AGENT, ELM, NOON, Bureau, bureau
from tests.unit.test_keystore_sessions import ALICE, BOB, Clock, unlocked

from commons_node.agents.manifest import Grant
from commons_node.capabilities.proposing import proposable, trustable
from commons_node.domains import registry
from commons_node.jobs.queue import Queue
from commons_node.jobs.windows import DAY_MS
from commons_node.keystore.sessions import IDLE_S, MemberLocked, Sessions
from commons_node.proposals import policies, store
from commons_node.proposals.policies import NotCovered, Policy
from commons_node.proposals.store import Decided

GRANTED = {"docs.propose": Grant(kinds=("loan.decline",))}
WORD = Policy(
    0, AGENT, ELM, ALICE, "de" * 32, "0123abcd" * 8, "70" * 32, GRANTED, "loan.decline", 2,
    NOON + 90 * DAY_MS, NOON, 0, None, None,
)  # fmt: skip


async def proposes(house: Bureau, *loans: str) -> int:
    """A run that proposes to decline these; its number."""
    house.granted = GRANTED
    run = await house.run()
    for loan in loans:
        await run("docs.propose", command="loan.decline", args={"loan": loan}, key=loan)
    await run.done()
    return run.lease.run


async def fits(house: Bureau, number: int) -> list[int]:
    """The policies that speak of a proposal."""

    def work(queue: Queue) -> list[int]:
        return [one.number for one in policies.fitting(queue, store.one(queue, number))]

    return await house.desk.call(work)


async def test_what_waited_for_a_policy_is_not_covered_by_it(tmp_path: Path) -> None:
    async with bureau(tmp_path) as house:
        await proposes(house, "old")
        made = await house.desk.call(lambda queue: policies.make(queue, WORD))
        for other in (
            replace(WORD, command="loan.approve"), replace(WORD, principal="0a" * 32),
            replace(WORD, agent="ffffffff/helper"),
        ):  # fmt: skip
            await house.desk.call(lambda queue, one=other: policies.make(queue, one))  # type: ignore[misc]  # binds the loop's value
        run = await proposes(house, "new")
        assert await fits(house, 1) == [], "an agent that has piled proposals up gains nothing"
        assert await fits(house, 2) == [made.number], "not those of another act, community, agent"
        ours = await house.desk.call(lambda queue: store.of_run(queue, run))
        assert [one.number for one in ours] == [2], "and no later run signs for an earlier one"


async def test_a_day_has_so_many_whatever_becomes_of_them(tmp_path: Path) -> None:
    async with bureau(tmp_path) as house:
        made = await house.desk.call(lambda queue: policies.make(queue, WORD))
        await proposes(house, "a", "b", "c", "d")
        take = policies.take
        await house.desk.call(lambda queue: take(queue, made.number, 1))
        await house.desk.call(lambda queue: store.reopened(queue, 1, "it did not work"))
        one = await house.desk.call(lambda queue: store.one(queue, 1))
        assert (one.state, one.policy) == ("open", None)
        await house.desk.call(lambda queue: take(queue, made.number, 2))
        with pytest.raises(NotCovered):
            await house.desk.call(lambda queue: take(queue, made.number, 3))
        assert (await house.desk.call(lambda queue: store.one(queue, 3))).state == "open"
        await house.close()
        house.wall -= 3 * 3_600_000
        await house.open()
        with pytest.raises(NotCovered):
            await house.desk.call(lambda queue: take(queue, made.number, 3))
        (left,) = await house.desk.call(store.interrupted)
        assert (left.number, left.policy, left.member) == (2, made.number, ALICE), (
            "a crash between signing and marking leaves by which policy"
        )
        house.pass_time(2 * 86_400)
        await house.desk.call(lambda queue: take(queue, made.number, 3))
        with pytest.raises(Decided):
            await house.desk.call(lambda queue: take(queue, made.number, 2))
        assert await house.desk.call(lambda queue: policies.used(queue, made)) == 1


@pytest.mark.parametrize("how", ["word", "agent", "member", "again", "time", "clock"])
async def test_what_has_ended_signs_nothing_more(tmp_path: Path, how: str) -> None:
    async with bureau(tmp_path) as house:
        made = await house.desk.call(lambda queue: policies.make(queue, WORD))
        kept = await house.desk.call(
            lambda queue: policies.make(queue, replace(WORD, member=BOB, until_ms=NOON + 2**40))
        )
        await proposes(house, "x")
        assert await fits(house, 1) == [made.number, kept.number]
        end = policies.end
        match how:
            case "word":
                acts = ("loan.decline",)
                await house.desk.call(
                    lambda q: end(q, "distrusted", agent=AGENT, member=ALICE, commands=acts)
                )
            case "agent":
                await house.desk.call(lambda q: end(q, "removed", agent=AGENT))
            case "member":
                await house.desk.call(lambda q: end(q, "left", member=ALICE, principal=ELM))
            case "again":
                await house.desk.call(lambda q: policies.make(q, WORD))
            case "time":
                house.pass_time(91 * 86_400)
            case "clock":
                house.wall -= 2 * DAY_MS
        with pytest.raises(NotCovered):
            await house.desk.call(lambda queue: policies.take(queue, made.number, 1))
        others = [] if how in {"agent", "clock"} else [kept.number]
        assert await fits(house, 1) == others, "nobody else's, and none that is newer than it"


def test_an_agent_that_may_do_more_is_not_the_one_that_was_trusted() -> None:
    assert WORD.covers(WORD.publisher, GRANTED)
    assert WORD.covers(WORD.publisher, {}), "less is no other"
    assert not WORD.covers("ffff" * 16, GRANTED), "another publisher's of the same short id"
    wider = {**GRANTED, "http.fetch": Grant(hosts=("example.org",))}
    assert not WORD.covers(WORD.publisher, wider)
    more = {"docs.propose": Grant(kinds=("loan.decline", "loan.approve"))}
    assert not WORD.covers(WORD.publisher, more)


def test_only_what_can_be_undone_is_on_the_list() -> None:
    acts = proposable(registry())
    assert trustable(acts) == (
        "loan.approve", "loan.cancel", "loan.decline", "loan.extend", "loan.request",
        "resource.add",
    )  # fmt: skip
    flagged = {one.name for one in registry().commands if one.trustable}
    assert flagged == set(trustable(acts)), "nothing is flagged that no agent may propose"
    assert not any(acts[name].asks for name in trustable(acts))


def test_a_policy_signs_in_a_terminal_of_that_member_alone() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    assert sessions.alone(ALICE) is None
    sessions.limited("t" * 64, frozenset({"act:*"})).unlock(unlocked(ALICE))
    assert sessions.alone(ALICE) is None, "never by a limited token, as of a kiosk"
    shared = sessions.new()
    shared.unlock(unlocked(ALICE))
    shared.unlock(unlocked(BOB))
    assert sessions.alone(ALICE) is None, "nor where two are unlocked"
    shared.lock(BOB)
    lent = sessions.alone(ALICE)
    assert lent is not None
    assert lent.members() == (ALICE,)
    clock.now += IDLE_S / 2
    assert lent.pick(ALICE).member == ALICE
    assert lent.remaining_s(ALICE) == 0
    assert shared.remaining_s(ALICE) == IDLE_S / 2, "whoever is signed for has done nothing"
    with pytest.raises(MemberLocked):
        lent.pick(BOB)
    with pytest.raises(MemberLocked):
        lent.unlock(unlocked(BOB))
    assert lent.lock() == ()
    assert lent.pick().member == ALICE
    shared.unlock(unlocked(BOB))
    with pytest.raises(MemberLocked):
        lent.pick(ALICE)
    shared.lock(BOB)
    clock.now += IDLE_S
    with pytest.raises(MemberLocked):
        lent.pick(ALICE)
    assert sessions.alone(ALICE) is None, "it locks by itself, as if nothing had been signed"
