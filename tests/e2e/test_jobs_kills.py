"""Workers and schedulers are killed at random at work: nothing is lost, nothing is twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engine import file_of

ROOT = Path(__file__).parents[2]


def rows(folder: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(file_of(folder), timeout=20)) as file:
        return file.execute(query).fetchall()


@contextmanager
def engine(folder: Path, jobs: int, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.engine", str(folder), str(jobs), str(seconds)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait(20)


def workers(folder: Path) -> list[int]:
    with suppress(OSError, ValueError):
        return [int(pid) for pid in (folder / "pids").read_text().split()]
    return []


def left(folder: Path) -> int:
    with suppress(sqlite3.Error):
        ((count,),) = rows(folder, "SELECT count(*) FROM runs WHERE state <> 'done'")
        ((made,),) = rows(folder, "SELECT count(*) FROM runs")
        return int(count) if made else 1
    return 1


def lull(folder: Path, most_s: float, share: int) -> None:
    """Let it work for a while, shorter where more than its share is done: a fast machine
    must not be through with its runs before the last kill.
    """
    until = time.monotonic() + most_s
    while time.monotonic() < until:
        with suppress(sqlite3.Error):
            ((done,),) = rows(folder, "SELECT count(*) FROM runs WHERE state = 'done'")
            if done > share:
                return
        time.sleep(0.02)


def cut_off(folder: Path) -> bool:
    """Whether some attempt that had begun was cut off: two at most are under way."""
    with suppress(OSError, sqlite3.Error):
        begun = len((folder / "attempts").read_text().split())
        ((done,),) = rows(folder, "SELECT count(*) FROM runs WHERE state = 'done'")
        return begun > int(done) + 2
    return False


def storm(folder: Path, *, jobs: int, kills: int, seed: int, seconds: float) -> Counter[str]:
    """Kill until ``kills`` have happened, one of them in the middle of a run, then let it finish;
    what was killed.
    """
    rng, killed = random.Random(seed), Counter[str]()
    deadline = time.monotonic() + 30 + kills * 6
    while left(folder) and time.monotonic() < deadline:
        (folder / "pids").unlink(missing_ok=True)
        with engine(folder, jobs, seconds) as process:
            while left(folder) and time.monotonic() < deadline:
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                if sum(killed.values()) >= kills and cut_off(folder):
                    time.sleep(0.1)
                    continue
                lull(folder, rng.uniform(0, 0.4), int(0.9 * jobs * sum(killed.values()) / kills))
                pids = workers(folder)
                if not pids:
                    continue
                if sum(killed.values()) % 3 == 2:
                    process.kill()
                    killed["scheduler"] += 1
                    break
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(pids), signal.SIGKILL)
                    killed["worker"] += 1
    return killed


def holds(folder: Path, jobs: int) -> None:
    """What must be true at the end."""
    assert rows(folder, "SELECT state, count(*) FROM runs GROUP BY 1") == [("done", jobs)], (
        "0 lost: every run is done"
    )
    effects = Counter(name for (name,) in rows(folder, "SELECT name FROM samples"))
    assert len(effects) == jobs, "every effect is there"
    assert max(effects.values()) == 1, "0 duplicate local effects"
    assert rows(folder, "SELECT count(*) FROM effects WHERE kind = 'sample'") == [(jobs,)]
    letters = Counter((folder / "letters").read_text().split())
    assert len(letters) == jobs, "every letter arrived, at least once, under its key"
    assert rows(folder, "SELECT DISTINCT state FROM outbox") == [("sent",)]
    assert rows(folder, "PRAGMA integrity_check") == [("ok",)]
    attempts = (folder / "attempts").read_text().split()
    assert len(attempts) > jobs, "runs were really cut off in the middle and done again"


def test_a_few_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    killed = storm(tmp_path, jobs=80, kills=6, seed=8, seconds=0.05)
    assert sum(killed.values()) >= 6
    assert len(killed) == 2, "workers and schedulers were killed"
    wait_for_letters(tmp_path)
    holds(tmp_path, 80)


@pytest.mark.long
def test_two_hundred_kills_during_two_thousand_jobs(tmp_path: Path) -> None:
    from commons_node.jobs import queue

    assert queue.MOST_OPEN >= 2_000
    killed = storm(tmp_path, jobs=2_000, kills=200, seed=200, seconds=0.03)
    assert sum(killed.values()) >= 200
    assert min(killed["worker"], killed["scheduler"]) > 20, "both were killed often"
    wait_for_letters(tmp_path)
    holds(tmp_path, 2_000)


def wait_for_letters(folder: Path) -> None:
    """The last letters go out after the last run is done."""
    with engine(folder, 0, 0):
        deadline = time.monotonic() + 60
        while rows(folder, "SELECT 1 FROM outbox WHERE state = 'ready'"):
            assert time.monotonic() < deadline, "letters go out"
            time.sleep(0.1)
