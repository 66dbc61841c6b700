"""The queue: runs of jobs in SQLite, each with at most one worker, none lost, none done twice.

A claim is a lease with a fence: what comes under an older fence is refused. A lease ends by a
monotonic clock, and with the term (one life of one scheduler on one boot): whoever opens the file
takes back all that earlier terms held. Synchronous: one thread of the scheduler owns it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from commons_node.jobs.backoff import delay_ms
from commons_node.jobs.committing import committing, fetched
from commons_node.jobs.definitions import definition, readable
from commons_node.jobs.effects import Effect, commit
from commons_node.jobs.job import Job
from commons_node.jobs.lease import NOTHING, Lease, Used
from commons_node.jobs.metering import METER, Meter, Spent
from commons_node.jobs.refusals import NoJob, NoRun, QueueFull, StaleFence, WrongState
from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.jobs.states import State, after_failure, after_loss, may_cancel, may_retry
from commons_node.store.upgrading import Unusable, migrate

MOST_OPEN = 10_000
"""Runs that have not ended, of all jobs."""
MOST_OF_ONE = 1_000
"""The same of one job."""
BEFORE = "runs_before"
"""Of the count that no new run is numbered below: what was lost of this file had those numbers."""
_NEXT = (
    "SELECT 1 + max((SELECT coalesce(max(run), 0) FROM runs),"
    " coalesce((SELECT CAST(value AS INTEGER) FROM counts WHERE name = 'runs_before'), 0))"
)
MOST_EVENT = 64 * 1024
"""Bytes of what a run is about."""


class Queue:
    """One open file. ``now``: wall clock (ms, UTC); ``mono``: milliseconds of this boot.

    ``boot``: likewise, but going on while the machine sleeps, where it can tell.
    """

    def __init__(
        self,
        path: Path,
        term: str,
        now: Callable[[], int],
        mono: Callable[[], int],
        rng: Random | None = None,
        boot: Callable[[], int] | None = None,
        meter: Meter = METER,
    ) -> None:
        """Open or make the file. Raises ``Unusable``, ``TooNew``. ``recover`` must follow."""
        self.path = path
        self.term = term
        self.now = now
        self._mono = mono
        self.boot = boot or mono
        self.meter = meter
        self._rng = rng or Random()  # noqa: S311 - no secret
        try:
            migrate(path, JOBS_SCHEMA)
            self.file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in ("synchronous = FULL", "temp_store = MEMORY", "busy_timeout = 10000"):
                self.file.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise Unusable(file=path.name, why=error) from error

    def close(self) -> None:
        """Leave the file; leases stay, and are taken back by the next term."""
        self.file.close()

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """See ``committing``."""
        return committing(self.file, self.path.name)

    def rows(self, query: str, *arguments: object) -> list[Any]:
        """All rows of a query. Raises ``Damaged`` and ``Unusable``."""
        return fetched(self.file, self.path.name, query, arguments)

    # -- coming in -----------------------------------------------------------------------------

    def enqueue(
        self,
        job: str,
        *,
        trigger: str = "hand",
        scheduled_ms: int | None = None,
        covers: int = 1,
        event: Mapping[str, object] | None = None,
        dry: bool = False,
        dedup: str | None = None,
    ) -> int | None:
        """A new run; None if one with this key was there already. Raises ``QueueFull``."""
        with self.transaction() as file:
            return self.put(
                file, job, trigger=trigger, scheduled_ms=scheduled_ms, covers=covers,
                event=event, dry=dry, dedup=dedup,
            )  # fmt: skip

    def put(
        self,
        file: sqlite3.Connection,
        job: str,
        *,
        trigger: str,
        scheduled_ms: int | None = None,
        covers: int = 1,
        event: Mapping[str, object] | None = None,
        dry: bool = False,
        dedup: str | None = None,
    ) -> int | None:
        """The same within a transaction that does more. Raises ``NoJob`` and ``QueueFull``."""
        if not self.rows("SELECT 1 FROM jobs WHERE job = ?", job):
            raise NoJob(job=job)
        self._room(job)
        encoded = msgspec.json.encode(event) if event is not None else None
        if encoded is not None and len(encoded) > MOST_EVENT:
            encoded = msgspec.json.encode({"left_out": len(encoded)})
        now = self.now()
        made = file.execute(
            "INSERT OR IGNORE INTO runs (run, job, dedup, state, trigger, scheduled_ms, covers,"  # noqa: S608 - our own words
            f" dry, urgent, event, queued_ms) VALUES (({_NEXT}),?,?,'ready',?,?,?,?,?,?,?)",
            (job, dedup, trigger, now if scheduled_ms is None else scheduled_ms, covers, dry,
             trigger == "hand", encoded, now),
        )  # fmt: skip
        return made.lastrowid if made.rowcount else None

    def _room(self, job: str) -> None:
        open_ = "state IN ('ready', 'waiting', 'leased')"
        for most, where, given in ((MOST_OF_ONE, "job = ? AND ", (job,)), (MOST_OPEN, "", ())):
            ((count,),) = self.rows(f"SELECT count(*) FROM runs WHERE {where}{open_}", *given)  # noqa: S608 - our own words
            if count >= most:
                raise QueueFull(count=count)

    # -- leases --------------------------------------------------------------------------------

    def claim(
        self, lease_s: float, fits: Callable[[Job], bool] = lambda _job: True
    ) -> Lease | None:
        """The next run that may go, leased; None if there is none.

        Whoever has used least is next; within what one principal has, priority. ``fits``: whether
        the node has room for it now.
        """
        with self.transaction() as file:
            self._promote(file)
            query = (
                "SELECT j.job, j.definition, (SELECT run FROM runs r WHERE r.job = j.job"
                " AND r.state = 'ready' ORDER BY urgent DESC, run LIMIT 1) AS first"
                " FROM jobs j JOIN principals p USING (principal) WHERE j.paused_ms IS NULL"
                " AND j.running < j.concurrency AND first IS NOT NULL"
                " ORDER BY p.used, p.principal, j.priority, first"
            )
            for name, encoded, _first in file.execute(query).fetchall():
                job = readable(name, encoded)
                if job is not None and fits(job) and self.meter.short(self, job) is None:
                    return self._lease(file, name, job, lease_s)
        return None

    def _promote(self, file: sqlite3.Connection) -> None:
        """What has waited long enough. Further ahead than it was to wait: the clock went back."""
        now = self.now()
        file.execute(
            "UPDATE runs SET state = 'ready' WHERE state = 'waiting'"
            " AND (not_before_ms <= ?1 OR not_before_ms > ?1 + delay_ms)",
            (now,),
        )

    def _lease(self, file: sqlite3.Connection, name: str, job: Job, lease_s: float) -> Lease:
        ((run, fence, attempts, scheduled, covers, dry, event, trigger),) = file.execute(
            "UPDATE runs SET state = 'leased', fence = fence + 1, attempts = attempts + 1,"
            " term = ?, lease_ms = ?, began_ms = ? WHERE run = (SELECT run FROM runs WHERE job = ?"
            " AND state = 'ready' ORDER BY urgent DESC, run LIMIT 1) RETURNING"
            " run, fence, attempts, scheduled_ms, covers, dry, event, trigger",
            (self.term, self._mono() + round(lease_s * 1000), self.now(), name),
        ).fetchall()
        file.execute("UPDATE jobs SET running = running + 1 WHERE job = ?", (name,))
        # charged before it is known, so that nobody takes all places at once
        self._charge(file, name, 1.0)
        lease = Lease(
            run, job, fence, attempts, scheduled, covers, bool(dry), _told(event), trigger,
            self.meter.reservation(job),
        )  # fmt: skip
        self.meter.reserve(self, file, lease)
        return lease

    def _charge(self, file: sqlite3.Connection, job: str, by: float) -> None:
        file.execute(
            "UPDATE principals SET used = used + ? WHERE principal ="
            " (SELECT principal FROM jobs WHERE job = ?)",
            (by, job),
        )

    def beat(self, run: int, fence: int, lease_s: float, spent: Spent | None = None) -> None:
        """The worker lives: the lease begins anew; ``spent`` so far. Raises ``StaleFence``."""
        with self.transaction() as file:
            self._held(file, run, fence)
            until = self._mono() + round(lease_s * 1000)
            file.execute("UPDATE runs SET lease_ms = ? WHERE run = ?", (until, run))
            if spent is not None:
                self.meter.report(file, run, fence, spent)

    def _held(self, file: sqlite3.Connection, run: int, fence: int) -> tuple[str, int, bool]:
        """Job, attempts and whether dry, of a lease that is this one."""
        found = file.execute(
            "SELECT job, attempts, dry FROM runs"
            " WHERE run = ? AND fence = ? AND term = ? AND state = 'leased'",
            (run, fence, self.term),
        ).fetchone()
        if found is None:
            raise StaleFence(run=run)
        return str(found[0]), int(found[1]), bool(found[2])

    def _end(self, file: sqlite3.Connection, run: int, state: State, **values: object) -> None:
        """A lease ends; its place is free."""
        given = {"state": state.value, "term": None, "lease_ms": None, **values}
        file.execute(
            "UPDATE jobs SET running = max(running - 1, 0)"
            " WHERE job = (SELECT job FROM runs WHERE run = ?)",
            (run,),
        )
        names = ", ".join(f"{name} = ?" for name in given)
        file.execute(f"UPDATE runs SET {names} WHERE run = ?", (*given.values(), run))  # noqa: S608 - our own names

    def finish(
        self,
        run: int,
        fence: int,
        effects: Sequence[Effect] = (),
        *,
        used: Used = NOTHING,
        result: object = None,
        budget: float | None = None,
        spent: Spent | None = None,
    ) -> int:
        """Done, with its effects, all or nothing; how many of them were new.

        A dry run's effects are only written down beside it. ``budget``: what is left of the node's,
        kept with it. Raises ``StaleFence`` and ``BadEffect``; nothing has changed then.
        """
        with self.transaction() as file:
            job, _, dry = self._held(file, run, fence)
            now = self.now()
            new = 0 if dry else commit(file, job, run, now, effects)
            told = {"result": result, **({"would": list(effects)} if dry else {})}
            self._end(
                file, run, State.DONE, ended_ms=now, code=None, error=None,
                result=msgspec.json.encode(told), **used.columns,
            )  # fmt: skip
            self._settle(file, job, used, budget)
            self.meter.settle(self, file, run, "done", spent)
            return new

    def fail(
        self,
        run: int,
        fence: int,
        code: str,
        error: str,
        *,
        again: bool = True,
        used: Used = NOTHING,
        budget: float | None = None,
        spent: Spent | None = None,
    ) -> State:
        """An attempt failed: what becomes of the run. Raises ``StaleFence``."""
        with self.transaction() as file:
            job, attempts, _ = self._held(file, run, fence)
            retry = definition(self, job).retry
            state = after_failure(attempts, retry.attempts, again=again)
            wait = delay_ms(retry, attempts, self._rng)
            now = self.now()
            self._end(
                file, run, state, not_before_ms=now + wait, delay_ms=wait,
                code=code, error=error[:2_000], **used.columns,
                ended_ms=now if state is State.DEAD else None,
            )  # fmt: skip
            self._settle(file, job, used, budget)
            self.meter.settle(self, file, run, code, spent)
            return state

    def give_back(self, run: int, fence: int) -> None:
        """The attempt was ended by this node, which stops: it does not count.

        Raises ``StaleFence``.
        """
        with self.transaction() as file:
            _, attempts, _ = self._held(file, run, fence)
            self._end(file, run, State.READY, attempts=attempts - 1)
            self.meter.settle(self, file, run, "given_back", lenient=True)

    def _settle(self, file: sqlite3.Connection, job: str, used: Used, budget: float | None) -> None:
        self._charge(file, job, used.cpu_ms / 1000)
        if budget is not None:
            file.execute("INSERT OR REPLACE INTO counts VALUES ('cpu_left_s', ?)", (budget,))

    # -- taking back ---------------------------------------------------------------------------

    def recover(self) -> int:
        """At the start: leases of earlier terms are nobody's; how many runs go on."""
        with self.transaction() as file:
            found = self._take_back(file, "term IS NOT ?", self.term)
            file.execute(
                "UPDATE jobs SET running = (SELECT count(*) FROM runs r"
                " WHERE r.job = jobs.job AND r.state = 'leased')"
            )
        return found

    def expire(self) -> int:
        """Leases that ran out in this term."""
        with self.transaction() as file:
            return self._take_back(file, "lease_ms < ?", self._mono())

    def _take_back(self, file: sqlite3.Connection, where: str, given: object) -> int:
        query = f"SELECT run, job, attempts FROM runs WHERE state = 'leased' AND {where}"  # noqa: S608 - our own words
        found = file.execute(query, (given,)).fetchall()
        for run, job, attempts in found:
            state = after_loss(attempts, definition(self, job).retry.attempts)
            ended = self.now() if state is State.DEAD else None
            told = "its worker or the node ended before it did"
            self._end(file, run, state, code="lost", error=told, ended_ms=ended)
            self.meter.settle(self, file, run, "lost")
        return len(found)

    # -- by hand -------------------------------------------------------------------------------

    def cancel(self, run: int) -> State:
        """End a run, whatever it does; the state in which it was. Raises ``WrongState``.

        A worker that has it may go on for a moment: its fence is stale, nothing of it is kept. A
        dead one is nobody's worry any more, and goes in time as others that have ended.
        """
        with self.transaction() as file:
            state = self._state(file, run)
            if not may_cancel(state):
                raise WrongState(run=run, state=state.value, job=self._job(file, run))
            self.cancel_where(file, "run = ?", run)
            return state

    def cancel_where(self, file: sqlite3.Connection, where: str, given: object) -> None:
        """All that may be cancelled of these, within the caller's transaction."""
        held = f"SELECT run FROM runs WHERE {where} AND state = 'leased'"  # noqa: S608 - our own words
        for (run,) in file.execute(held, (given,)).fetchall():
            self.meter.settle(self, file, run, "cancelled")
        file.execute(
            "UPDATE jobs SET running = max(0, running - (SELECT count(*) FROM runs"  # noqa: S608 - our own words
            f" WHERE {where} AND job = jobs.job AND state = 'leased'))",
            (given,),
        )
        file.execute(
            "UPDATE runs SET state = 'cancelled', fence = fence + 1, ended_ms = ?, term = NULL,"  # noqa: S608 - our own words
            " lease_ms = NULL, code = 'cancelled', error = NULL"
            f" WHERE {where} AND state IN ('ready', 'waiting', 'leased', 'dead')",
            (self.now(), given),
        )

    def retry(self, run: int) -> None:
        """Try again what is dead or was cancelled, as if for the first time.

        Raises ``WrongState``, ``QueueFull``.
        """
        with self.transaction() as file:
            state = self._state(file, run)
            if not may_retry(state):
                raise WrongState(run=run, state=state.value, job=self._job(file, run))
            self._room(self._job(file, run))
            file.execute(
                "UPDATE runs SET state = 'ready', attempts = 0, ended_ms = NULL, code = NULL,"
                " error = NULL, urgent = 1 WHERE run = ?",
                (run,),
            )
            file.execute("DELETE FROM refusals WHERE run = ?", (run,))

    def _job(self, file: sqlite3.Connection, run: int) -> str:
        ((job,),) = file.execute("SELECT job FROM runs WHERE run = ?", (run,)).fetchall()
        return str(job)

    def _state(self, file: sqlite3.Connection, run: int) -> State:
        found = file.execute("SELECT state FROM runs WHERE run = ?", (run,)).fetchone()
        if found is None:
            raise NoRun(run=run, job="JOB")
        return State(found[0])


def _told(event: bytes | None) -> dict[str, object]:
    """What a run is about; of what the disk has damaged, that it was."""
    try:
        return msgspec.json.decode(event, type=dict[str, object]) if event else {}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {"damaged": True}
