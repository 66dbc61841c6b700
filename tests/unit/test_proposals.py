"""Proposals in the file of jobs: from open to signed or dropped, and what a crash leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.bureau import AGENT, ELM, Bureau, bureau

from commons_node.agents.manifest import Grant
from commons_node.jobs.windows import DAY_MS
from commons_node.proposals import store
from commons_node.proposals.store import Decided, NoProposal

ANNA = "a1" * 32


async def proposed(house: Bureau, *names: str) -> None:
    house.granted = {"docs.propose": Grant(kinds=("loan.decline",))}
    run = await house.run()
    for name in names:
        await run("docs.propose", command="loan.decline", args={"loan": name}, why="late")
    await run.done()


async def test_a_proposal_is_decided_once(tmp_path: Path) -> None:
    async with bureau(tmp_path) as house:
        await proposed(house, "x", "y")
        call = house.desk.call
        found = await call(lambda queue: store.listed(queue, every=False, most=10))
        assert [(one.number, one.agent, one.principal) for one in found] == [
            (2, AGENT, ELM), (1, AGENT, ELM),
        ]  # fmt: skip
        assert found[1].arguments == {"loan": "x"}
        await call(lambda queue: store.begin(queue, 1, ANNA))
        for again in (store.begin, lambda queue, n, _m: store.dropped(queue, n)):
            with pytest.raises(Decided):
                await call(lambda queue, again=again: again(queue, 1, ANNA))  # type: ignore[misc]  # binds the loop's value
        await call(lambda queue: store.note(queue, 1, [b"\x01" * 32]))
        await call(lambda queue: store.signed(queue, 1, {"operation": "01" * 32}, None))
        one = await call(lambda queue: store.one(queue, 1))
        assert (one.state, one.member, one.answer) == ("signed", ANNA, {"operation": "01" * 32})
        assert await call(lambda queue: store.of_operation(queue, b"\x01" * 32)) == one
        assert await call(lambda queue: store.of_operation(queue, b"\x02" * 32)) is None
        await call(lambda queue: store.dropped(queue, 2))
        with pytest.raises(Decided):
            await call(lambda queue: store.begin(queue, 2, ANNA))
        with pytest.raises(NoProposal):
            await call(lambda queue: store.one(queue, 3))
        assert await call(lambda queue: store.listed(queue, every=False, most=10)) == []


async def test_what_a_crash_leaves_is_open_again_or_signed(tmp_path: Path) -> None:
    async with bureau(tmp_path) as house:
        await proposed(house, "x")
        await house.desk.call(lambda queue: store.begin(queue, 1, ANNA))
        await house.desk.call(lambda queue: store.note(queue, 1, [b"\x01" * 32]))
        await house.close()
        await house.open()
        (left,) = await house.desk.call(store.interrupted)
        assert (left.number, left.state) == (1, "signing")
        assert await house.desk.call(lambda queue: store.noted(queue, 1)) == [b"\x01" * 32]
        await house.desk.call(lambda queue: store.reopened(queue, 1, "it did not happen"))
        one = await house.desk.call(lambda queue: store.one(queue, 1))
        assert (one.state, one.member, one.error) == ("open", None, "it did not happen")
        assert await house.desk.call(lambda queue: store.noted(queue, 1)) == []


async def test_what_nobody_decides_on_is_over_after_a_month(tmp_path: Path) -> None:
    async with bureau(tmp_path) as house:
        await proposed(house, "x")
        house.wall += 31 * DAY_MS
        one = await house.desk.call(lambda queue: store.one(queue, 1))
        assert one.state == "expired"
        with pytest.raises(Decided):
            await house.desk.call(lambda queue: store.begin(queue, 1, ANNA))
        assert await house.desk.call(lambda queue: store.listed(queue, every=False, most=9)) == []
        dropped = await house.desk.call(lambda queue: store.dropped(queue, 1))
        assert dropped.number == 1
