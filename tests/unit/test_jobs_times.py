"""When triggers are due: time zones, both changes of the clock, downtime, clocks set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.chores import NOON, Bench

from commons_node.jobs import firing, queue, times
from commons_node.jobs.job import Cron, Every, Job, On

BERLIN = ZoneInfo("Europe/Berlin")
DAY_MS = 86_400_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def ms(text: str, zone: ZoneInfo = BERLIN) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def local(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, BERLIN).strftime("%d %H:%M%z")


def between(expression: str, begin: str, end: str) -> list[str]:
    due = times.due(Cron(expression, misfire="each"), ms(begin), ms(end), BERLIN)
    return [local(time) for time in due.times]


def test_in_spring_a_time_that_is_not_there_runs_once_when_the_clock_goes_on() -> None:
    found = between("30 2 * * *", "2026-03-28 00:00", "2026-03-30 12:00")
    assert found == ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]
    hourly = between("30 * * * *", "2026-03-29 00:00", "2026-03-29 04:00")
    assert hourly == ["29 00:30+0100", "29 01:30+0100", "29 03:30+0200"], "three hours passed"


def test_in_autumn_a_time_that_comes_twice_runs_once_a_day_and_twice_by_the_hour() -> None:
    found = between("30 2 * * *", "2026-10-24 00:00", "2026-10-26 12:00")
    assert found == ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"]
    hourly = between("30 * * * *", "2026-10-25 01:00", "2026-10-25 04:00")
    assert hourly == ["25 01:30+0200", "25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]


@pytest.mark.parametrize("text", ["", "* * * *", "61 * * * *", "0 0 31 2 *", "every day", "@x"])
def test_what_is_no_schedule_is_refused_with_its_reason(text: str) -> None:
    with pytest.raises(times.BadSchedule) as wrong:
        times.check(Cron(text), BERLIN)
    assert wrong.value.code == "bad_schedule"


def test_ten_thousand_due_times_become_one_run() -> None:
    for trigger in (Cron("* * * * *"), Every(60)):
        now = NOON + 10_000 * 60_000
        due = times.due(trigger, NOON, now, BERLIN)
        assert (len(due.times), due.covers, due.skipped) == (1, 10_000, 0)
        assert now - 60_000 < due.times[0] <= now, "and it is the latest"
        assert times.due(trigger, due.anchor, now, BERLIN).times == (), "nothing is left"


def test_each_policy_does_what_it_says_after_a_downtime() -> None:
    now = ms("2026-05-04 12:00")
    anchor = now - 3 * DAY_MS
    daily = "0 8 * * *"
    each = times.due(Cron(daily, misfire="each"), anchor, now, BERLIN)
    assert (len(each.times), each.covers) == (3, 1)
    skip = times.due(Cron(daily, misfire="skip", grace_s=3600), anchor, now, BERLIN)
    assert (skip.times, skip.skipped) == ((), 3), "four hours late is too late"
    patient = times.due(Cron(daily, misfire="skip", grace_s=5 * 3600), anchor, now, BERLIN)
    assert (len(patient.times), patient.covers, patient.skipped) == (1, 1, 2)
    many = times.due(Every(60, misfire="each"), anchor, now, BERLIN)
    assert len(many.times) == times.EACH
    assert many.skipped == 3 * 24 * 60 - times.EACH, "and what is left out is counted"


@given(
    st.integers(NOON, NOON + 400 * DAY_MS), st.integers(-400 * DAY_MS, 40 * DAY_MS),
    st.sampled_from([Cron("17 4 * * SUN"), Cron("*/7 * * * *"), Every(3600), Every(1)]),
)  # fmt: skip
def test_nothing_is_due_in_the_future_or_twice(
    anchor: int, passed: int, trigger: Cron | Every
) -> None:
    now = anchor + passed
    due = times.due(trigger, anchor, now, BERLIN)
    assert all(anchor < time <= now for time in due.times)
    assert due.anchor <= now, "a clock that went back draws the anchor with it"
    assert times.due(trigger, due.anchor, now, BERLIN).times == ()
    after = times.following(trigger, min(due.anchor, now), BERLIN)
    assert after is not None
    assert after > due.anchor


# --- triggers in the queue ------------------------------------------------------------------------


def fire(bench: Bench, job: Job) -> int:
    return firing.fire(bench.queue, job, BERLIN)


def test_a_downtime_of_a_week_is_one_run_per_trigger_also_if_nobody_works(bench: Bench) -> None:
    job = bench.triggered(Cron("* * * * *"), Every(60))
    bench.pass_time(10_000 * 60)
    bench.restart()
    assert fire(bench, job) == 2
    bench.pass_time(3600)
    assert fire(bench, job) == 0, "one that waits does for the next times as well"
    assert [n for (n,) in bench.queue.rows("SELECT covers FROM runs")] == [10_060, 10_060]
    lease = bench.claim()
    assert lease is not None
    assert lease.covers == 10_060, "and the handler is told for how many"


def test_a_clock_set_back_runs_no_time_again_and_stops_for_no_year(bench: Bench) -> None:
    bench.wall = ms("2026-05-03 12:00")
    job = bench.triggered(Cron("0 8 * * *"))
    bench.wall = ms("2026-05-04 08:00")
    assert fire(bench, job) == 1
    lease = bench.claim()
    assert lease is not None
    bench.queue.finish(lease.run, lease.fence)
    bench.wall = ms("2026-05-04 07:00")
    assert fire(bench, job) == 0
    bench.wall = ms("2026-05-04 08:00")
    assert fire(bench, job) == 0, "this morning's run was done already"
    bench.wall = ms("2027-06-01 12:00")
    assert fire(bench, job) == 1, "set forward by a year: one run, not four hundred"
    lease = bench.claim()
    assert lease is not None
    bench.queue.finish(lease.run, lease.fence)
    bench.wall = ms("2026-05-04 09:00")
    fire(bench, job)
    assert firing.next_due(bench.queue, job, BERLIN) == ms("2026-05-05 08:00")
    bench.wall = ms("2026-05-05 08:00")
    assert fire(bench, job) == 1, "set right again: tomorrow, not next year"


def test_a_death_between_two_turns_loses_no_time_and_doubles_none(bench: Bench) -> None:
    job = bench.triggered(Every(60))
    for _ in range(20):
        bench.pass_time(60)
        made = fire(bench, job)
        bench.restart()
        made += fire(bench, job)
        assert made == 1
        lease = bench.claim()
        assert lease is not None
        bench.queue.finish(lease.run, lease.fence)
    assert bench.count("done") == 20


def test_a_full_queue_forgets_no_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job = bench.triggered(Every(60))
    bench.queue.enqueue("chore")
    monkeypatch.setattr(queue, "MOST_OF_ONE", 1)
    bench.pass_time(600)
    assert fire(bench, job) == 0
    monkeypatch.undo()
    assert fire(bench, job) == 1
    assert bench.queue.rows("SELECT max(covers) FROM runs") == [(10,)]


def test_an_event_fits_by_its_fields() -> None:
    trigger = On("operations", {"own": True})
    assert firing.fits(trigger, {"event": "operations", "own": True, "count": 3})
    assert not firing.fits(trigger, {"event": "operations", "own": False})
    assert not firing.fits(trigger, {"event": "peer", "own": True})
    assert not firing.fits(trigger, {})


def test_events_rest_before_a_job_runs_and_outlive_a_death(bench: Bench) -> None:
    trigger = On("operations", debounce_s=5)
    job = bench.triggered(trigger)
    for n in range(3):
        firing.heard(bench.queue, job, trigger, {"event": "operations", "n": n}, 1)
        bench.pass_time(4)
        assert fire(bench, job) == 0, "they have not come to rest"
    bench.restart()
    bench.pass_time(2)
    assert fire(bench, job) == 1, "the node died within, and it runs all the same"
    lease = bench.claim()
    assert lease is not None
    assert (lease.covers, lease.event["n"]) == (3, 2), "three events, the last of them"
    assert fire(bench, job) == 0


def test_events_that_never_rest_do_not_keep_a_job_from_running(bench: Bench) -> None:
    trigger = On("operations", debounce_s=5)
    job = bench.triggered(trigger)
    made = 0
    for _ in range(60):
        firing.heard(bench.queue, job, trigger, {"event": "operations"}, 1)
        bench.pass_time(1)
        made += fire(bench, job)
    assert made == 1, "after ten times the rest"


def test_another_schedule_begins_anew_and_the_former_one_is_gone(bench: Bench) -> None:
    bench.triggered(Every(60))
    bench.pass_time(3600)
    job = bench.triggered(Cron("0 0 * * *"))
    assert fire(bench, job) == 0, "the former one was not due any more"
    rows = bench.queue.rows("SELECT trigger FROM triggers")
    assert rows == [("cron 0 0 * * *",)]
    assert datetime.fromtimestamp(bench.wall / 1000, UTC).year == 2026
