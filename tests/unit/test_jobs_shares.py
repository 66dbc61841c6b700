"""What stays in the file of jobs: keys for as long as is said, and a share for each agent."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.bureau import AGENT, ELM
from tests.unit.chores import Bench

from commons_node.jobs import history
from commons_node.jobs.effects import BadEffect, Effect
from commons_node.jobs.history import KEYS_MS, tidy
from commons_node.jobs.job import Job
from commons_node.jobs.shares import Shares, held, shrink
from commons_node.jobs.workers import Attempt

DAY_S = 86_400
MIB = 1 << 20


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, rng=random.Random(6))
    made.job()
    yield made
    made.close()


def done(bench: Bench, *effects: Effect, job: str = "chore", result: object = None) -> int:
    """A run that wants this; how much of it was new."""
    bench.queue.enqueue(job)
    lease = bench.claim()
    assert lease is not None
    assert lease.job.name == job
    return bench.queue.finish(lease.run, lease.fence, effects, result=result)


def letter(key: str, text: str = "hello") -> Effect:
    return Effect("outbox", key, {"to": "driver:mail", "body": {"text": text}})


def proposal(key: str) -> Effect:
    body = {"agent": AGENT, "principal": ELM, "command": "loan.decline", "args": {}, "why": "-"}
    return Effect("proposal", key, body)


def ends(bench: Bench, state: str) -> None:
    """Each letter and each proposal comes to an end, or not."""
    sent, signed = {"sent": ("sent", "signed"), "dead": ("dead", "dropped")}[state]
    bench.queue.file.execute("UPDATE outbox SET state = ?", (sent,))
    bench.queue.file.execute("UPDATE proposals SET state = ?, ended_ms = ?", (signed, bench.wall))


def standing(bench: Bench) -> list[tuple[str, str]]:
    return bench.queue.rows(
        "SELECT operation, state FROM outbox UNION ALL SELECT operation, state FROM proposals"
        " ORDER BY 1"
    )


@pytest.mark.parametrize("state", ["sent", "dead"])
def test_a_key_is_remembered_for_its_time_and_then_is_a_new_one(bench: Bench, state: str) -> None:
    told = (letter("drill/late"), proposal("drill/ask"))
    assert done(bench, *told) == 2
    bench.pass_time(3 * DAY_S)
    ends(bench, state)
    bench.pass_time(KEYS_MS / 1000 - 4 * DAY_S)
    tidy(bench.queue)
    assert done(bench, *told) == 0, "within its time it is once"
    bench.pass_time(2 * DAY_S)
    tidy(bench.queue)
    assert standing(bench) == [], "what has come of a key goes with it"
    assert done(bench, *told) == 2, "then it is a new one, and in nobody's way"
    assert standing(bench) == [("drill/ask", "open"), ("drill/late", "ready")]


def test_a_key_whose_letter_waits_is_never_forgotten(bench: Bench) -> None:
    assert done(bench, letter("waits"), proposal("asks")) == 2
    bench.pass_time(KEYS_MS / 1000 + DAY_S)
    tidy(bench.queue)
    assert standing(bench) == [("asks", "open"), ("waits", "ready")]
    assert done(bench, letter("waits"), proposal("asks")) == 0


def test_the_newest_keys_of_each_job_are_remembered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEYS", 3)
    bench.job("other")
    done(bench, letter("other/1"), job="other")
    for n in range(6):
        done(bench, letter(f"{n}"))
        bench.pass_time(1)
    ends(bench, "sent")
    tidy(bench.queue)
    assert [name for name, _ in standing(bench)] == ["3", "4", "5", "other/1"]
    assert done(bench, letter("5")) == 0
    assert done(bench, letter("2")) == 1


def test_what_stands_under_a_key_already_is_no_full_disk(bench: Bench) -> None:
    """As in a file of an earlier version: its run fails, and says why; nothing waits for it."""
    done(bench, letter("twice"))
    bench.queue.file.execute("DELETE FROM effects")
    bench.queue.enqueue("chore")
    lease = bench.claim()
    assert lease is not None
    with pytest.raises(BadEffect, match="twice"):
        bench.queue.finish(lease.run, lease.fence, [letter("twice")])
    assert bench.state(lease.run) == "leased", "nothing of it was kept"
    assert bench.queue.fail(lease.run, lease.fence, "effect", "-", again=False) == "dead"


def test_dead_runs_are_bounded_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 5)
    for n in range(9):
        run = bench.queue.enqueue("chore") or 0
        lease = bench.claim()
        assert lease is not None
        history.flush(bench.queue, run, Attempt(lines=deque([f"line {n}"])))
        bench.queue.fail(run, lease.fence, "fault", "-", again=False)
        done(bench)
    assert tidy(bench.queue) == 8
    states = [state for (state,) in bench.queue.rows("SELECT state FROM runs ORDER BY run")]
    assert states == ["dead", "done"] * 5, "the newest of both stay"
    assert bench.queue.rows("SELECT count(*) FROM logs") == [(5,)]


def agent(bench: Bench, name: str, principal: str = ELM) -> Job:
    return bench.job(name, agent=f"0123abcd/{name}", principal=principal, credits=1)


def test_an_agent_that_fills_loses_what_has_ended_and_keeps_what_waits(bench: Bench) -> None:
    filler, quiet = agent(bench, "filler"), agent(bench, "quiet")
    jobs = {job.name: job for job in (filler, quiet)}
    shares = Shares(64)
    assert (shares.agent_mib, shares.principal_mib) == (8, 16), "8 at least; a quarter"

    def fill(effects: list[Effect], result: object = None) -> None:
        run = bench.queue.enqueue("filler") or 0
        lease = bench.claim()
        assert lease is not None
        bench.queue.finish(run, lease.fence, effects, result=result)
        shares.add(bench.queue, filler, run, effects)

    done(bench, job="quiet", result="x" * MIB)
    shares.measure(bench.queue, quiet)
    fill([letter("waits")])
    for _ in range(40):
        fill([], result="x" * (MIB // 2))
        assert held(bench.queue, "filler") <= 8 * MIB
        assert shares.over(filler, jobs) is None, "what has ended makes room for what comes"
    assert bench.queue.rows("SELECT max(run) = (SELECT max(run) FROM runs) FROM runs") == [(1,)]
    assert held(bench.queue, "quiet") > MIB, "nobody else's history went"
    assert standing(bench) == [("waits", "ready")]
    for n in range(9):
        fill([letter(f"{n}", "x" * MIB)])
    over = shares.over(filler, jobs)
    assert over is not None
    assert over[0] == "share_agent"
    assert over[1] >= 9, "what waits is not thrown away, so it is held"
    assert shares.over(quiet, jobs) is None
    ends(bench, "sent")
    shares.measure(bench.queue, filler)
    assert shares.over(filler, jobs) is None, "what has arrived is in nobody's way"


def test_agents_of_one_principal_have_a_share_together(bench: Bench) -> None:
    names = [agent(bench, f"a{n}") for n in range(3)]
    other = agent(bench, "other", principal="0a" * 32)
    duty = Job("duty", "mark")
    jobs = {job.name: job for job in (*names, other, duty)}
    shares = Shares(64)
    for job in (*names, other):
        for n in range(6):
            done(bench, letter(f"{n}", "x" * MIB), job=job.name)
        shares.measure(bench.queue, job)
    assert [shares.over(job, jobs) for job in names] == [("share_principal", 19, 16)] * 3
    assert shares.over(other, jobs) is None
    assert shares.over(duty, jobs) is None


def test_shrinking_ends_with_one_run_and_forgets_what_was_said(bench: Bench) -> None:
    agent(bench, "filler")
    for n in range(30):
        many = {f"f{n}_{m}": 1.0 for m in range(100)}
        done(
            bench, Effect("sample", f"s{n}", {"values": many}), letter(f"{n}"), proposal(f"p{n}"),
            job="filler", result="x" * 1000,
        )  # fmt: skip
        bench.pass_time(1)
    ends(bench, "dead")
    before = held(bench.queue, "filler")
    after = shrink(bench.queue, "filler", 1)
    assert after < before / 3
    counts = {
        table: bench.queue.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - our own names
        for table in ("runs", "outbox", "proposals", "effects")
    }
    assert counts == {"runs": 1, "outbox": 0, "proposals": 0, "effects": 90}, "keys stay"
    ((samples,),) = bench.queue.rows("SELECT count(*) FROM samples")
    assert 900 <= samples <= 1_000
