"""Letters to the outside: delivered at least once, each with the same key every time.

A letter is written in the transaction that completes its run, so none is lost and none is sent for
a run that failed. Between sending and noting that it was sent the node may die: then it is sent
again, and whoever receives it knows it by its key. Sending has tasks of its own: no job waits for
somebody outside who does not answer, and no way for another one. What an agent wrote that may not
act now is held: nothing is tried and nothing counted until it may again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import msgspec
import structlog

from commons_node.jobs.backoff import delay_ms
from commons_node.jobs.desk import Closed, Desk
from commons_node.jobs.job import Retry
from commons_node.jobs.queue import Queue
from commons_node.store.database import Damaged
from commons_node.store.upgrading import Unusable

RETRY: Final = Retry(attempts=20, base_s=5.0, cap_s=6 * 3600.0)
_AT_ONCE: Final = 32
_LOOK_S: Final = 30.0
"""The longest sleep: a wall clock that is set forward is noticed within it."""
_FULL_S: Final = 5.0
STATES: Final = ("ready", "sent", "dead")
"""Of a letter."""

log = structlog.get_logger(component="jobs")


@dataclass(frozen=True, slots=True)
class Letter:
    """``key`` is ``job/operation``; ``job``: whose it is."""

    number: int
    key: str
    to: str
    body: Mapping[str, Any]
    attempts: int
    job: str = ""


Deliver = Callable[[Letter], Awaitable[None]]
"""Sends one, and returns when it has arrived. Raises anything when it has not."""


Refuse = Callable[[Letter], str | None]
"""Why a letter may not leave any more; None if it may."""
Held = Callable[[], Collection[str]]
"""Jobs of which no letter leaves for now."""
_DUE: Final = "state = 'ready' AND (not_before_ms <= ?1 OR not_before_ms > ?1 + delay_ms)"


_FREE: Final = "job NOT IN (SELECT value FROM json_each(?2))"


def waiting(
    queue: Queue, busy: Collection[str] = (), held: Collection[str] = ()
) -> dict[str, list[Letter]]:
    """Letters that may be sent now by each way that is not ``busy``, the oldest first.

    Those of ``held`` jobs take nobody's place.
    """
    now, away = queue.now(), _listed(held)
    query = f"SELECT DISTINCT kind FROM outbox WHERE {_DUE} AND {_FREE} ORDER BY kind"  # noqa: S608 - our own words
    kinds = queue.rows(query, now, away)
    return {kind: _of(queue, kind, now, away) for (kind,) in kinds if kind not in busy}


def _listed(held: Collection[str]) -> str:
    return msgspec.json.encode(sorted(held)).decode()


def _of(queue: Queue, kind: str, now: int, away: str) -> list[Letter]:
    rows = queue.rows(
        f"SELECT letter, job, operation, body, attempts FROM outbox WHERE {_DUE} AND {_FREE}"  # noqa: S608 - our own words
        " AND kind = ?3 ORDER BY letter LIMIT ?4",
        now, away, kind, _AT_ONCE,
    )  # fmt: skip
    found = []
    for number, job, operation, body, attempts in rows:
        try:
            told = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            never(queue, number, "the disk has damaged it")
        else:
            found.append(Letter(number, f"{job}/{operation}", kind, told, attempts, job))
    return found


def soonest(queue: Queue, busy: Collection[str], held: Collection[str] = ()) -> float | None:
    """Seconds until a letter of another way may be sent; None if none waits."""
    rows = queue.rows(
        "SELECT kind, min(not_before_ms) FROM outbox WHERE state = 'ready'"
        " AND job NOT IN (SELECT value FROM json_each(?)) GROUP BY kind",
        _listed(held),
    )
    found = [at for kind, at in rows if kind not in busy]
    return (min(found) - queue.now()) / 1000 if found else None


def never(queue: Queue, number: int, why: str) -> None:
    """It is not sent any more."""
    with queue.transaction() as file:
        file.execute(
            "UPDATE outbox SET state = 'dead', error = ? WHERE letter = ? AND state = 'ready'",
            (why, number),
        )


def drop(queue: Queue, job: str, why: str) -> None:
    """Nothing of a job that waits is sent any more; the log has each."""
    with queue.transaction() as file:
        gone = file.execute(
            "UPDATE outbox SET state = 'dead', error = ? WHERE job = ? AND state = 'ready'"
            " RETURNING operation, kind",
            (why, job),
        ).fetchall()
    for operation, kind in gone:
        dropped(f"{job}/{operation}", kind, why)


def dropped(key: str, to: str, why: str) -> None:
    """A line in the log for a letter that never leaves."""
    log.warning("letter_dropped", key=key, to=to, why=why)


def count_ready(queue: Queue, job: str) -> int:
    """Letters of a job that wait to be sent, or are held."""
    ((found,),) = queue.rows("SELECT count(*) FROM outbox WHERE job = ? AND state = 'ready'", job)
    return int(found)


def sent(queue: Queue, letter: Letter) -> None:
    """It has arrived."""
    with queue.transaction() as file:
        file.execute("UPDATE outbox SET state = 'sent' WHERE letter = ?", (letter.number,))


def unsent(queue: Queue, letter: Letter, error: str, rng: Random) -> str:
    """It has not: the state now, ``ready`` for later or ``dead``."""
    attempts = letter.attempts + 1
    state = "ready" if attempts < RETRY.attempts else "dead"
    wait = delay_ms(RETRY, attempts, rng)
    with queue.transaction() as file:
        file.execute(
            "UPDATE outbox SET state = ?, attempts = ?, not_before_ms = ?, delay_ms = ?, error = ?"
            " WHERE letter = ? AND state = 'ready'",
            (state, attempts, queue.now() + wait, wait, error[:500], letter.number),
        )
    return state


class Outbox:
    """Sends what waits: by each way one letter at a time, in order; by all ways at once."""

    def __init__(
        self,
        desk: Desk,
        ways: Mapping[str, Deliver],
        rng: Random,
        refuse: Refuse = lambda _letter: None,
        held: Held = frozenset,
    ) -> None:
        """``ways``: how a letter goes, by where ``to``."""
        self._desk = desk
        self._ways = ways
        self._rng = rng
        self._refuse = refuse
        self._held = held
        self._wake = asyncio.Event()
        self._going: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self.sent = 0

    def start(self) -> None:
        """From now on, until ``stop``."""
        self._loop = asyncio.create_task(self._run(), name="outbox")

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    async def stop(self) -> None:
        """Leave nothing running; what was under way is sent again."""
        tasks = [task for task in (self._loop, *self._going.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def empty(self) -> int:
        """Send what may be sent now, and wait for it; how many have arrived."""
        before = self.sent
        await self._turn()
        await asyncio.gather(*self._going.values())
        return self.sent - before

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = await self._turn()
            except Exception as error:  # as of a full disk: later
                log.warning("letters_not_read", why=str(error))
                wait = _FULL_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _turn(self) -> float:
        """Begin by each way that is free; seconds until there may be more."""
        busy, held = set(self._going), frozenset(self._held())
        found = await self._desk.call(lambda queue: waiting(queue, busy, held))
        for to, letters in found.items():
            self._going[to] = asyncio.create_task(self._send(to, letters), name=f"letters {to}")
            busy.add(to)
        wait = await self._desk.call(lambda queue: soonest(queue, busy, held))
        return _LOOK_S if wait is None else min(max(wait, 0.01), _LOOK_S)

    async def _send(self, to: str, letters: list[Letter]) -> None:
        try:
            for letter in letters:
                if letter.job not in self._held():  # as it is now, with those before it gone
                    await self._one(letter)
        except (Unusable, Damaged) as error:  # it is not known any more that it was sent
            log.warning("letter_not_noted", to=to, why=str(error))
            await asyncio.sleep(_FULL_S)
        except Closed:
            return
        finally:
            self._going.pop(to, None)
            self.wake()

    async def _one(self, letter: Letter) -> None:
        try:
            refused = self._refuse(letter)
            if refused is not None:
                dropped(letter.key, letter.to, refused)
                return await self._desk.call(lambda queue: never(queue, letter.number, refused))
            way = self._ways.get(letter.to)
            if way is None:
                raise LookupError(f"there is no way to {letter.to!r}")
            await way(letter)
        except (Closed, Unusable):
            raise
        except Exception as error:  # a driver's fault is the letter's, and no other's
            told = f"{type(error).__name__}: {error}"
            log.warning("letter_not_sent", key=letter.key, to=letter.to, why=told)
            await self._desk.call(lambda queue: unsent(queue, letter, told, self._rng))
        else:
            await self._desk.call(lambda queue: sent(queue, letter))
            self.sent += 1
        return None
