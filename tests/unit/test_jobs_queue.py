"""The queue: nobody's run is lost, nothing is kept twice, and who comes late changes nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.chores import LEASE_S, Bench, keep

from commons_node.jobs import backoff, queue
from commons_node.jobs.definitions import defined, forget, pause
from commons_node.jobs.effects import BadEffect, Effect
from commons_node.jobs.job import Retry
from commons_node.jobs.lease import Used
from commons_node.jobs.refusals import NoJob, QueueFull, StaleFence, WrongState


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.job()
    yield made
    made.close()


def test_a_run_is_claimed_once_and_done_once(bench: Bench) -> None:
    run = bench.queue.enqueue("chore")
    lease = bench.claim()
    assert lease is not None
    assert (lease.run, lease.attempt, bench.claim()) == (run, 1, None), "nobody else gets it"
    assert bench.queue.finish(lease.run, lease.fence, [keep(1, "a"), keep(2, "b")]) == 2
    assert bench.kept() == {"n1": "a", "n2": "b"}
    with pytest.raises(StaleFence):
        bench.queue.finish(lease.run, lease.fence, [keep(3)])
    assert bench.kept().keys() == {"n1", "n2"}, "the second end changes nothing"


def test_a_stale_fence_is_refused_and_the_new_holder_accepted(bench: Bench) -> None:
    bench.queue.enqueue("chore")
    first = bench.claim()
    assert first is not None
    bench.pass_time(LEASE_S + 1)
    assert bench.queue.expire() == 1, "nobody has heard of the worker"
    second = bench.claim()
    assert second is not None
    assert second.fence > first.fence
    for late in (
        lambda: bench.queue.finish(first.run, first.fence, [keep(1, "late")]),
        lambda: bench.queue.fail(first.run, first.fence, "fault", "late"),
        lambda: bench.queue.beat(first.run, first.fence, LEASE_S),
        lambda: bench.queue.give_back(first.run, first.fence),
    ):
        with pytest.raises(StaleFence):
            late()
    assert bench.queue.finish(second.run, second.fence, [keep(1, "in time")]) == 1
    assert bench.kept() == {"n1": "in time"}


def test_who_beats_keeps_the_lease(bench: Bench) -> None:
    bench.queue.enqueue("chore")
    lease = bench.claim()
    assert lease is not None
    for _ in range(5):
        bench.pass_time(LEASE_S - 1)
        bench.queue.beat(lease.run, lease.fence, LEASE_S)
        assert bench.queue.expire() == 0
    bench.queue.finish(lease.run, lease.fence)


def test_an_operation_is_kept_once_in_all_attempts_and_runs(bench: Bench) -> None:
    for value in ("first", "second"):
        bench.queue.enqueue("chore")
        lease = bench.claim()
        assert lease is not None
        bench.queue.finish(lease.run, lease.fence, [keep(7, value)])
    assert bench.kept() == {"n7": "first"}, "the key is (job, operation)"


def test_a_wrong_effect_keeps_nothing_of_the_run(bench: Bench) -> None:
    wrong = (
        Effect("keep", "op", {"name": 3}),
        Effect("fly", "op", {}),
        Effect("outbox", "op", {"to": "x"}),
        Effect("sample", "op", {"values": {"a": "b"}}),
    )
    for effect in wrong:
        run = bench.queue.enqueue("chore")
        lease = bench.claim()
        assert lease is not None
        with pytest.raises(BadEffect):
            bench.queue.finish(lease.run, lease.fence, [keep(1), effect])
        assert bench.kept() == {}, "all or nothing"
        assert bench.state(lease.run) == "leased"
        bench.queue.cancel(run or 0)


def test_a_dry_run_keeps_nothing_and_says_what_would_be(bench: Bench) -> None:
    bench.queue.enqueue("chore", dry=True)
    lease = bench.claim()
    assert lease is not None
    assert lease.dry
    assert bench.queue.finish(lease.run, lease.fence, [keep(1, "x")]) == 0
    assert bench.kept() == {}
    ((result,),) = bench.queue.rows("SELECT result FROM runs")
    assert b'"op-1"' in result, "what would have been is written down beside it"


def test_a_poison_job_is_a_dead_letter_and_nobody_else_suffers(bench: Bench) -> None:
    bench.job("other")
    poison, state = bench.queue.enqueue("chore"), None
    for attempt in range(1, 4):
        lease = bench.claim()
        assert lease is not None
        assert (lease.run, lease.attempt) == (poison, attempt)
        state = bench.queue.fail(lease.run, lease.fence, "died", "SIGKILL")
        bench.pass_time(61)
    assert state == "dead"
    assert bench.claim() is None, "it is not tried again by itself"
    bench.queue.enqueue("other")
    lease = bench.claim()
    assert lease is not None
    assert lease.job.name == "other"
    bench.queue.retry(poison or 0)
    lease = bench.claim()
    assert lease is not None
    assert (lease.run, lease.attempt) == (poison, 1), "a person tries it again"


def test_a_node_that_dies_of_a_run_does_so_a_few_times_only(bench: Bench) -> None:
    run = bench.queue.enqueue("chore") or 0
    for _ in range(3):
        assert bench.claim() is not None
        assert bench.restart() == 1
    assert bench.state(run) == "dead"


def test_a_stop_in_good_order_costs_no_attempt(bench: Bench) -> None:
    bench.queue.enqueue("chore")
    for _ in range(10):
        lease = bench.claim()
        assert lease is not None
        assert lease.attempt == 1
        bench.queue.give_back(lease.run, lease.fence)
        bench.restart()


@pytest.mark.parametrize("state", ["ready", "waiting", "leased", "done", "dead", "cancelled"])
def test_cancel_at_every_state(bench: Bench, state: str) -> None:
    run = bench.queue.enqueue("chore") or 0
    lease = bench.claim() if state != "ready" else None
    if lease is not None:
        match state:
            case "done":
                bench.queue.finish(run, lease.fence)
            case "waiting" | "dead":
                bench.queue.fail(run, lease.fence, "fault", "x", again=state == "waiting")
            case "cancelled":
                bench.queue.cancel(run)
    assert bench.state(run) == state
    if state in {"done", "cancelled"}:
        with pytest.raises(WrongState):
            bench.queue.cancel(run)
        assert bench.state(run) == state
        return
    assert bench.queue.cancel(run) == state
    assert bench.state(run) == "cancelled"
    if lease is not None:
        with pytest.raises(StaleFence):
            bench.queue.finish(run, lease.fence, [keep(1)])
        assert bench.kept() == {}
    bench.pass_time(100)
    assert bench.claim() is None, "and nobody claims it"
    bench.queue.enqueue("chore")
    assert bench.claim() is not None, "its place is free"


def test_a_definition_that_the_disk_has_damaged_stops_no_other_job(bench: Bench) -> None:
    bench.job("well")
    hurt = [bench.queue.enqueue("chore") or 0 for _ in range(2)]
    lease = bench.claim()
    assert lease is not None
    assert lease.run == hurt[0]
    bench.queue.file.execute("UPDATE jobs SET definition = x'ff00' WHERE job = 'chore'")
    well = bench.queue.enqueue("well", event={"loan": 1}) or 0
    assert bench.restart() == 1, "what was leased of it is taken back all the same"
    bench.queue.file.execute("UPDATE runs SET event = x'ff' WHERE run = ?", (well,))
    found = bench.claim()
    assert found is not None
    assert (found.run, found.event) == (well, {"damaged": True})
    bench.queue.finish(well, found.fence)
    assert bench.claim() is None, "nothing of it begins"
    assert set(defined(bench.queue)) == {"well"}
    bench.job("chore")
    again = bench.claim()
    assert again is not None
    assert again.run in hurt, "who defines it again has mended it"


def test_a_retry_waits_within_the_jitter_bound(bench: Bench) -> None:
    retry, rng = Retry(9, 10, 60), random.Random(2)
    for attempts, most in ((1, 10), (2, 20), (3, 40), (4, 60), (50, 60)):
        waits = [backoff.delay_ms(retry, attempts, rng) / 1000 for _ in range(400)]
        assert backoff.most_s(retry, attempts) == most
        assert 0 <= min(waits) < most / 10, "full jitter begins at nothing"
        assert most * 0.9 < max(waits) <= most, "and ends at the bound"
    run = bench.queue.enqueue("chore") or 0
    lease = bench.claim()
    assert lease is not None
    bench.queue.fail(run, lease.fence, "fault", "x")
    ((at, delay),) = bench.queue.rows("SELECT not_before_ms, delay_ms FROM runs")
    assert 0 < delay <= 10_000
    assert bench.claim() is None
    bench.pass_time((at - bench.wall) / 1000)
    assert bench.claim() is not None


def test_a_run_that_is_tried_again_by_hand_is_as_new(bench: Bench) -> None:
    run = bench.queue.enqueue("chore") or 0
    lease = bench.claim()
    assert lease is not None
    bench.queue.fail(run, lease.fence, "fault", "x", again=False)
    with bench.queue.transaction() as file:
        file.execute("INSERT INTO refusals VALUES (?, 'driver.read', 'not_set_up', 'x', 3)", (run,))
    bench.queue.retry(run)
    assert bench.queue.rows("SELECT state, attempts, error FROM runs") == [("ready", 0, None)]
    assert bench.queue.rows("SELECT * FROM refusals") == [], "what was refused before is no news"


def test_a_clock_that_is_set_back_stops_no_retry_and_no_lease(bench: Bench) -> None:
    run = bench.queue.enqueue("chore") or 0
    lease = bench.claim()
    assert lease is not None
    bench.wall -= 365 * 86_400_000
    assert bench.queue.expire() == 0, "a lease knows no wall clock"
    bench.queue.fail(run, lease.fence, "fault", "x")
    bench.wall += 365 * 86_400_000
    again = bench.claim()
    assert again is not None, "forward: earlier than meant, never lost"
    bench.queue.fail(run, again.fence, "fault", "x")
    bench.wall -= 365 * 86_400_000
    assert bench.claim() is not None, "back: it lies further ahead than it was to wait"


def test_fair_shares_between_principals_and_priority_within_one(bench: Bench) -> None:
    for name, priority in (("loud", 0), ("loud-late", 9)):
        bench.job(name, principal="mallory", priority=priority, concurrency=64)
    bench.job("quiet", principal="bo", priority=9, concurrency=64)
    for name in ("loud", "loud-late", "quiet"):
        for _ in range(20):
            bench.queue.enqueue(name)
    order = []
    for _ in range(60):
        lease = bench.claim()
        assert lease is not None
        order.append(lease.job.name)
        bench.queue.finish(lease.run, lease.fence, used=Used(cpu_ms=500))
    shares = Counter("bo" if name == "quiet" else "mallory" for name in order[:40])
    assert shares == {"bo": 20, "mallory": 20}, "who has more jobs has no larger share"
    assert order.index("loud-late") > max(n for n, one in enumerate(order) if one == "loud")


def test_who_takes_long_is_served_less_often(bench: Bench) -> None:
    for name in ("heavy", "light"):
        bench.job(name, principal=name)
        for _ in range(60):
            bench.queue.enqueue(name)
    order = []
    for _ in range(44):
        lease = bench.claim()
        assert lease is not None
        order.append(lease.job.name)
        took = 9_000 if lease.job.name == "heavy" else 0
        bench.queue.finish(lease.run, lease.fence, used=Used(cpu_ms=took))
    assert 35 <= order.count("light") <= 42, "ten times the cost, a tenth of the turns"


def test_more_than_the_queue_takes_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MOST_OF_ONE", 3)
    monkeypatch.setattr(queue, "MOST_OPEN", 4)
    bench.job("other")
    for _ in range(3):
        assert bench.queue.enqueue("chore")
    with pytest.raises(QueueFull):
        bench.queue.enqueue("chore")
    assert bench.queue.enqueue("other"), "one job does not take the room of all"
    with pytest.raises(QueueFull):
        bench.queue.enqueue("other")
    lease = bench.claim()
    assert lease is not None
    bench.queue.finish(lease.run, lease.fence)
    assert bench.queue.enqueue("other"), "what ends makes room"


def test_a_key_comes_into_the_queue_once(bench: Bench) -> None:
    assert bench.queue.enqueue("chore", dedup="chore/cron/1")
    assert bench.queue.enqueue("chore", dedup="chore/cron/1") is None
    assert bench.count("ready") == 1
    with pytest.raises(NoJob):
        bench.queue.enqueue("nobody")


def test_a_paused_or_forgotten_job_is_not_claimed(bench: Bench) -> None:
    bench.queue.enqueue("chore")
    pause(bench.queue, "chore", paused=True)
    assert bench.claim() is None
    bench.restart()
    assert bench.claim() is None, "a restart forgets no pause"
    pause(bench.queue, "chore", paused=False)
    assert bench.claim() is not None
    bench.queue.enqueue("chore")
    forget(bench.queue, "chore")
    assert bench.claim() is None
    assert bench.count("cancelled") == 2


# --- any order of anything ------------------------------------------------------------------------


class Machine(RuleBasedStateMachine):
    """Claims, ends, deaths, clocks, cancellations: what must hold after each step."""

    @initialize(seed=st.integers(0, 1 << 30))
    def begin(self, seed: int) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.bench = Bench(Path(self.folder.name), rng=random.Random(seed))
        self.bench.job("a", principal="anna", concurrency=2)
        self.bench.job("b", principal="bo")
        self.made = 0
        self.finished: Counter[int] = Counter()

    @rule(job=st.sampled_from("ab"))
    def enqueue(self, job: str) -> None:
        self.bench.queue.enqueue(job)
        self.made += 1

    @rule()
    def claim(self) -> None:
        self.bench.claim()

    @precondition(lambda self: self.bench.held)
    @rule(which=st.integers(0, 99))
    def finish(self, which: int) -> None:
        lease = self.bench.held[which % len(self.bench.held)]
        try:
            new = self.bench.queue.finish(lease.run, lease.fence, [keep(lease.run)])
        except StaleFence:
            return
        self.finished[lease.run] += 1
        assert new == 1, "its effect was not there before"

    @rule(which=st.integers(0, 999))
    def anything(self, which: int) -> None:
        # all but finishing, which is counted above
        deeds = [one for n, one in enumerate(self.bench.deeds()) if n != 8]
        self.bench.does(deeds[which % len(deeds)])

    @rule(days=st.integers(-800, 800))
    def set_clock(self, days: int) -> None:
        self.bench.wall = max(self.bench.wall + days * 86_400_000, 86_400_000)

    @invariant()
    def nothing_is_lost_and_nothing_is_twice(self) -> None:
        if not hasattr(self, "bench"):
            return
        rows = self.bench.queue.rows("SELECT run, job, state, term FROM runs")
        assert len(rows) == self.made, "a run is never lost"
        leased = Counter(job for _, job, state, _ in rows if state == "leased")
        assert leased["a"] <= 2, "as many at once as may be"
        assert leased["b"] <= 1
        counted = dict(self.bench.queue.rows("SELECT job, running FROM jobs"))
        assert counted == {"a": leased["a"], "b": leased["b"]}, "places are counted right"
        assert all((term is not None) == (state == "leased") for *_, state, term in rows)
        done = {run for run, _, state, _ in rows if state == "done"}
        assert done == set(self.finished), "done is what was finished"
        assert max(self.finished.values(), default=1) == 1
        effects = {run for (run,) in self.bench.queue.rows("SELECT run FROM effects")}
        assert effects == done, "an effect for each that is done, and for no other"

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.close()
            self.folder.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
