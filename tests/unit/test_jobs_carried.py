"""The file of jobs as a backup carries it over: what is known stays, what was under way ends."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.unit.chores import NOON, Bench

from commons_node.jobs import definitions, windows
from commons_node.jobs.carrying import LEAP, LEFT, begun_anew, carried
from commons_node.jobs.effects import Effect
from commons_node.jobs.outbox import waiting
from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.proposals import policies
from commons_node.proposals import store as proposals

LETTER = Effect("outbox", "told/loan 7", {"to": "driver:mail", "body": {"text": "bring it back"}})
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"


def proposal(key: str) -> Effect:
    body = {"agent": "a/tell", "principal": "ab" * 32, "command": "loan.return", "args": {},
            "why": "it is here"}  # fmt: skip
    return Effect("proposal", key, body)


POLICY = policies.Policy(
    0, "a/tell", "ab" * 32, "cd" * 32, "ef" * 32, "12" * 32, "34" * 32, {}, "loan.return", 5,
    NOON + windows.DAY_MS, NOON, 0, None, None,
)  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A node on which an agent has done things, does one, and has one more to do."""
    made = Bench(tmp_path)
    made.job("tells", agent="a/tell", principal="ab" * 32)
    made.job("other")
    made.queue.enqueue("tells")
    lease = made.claim()
    assert lease is not None
    kv = Effect("kv", "remembers", {"agent": "a/tell", "name": "told", "value": [7], "quota": 999})
    effects = [LETTER, kv, proposal("one"), proposal("two")]
    assert made.queue.finish(lease.run, lease.fence, effects) == 4
    proposals.begin(made.queue, 2, "alice")
    made.queue.enqueue("tells")
    assert made.claim() is not None
    made.queue.enqueue("tells")
    definitions.pause(made.queue, "other", paused=True)
    policies.make(made.queue, POLICY)
    yield made
    made.close()


def restored(bench: Bench, tmp_path: Path) -> Bench:
    """Another machine, whose file of jobs is of a backup."""
    (tmp_path / "new").mkdir()
    carried(bench.path, tmp_path / "new" / "jobs.db", NOON + 1)
    begun_anew(tmp_path / "new" / "jobs.db")
    return Bench(tmp_path / "new")


def rows(path: Path, table: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names


def test_what_was_decided_kept_and_done_comes_over(bench: Bench, tmp_path: Path) -> None:
    new = restored(bench, tmp_path)
    for table in ("effects", "kept", "kv", "notices", "principals", "samples", "windows"):
        assert rows(new.path, table) == rows(bench.path, table), table
    assert new.queue.rows("SELECT job, paused_ms IS NULL FROM jobs ORDER BY job") == [
        ("other", 0), ("tells", 1),
    ]  # fmt: skip
    assert rows(new.path, "kv") == [("a/tell", "told", b"[7]")]
    settled = "SELECT run, reserved, cost IS NULL, how FROM receipts ORDER BY run"
    (first, second) = new.queue.rows(settled)
    assert first[3] == "done"
    assert second[2:] == (0, "lost"), "what it was reserved, nobody knows more"
    new.close()


def test_nothing_is_under_way_and_no_letter_waits(bench: Bench, tmp_path: Path) -> None:
    assert len(waiting(bench.queue)["driver:mail"]) == 1, "the lost machine was about to send it"
    new = restored(bench, tmp_path)
    assert not waiting(new.queue)
    assert [new.state(run) for run in (1, 2, 3)] == ["done", "cancelled", "cancelled"]
    assert new.claim() is None
    assert policies.live(bench.queue)
    assert not policies.live(new.queue), "it may have been taken back since"
    assert policies.one(new.queue, 1).ended == "restored"
    assert [one.state for one in proposals.listed(new.queue, every=True, most=9)] == [
        "dropped", "open",
    ], "what was being signed may have been: nobody signs it twice"  # fmt: skip
    new.close()


def test_what_was_done_is_not_done_again_and_what_is_new_is(bench: Bench, tmp_path: Path) -> None:
    new = restored(bench, tmp_path)
    run = new.queue.enqueue("tells")
    assert run is not None
    assert run > LEAP, "the lost machine gave this number to none"
    lease = new.claim()
    assert lease is not None
    other = Effect("outbox", f"{run}/other", dict(LETTER.body))
    assert new.queue.finish(lease.run, lease.fence, [LETTER, other]) == 1
    assert [one.key for one in waiting(new.queue)["driver:mail"]] == [f"tells/{run}/other"]
    assert new.queue.enqueue("tells") == run + 1
    begun_anew(new.path)  # lost once more
    again = new.queue.enqueue("tells")
    assert again is not None
    assert again > run + LEAP
    new.close()


def test_a_run_that_was_cut_off_can_be_tried_again(bench: Bench, tmp_path: Path) -> None:
    new = restored(bench, tmp_path)
    new.queue.retry(2)
    lease = new.claim()
    assert lease is not None
    assert (lease.run, lease.attempt) == (2, 1)
    new.close()


def test_every_table_is_decided_on_and_nothing_that_was_left_stands_in_a_free_page(
    bench: Bench, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(bench.path)) as file:
        tables = {name for (name,) in file.execute(TABLES)}
    assert LEFT.keys() < tables
    assert len(tables) == sum(script.count("CREATE TABLE") for script in JOBS_SCHEMA)
    assert b"bring it back" in b"".join(one.read_bytes() for one in bench.path.parent.glob("jobs*"))
    new = restored(bench, tmp_path)
    for table in LEFT:
        assert rows(new.path, table) == [], table
    new.close()
    assert b"bring it back" not in new.path.read_bytes()
    assert not list(new.path.parent.glob("*.whole"))


def test_numbers_of_an_own_file_go_on_without_a_leap(tmp_path: Path) -> None:
    made = Bench(tmp_path, rng=random.Random(2))
    made.job()
    assert [made.queue.enqueue("chore") for _ in range(3)] == [1, 2, 3]
    made.restart()
    assert made.queue.enqueue("chore") == 4
    made.close()
