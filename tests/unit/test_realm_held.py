"""What this machine cannot judge now is kept aside, told to nobody, and judged in its time."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.rooms import (
    HOUR_MS,
    Rooms,
    bytes_of,
    ident,
    note,
    page,
    retitle,
    schema,
    village,
)
from tests.unit.tales import plain
from tests.unit.town import DAY_MS, NOTE, RULES, Number, resign, secrets

from commons_crdt.author import Draft
from commons_crdt.authority.council_facts import CouncilAct, RulesVersion
from commons_crdt.kinds import Rules
from commons_node.realm import intake
from commons_node.realm.authoring import ClockBehind, NotWritten
from commons_node.verifier import work
from commons_node.verifier.pool import VerifierPool

# --- the clock -----------------------------------------------------------------------------------


async def test_three_days_ahead(rooms: Rooms) -> None:
    """Eve's clock is fast; bob refers to what she wrote, and cia's clock is right for her."""
    home, town = village()
    today = home.now_ms
    room = await rooms.open("now", home, *bytes_of(home))
    room.now = today
    known = len(home.operations)
    home.now_ms += 3 * DAY_MS
    early = note(home, town.eve, 1)
    later = note(home, town.eve, 2)
    home.now_ms = today
    answer = home.write(town.bob.device, Draft.fact("town.loan.1", Number(3), refs=[early.id]))
    news = bytes_of(home)[known:]
    for _ in range(2):
        result = await room.take(*news)
        assert (result.new, dict(result.refused)) == (0, {}), "held, not refused"
    assert room.realm.store.waiting.counts == {"clock": 2, "missing": 1}, "counted, once each"
    assert await room.why() == {"held_clock": 2, "missing": 1}
    told = {ident(op) for op in await room.everything()}
    assert not told & {early.id, later.id, answer.id}, "not relayed"
    await room.realm.tick()
    assert (await room.realm.standing(early.id)) is None, "not before its time"

    room.now = today + 3 * DAY_MS
    room = await rooms.again(room)
    await room.realm.tick()
    right = await rooms.open("right", home)
    right.now = today + 3 * DAY_MS
    await right.take(*bytes_of(home))
    assert await room.facts() == await right.facts(), "judged as by a node whose clock was right"
    assert not room.realm.store.waiting.counts


async def test_a_stranger_cannot_fill_the_waiting_room(rooms: Rooms) -> None:
    home, town = village()
    room = await rooms.open("a", home, *bytes_of(home))
    home.now_ms += 30 * DAY_MS
    real = home.draw(town.bob.device, Draft.fact(NOTE, Number(1)))
    forged = replace(real, signature=bytes(64))
    stranger = secrets("stranger")
    stolen = resign(real, stranger, device=stranger.keys.id)
    result = await room.take(forged, stolen)
    assert dict(result.refused) == {"signature": 1, "stranger": 1}, "verified before it is held"
    assert not room.realm.store.waiting.counts


async def test_nobody_signs_while_the_clock_is_behind_their_own_last_act(rooms: Rooms) -> None:
    home, town = plain()
    room = await rooms.open("a", home, *bytes_of(home))
    grant = room.realm.judge.authority.devices[town.bob.device.keys.id].id
    await room.realm.write([Draft.fact(NOTE, Number(1))], town.bob.device, grant)
    room.now -= 2 * HOUR_MS
    for _ in range(2):
        with pytest.raises(ClockBehind):
            await room.realm.write([Draft.fact(NOTE, Number(2))], town.bob.device, grant)
    room.now += 2 * HOUR_MS
    await room.realm.write([Draft.fact(NOTE, Number(3))], town.bob.device, grant)
    assert not room.realm.judge.forks
    assert not room.realm.store.waiting.counts


# --- workers -------------------------------------------------------------------------------------


async def test_workers_killed_under_a_batch_change_no_verdict(tmp_path: Path) -> None:
    home, town = village()
    for n in range(300):
        note(home, town.bob, n)
    first = page(home, town.alice, "Tools")
    for n in range(20):
        retitle(home, town.alice, first, f"Tools {n}")
    pool = VerifierPool(2)
    rooms = Rooms(tmp_path, pool)
    expected = await (await rooms.open("calm", home, *bytes_of(home))).facts()
    room = await rooms.open("killed", home)
    await pool.warm()
    operations = bytes_of(home)
    for n, i in enumerate(range(0, len(operations), 40)):
        victims = pool.pids() if n % 3 == 1 else []
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)  # so that the batch is under way when they die
        taking = asyncio.create_task(room.take(*operations[i : i + 40]))
        if victims:
            await asyncio.sleep(0.2)
            assert not taking.done()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        await taking
    assert pool.deaths >= 3, "workers have really died"
    room.now += HOUR_MS
    await room.realm.tick()
    assert await room.facts() == expected
    await rooms.close()
    await pool.stop()


async def test_a_document_that_kills_is_held_and_tried_again(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, town = village()
    bad = page(home, town.alice, "It kills")
    good = page(home, town.alice, "It does not")
    room = await rooms.open("a", home)
    real = room.realm.documents._work
    monkeypatch.setattr(room.realm.documents, "_work", _Poisoned(b"It kills"))
    deaths = rooms.pool.deaths
    await room.take(*bytes_of(home))
    facts = await room.facts()
    assert rooms.pool.deaths > deaths
    assert facts.applied == {bad.id: "held", good.id: ""}, "only the document that kills is held"
    assert await room.why() == {"held_edits": 1}
    assert facts.verdicts[bad.id] == (1, ""), "its operation stands all the same"
    assert [row[1] for row in facts.rows["pages"]] == ["It does not"]

    second = retitle(home, town.alice, bad, "It kills no more")
    await room.take(*bytes_of(home)[-1:])
    room.now += HOUR_MS
    await room.realm.tick()
    assert (await room.facts()).applied[bad.id] == "held", "tried again, and it still kills"
    monkeypatch.setattr(room.realm.documents, "_work", real)
    await room.realm.tick()
    assert (await room.facts()).applied[bad.id] == "held", "not at once: the waits grow"
    room.now += HOUR_MS
    room = await rooms.again(room)
    await room.realm.tick()
    expected = await (await rooms.open("calm", home, *bytes_of(home))).facts()
    assert await room.facts() == expected, "as if no worker had ever died"
    assert expected.applied[second.id] == ""


class _Poisoned:
    """Kills its worker for a document with these bytes in it, otherwise applies."""

    def __init__(self, poison: bytes) -> None:
        self.poison = poison

    def __call__(self, jobs: Sequence[work.DocumentJob]) -> list[work.Read]:
        for job in jobs:
            if any(self.poison in proposed.change for proposed in job.changes):
                os.kill(os.getpid(), signal.SIGKILL)
        return work.apply_documents({"town.page.1": schema()}, jobs)


def check_with_poison(items: Sequence[work.Check]) -> list[work.Checked]:
    """Kills its worker at a body with these bytes in it."""
    if any(b"POISON" in (item.parts[0] or b"") for item in items if item.parts):
        os.kill(os.getpid(), signal.SIGKILL)
    return work.check(items)


@pytest.mark.long
async def test_an_operation_that_kills_is_held_and_tried_again(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, town = village()
    bad = note(home, town.bob, 0, "POISON")
    for n in range(12):
        note(home, town.eve, n, "harmless")
    behind = note(home, town.bob, 13)
    room = await rooms.open("a", home)
    with monkeypatch.context() as patch:
        patch.setattr(intake, "check", _check)
        deaths = rooms.pool.deaths
        await room.take(*bytes_of(home))
        assert rooms.pool.deaths > deaths
        assert room.realm.store.waiting.counts == {"verifier": 1, "missing": 1}
        assert await room.why() == {"held_verifier": 1, "missing": 1}
        assert await room.realm.standing(bad.id) is None, "held, not judged"
        deaths = rooms.pool.deaths
        await room.take(*bytes_of(home))
        assert rooms.pool.deaths == deaths, "who offers it again kills no more workers with it"
    await room.realm.tick()
    assert await room.realm.standing(behind.id) is None, "not before its time"
    room.now += HOUR_MS
    await room.realm.tick()
    expected = await (await rooms.open("calm", home, *bytes_of(home))).facts()
    assert await room.facts() == expected


def _check(items: Sequence[work.Check]) -> list[work.Checked]:
    """Harmless here, where a few are checked; poisonous in a worker."""
    here = multiprocessing.parent_process() is None
    return work.check(items) if here else check_with_poison(items)


async def test_an_own_act_whose_check_dies_is_not_written(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, town = plain()
    room = await rooms.open("a", home, *bytes_of(home))
    grant = room.realm.judge.authority.devices[town.bob.device.keys.id].id
    texts = [b"POISON", *([b"harmless"] * 9)]
    drafts = [Draft.fact(NOTE, Number(1), parts=[("text", text)]) for text in texts]
    before = await room.facts()
    with monkeypatch.context() as patch:
        patch.setattr(intake, "check", _check)
        with pytest.raises(NotWritten):
            await room.realm.write(drafts, town.bob.device, grant)
    assert await room.facts() == before, "all or nothing"
    assert not room.realm.store.waiting.counts, "and nothing that would come back as a fork"
    assert len(await room.realm.write(drafts, town.bob.device, grant)) == 10


async def test_what_newer_rules_wrote_is_kept_aside_for_a_newer_program(rooms: Rooms) -> None:
    """The council puts rules version 2 in force: what builds on that waits, and is not refused."""
    home, town = village()
    home.judge.tables[2] = Rules(2, RULES.kinds)
    act = CouncilAct(home.realm, 0, RulesVersion(2))
    home.write(town.alice.device, Draft.fact("council.act.1", act, log=0))
    known = len(home.operations)
    later = [note(home, town.bob, n) for n in range(2)]
    room = await rooms.open("old", home, *bytes_of(home))
    assert await room.said(*(one.id for one in later)) == [None, None]
    assert room.realm.store.waiting.counts == {"rules": 1, "missing": 1}
    assert await room.why() == {"held_rules": 1, "missing": 1}
    assert not room.realm.refusals, "nothing is wrong with them"
    room = await rooms.again(room)
    await room.realm.tick()
    assert room.realm.store.waiting.counts == {"rules": 1, "missing": 1}, "it is the same program"
    assert len(await room.everything()) == known, "they are not passed on from here"
    due = await room.realm.store.waiting.due(room.now)
    assert not due, "and not tried again before the next start"
