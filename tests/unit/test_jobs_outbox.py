"""Letters to the outside: each arrives or is dropped with a reason, and nobody waits for it."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path

from tests.unit.chores import Bench
from tests.unit.engine import ALLOWANCE, HANDLERS
from tests.unit.test_jobs_scheduler import QUICK, ended, put, until

from commons_node.jobs import outbox
from commons_node.jobs.effects import Effect
from commons_node.jobs.job import Job
from commons_node.jobs.outbox import Letter
from commons_node.jobs.queue import Queue
from commons_node.jobs.scheduler import Around, Scheduler


async def test_a_letter_is_repeated_with_its_key_until_it_arrives(tmp_path: Path) -> None:
    came: list[str] = []

    async def way(letter: Letter) -> None:
        came.append(letter.key)
        if len(came) < 3:
            raise ConnectionError("nobody answers")

    made = Scheduler(
        tmp_path / "jobs.db", Around(ways={"file": way}), ALLOWANCE, HANDLERS, random.Random(0)
    )
    await made.start()
    try:
        run = await put(made, Job("post", "mark", given={"letter": True}, limits=QUICK))
        assert (await ended(made, run))[0] == "done", "a letter that waits is no fault of the run"

        async def sent() -> bool:
            await made.desk.call(
                lambda queue: queue.file.execute("UPDATE outbox SET not_before_ms = 0")
            )
            made.wake()
            return await made.desk.call(
                lambda queue: queue.rows("SELECT state FROM outbox") == [("sent",)]
            )

        await until(sent, "it arrives")
        assert came == [f"post/letter-{run}"] * 3
    finally:
        await made.stop()


async def test_who_does_not_answer_holds_up_no_job_and_no_other_way(tmp_path: Path) -> None:
    """A mail server that takes a connection and says nothing."""
    asked, answered = asyncio.Event(), asyncio.Event()
    came: list[str] = []

    async def silent(letter: Letter) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            assert await reader.read(1) == b"", "it never says a word"
            raise ConnectionError("nobody answers")
        finally:
            writer.close()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await answered.wait()
        writer.close()

    async def way(letter: Letter) -> None:
        came.append(letter.key)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = Scheduler(
        tmp_path / "jobs.db", Around(ways={"mail": silent, "file": way}), ALLOWANCE, HANDLERS
    )
    await made.start()
    letter = (
        "INSERT INTO outbox (job, operation, kind, body, state, attempts, not_before_ms, delay_ms)"
        " VALUES ('other', ?, 'mail', '{}', 'ready', 0, 0, 0)"
    )
    try:
        for n in range(3):
            await made.desk.call(partial(_write, letter, f"mail-{n}"))
        made.wake()
        await asked.wait()
        run = await put(made, Job("post", "mark", given={"letter": True}, limits=QUICK))
        assert (await ended(made, run))[0] == "done", "a job begins and ends meanwhile"

        async def arrived() -> bool:
            return came == [f"post/letter-{run}"]

        await until(arrived, "and what it says goes by another way")
        assert not answered.is_set()
        states = "SELECT state, attempts FROM outbox WHERE kind = 'mail'"
        assert await made.desk.call(lambda queue: queue.rows(states)) == [("ready", 0)] * 3
    finally:
        await made.stop()
        answered.set()
        server.close()
        await server.wait_closed()


def _write(query: str, given: str, queue: Queue) -> None:
    queue.file.execute(query, (given,))


async def test_a_letter_that_may_not_leave_any_more_is_dropped(tmp_path: Path) -> None:
    came: list[str] = []
    away = {"post"}

    async def way(letter: Letter) -> None:
        came.append(letter.job)

    def refuse(letter: Letter) -> str | None:
        return "taken back" if letter.job in away else None

    made = Scheduler(tmp_path / "jobs.db", Around(ways={"file": way}, refuse=refuse), ALLOWANCE,
                     HANDLERS)  # fmt: skip
    await made.start()
    try:
        for name in ("post", "other"):
            run = await put(made, Job(name, "mark", given={"letter": True}, limits=QUICK))
            assert (await ended(made, run))[0] == "done"

        async def over() -> bool:
            rows = "SELECT job, state, error FROM outbox ORDER BY job"
            return await made.desk.call(lambda queue: queue.rows(rows)) == [
                ("other", "sent", None),
                ("post", "dead", "taken back"),
            ]

        await until(over, "one has left, and one never will")
        assert came == ["other"]
    finally:
        await made.stop()


async def test_what_is_held_waits_untried_and_in_nobodys_way_until_it_may_go(
    tmp_path: Path,
) -> None:
    """Forty letters of a paused agent before that of another one, by the same way."""
    came: list[str] = []
    held, begun, may = {"quiet"}, asyncio.Event(), asyncio.Event()

    async def way(letter: Letter) -> None:
        came.append(letter.key)
        begun.set()
        await may.wait()

    made = Scheduler(
        tmp_path / "jobs.db", Around(ways={"mail": way}, held=lambda: held), ALLOWANCE, HANDLERS
    )
    await made.start()
    letter = (
        "INSERT INTO outbox (job, operation, kind, body, state, attempts, not_before_ms, delay_ms)"
        " VALUES (?1, ?2, 'mail', '{}', 'ready', 0, 0, 0)"
    )

    def put_all(queue: Queue) -> None:
        for n in range(40):
            queue.file.execute(letter, ("quiet", f"{n:02d}"))
        for n in range(2):
            queue.file.execute(letter, ("loud", str(n)))

    async def stand() -> list[tuple[str, str, int, int]]:
        query = "SELECT job, state, sum(attempts), count(*) FROM outbox GROUP BY 1, 2 ORDER BY 1, 2"
        return await made.desk.call(lambda queue: queue.rows(query))

    try:
        await made.desk.call(put_all)
        made.wake()
        await begun.wait()
        assert came == ["loud/0"], "who is held takes nobody's place"
        held.add("loud")  # while its first one is under way, and the second is behind it
        may.set()

        async def first() -> bool:
            return ("loud", "sent", 0, 1) in await stand()

        await until(first, "what was under way arrives")
        await made.outbox.empty()
        waits = [("loud", "ready", 0, 1), ("loud", "sent", 0, 1), ("quiet", "ready", 0, 40)]
        assert await stand() == waits, "no other one was tried"
        assert came == ["loud/0"]
        held.clear()
        made.wake()

        async def over() -> bool:
            return await stand() == [("loud", "sent", 0, 2), ("quiet", "sent", 0, 40)]

        await until(over, "all of them leave, once each")
        assert sorted(came) == sorted({"loud/0", "loud/1", *(f"quiet/{n:02d}" for n in range(40))})
    finally:
        may.set()
        await made.stop()


def test_letters_of_a_removed_job_are_dropped_and_nobody_brings_them_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for name in ("gone", "stays"):
        bench.job(name)
        bench.queue.enqueue(name)
        lease = bench.claim()
        assert lease is not None
        body = {"to": "driver:mail", "body": {}}
        bench.queue.finish(lease.run, lease.fence, [Effect("outbox", "told", body)])
    (under_way, _) = outbox.waiting(bench.queue)["driver:mail"]
    outbox.drop(bench.queue, "gone", "its agent was removed")
    outbox.unsent(bench.queue, under_way, "nobody answers", random.Random(1))
    bench.pass_time(86_400)
    assert [one.job for one in outbox.waiting(bench.queue)["driver:mail"]] == ["stays"]
    bench.queue.file.execute("UPDATE outbox SET body = x'ff'")
    assert outbox.waiting(bench.queue)["driver:mail"] == [], "a damaged one stops no other"
    states = bench.queue.rows("SELECT job, state, error FROM outbox ORDER BY job")
    assert states == [
        ("gone", "dead", "its agent was removed"),
        ("stays", "dead", "the disk has damaged it"),
    ]
    bench.close()
