"""`domain`: searching things, the trust view, one fold, all folds again, in one large community.

One realm on disk, filled the way that foreign operations go: 2,000 members, 10,000 things, 20,000
loans of five signed operations each. The verbs are called as the API calls them, without HTTP.
Times are by the clock and, with ``_cpu``, of this process: the machine may be busy.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from bench.latency import percentile
from bench.lending import Shed
from bench.size import Size
from bench.town import Town, say
from bench.village import Village
from commons_crdt.ids import MemberId
from commons_crdt.operation import decode_header
from commons_node.community import Community
from commons_node.domains import registry
from commons_node.registry import Request
from commons_node.verifier.pool import VerifierPool

MEMBERS = 2_000
STEWARDS = 200
_QUERIES = ("tool 7", "maker m003", "garden", "tool 19 garden", "1234", "m011", "nothing at all")
_TRIES = 60
_FOLDS = 200


class Spent(NamedTuple):
    """Seconds by the clock and of this process."""

    clock: list[float]
    cpu: list[float]


def measure(town: Town) -> dict[str, object]:
    """``operations, search_p95_ms, trust_ms, fold_median_ms, refold_seconds``, … with floors."""
    folder = town.folder / "domain"
    folder.mkdir()
    return asyncio.run(_measure(folder, town.size))


class _Node:
    """What reading verbs ask of a daemon."""

    def __init__(self, village: Village) -> None:
        self._village = village

    def now_ms(self) -> int:
        return self._village.now_ms

    async def community(self, _request: Request[Any]) -> Community:
        return Community(self._village.realm)


async def _measure(folder: Path, size: Size) -> dict[str, object]:
    async with AsyncExitStack() as stack:
        pool = VerifierPool(2)
        stack.push_async_callback(pool.stop)
        village = await stack.enter_async_context(Village.founded(folder, pool))
        shed = Shed(village, pool)
        members = min(MEMBERS, size.members)
        say(f"{members} members")
        await village.grow(members)
        await shed.stewards(max(1, min(STEWARDS, members // 10)))
        say(f"{size.things} things")
        await shed.things(size.things)
        say(f"{size.loans} loans")
        await shed.lend(size.loans, say)
        await village.realm.settled()
        found: dict[str, object] = {
            "members": members, "things": size.things, "loans": size.loans,
        }  # fmt: skip
        await village.realm.store.database.write.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        found |= await _searching(village, size.things)
        found |= await _trusting(village, shed)
        found |= await _folding(village, shed)
        return found | await _again(village)


async def _searching(village: Village, things: int) -> dict[str, object]:
    """``resource list --query``, and the same words looked for in the plainest way."""
    say("searching")
    verb = registry().view("resource.list")
    assert verb is not None

    async def search(query: str) -> None:
        arguments = verb.args(query=query, limit=50)
        await verb.read(Request(_Node(village)), arguments)

    await search("warm")
    spent = await _timed(search, [_QUERIES[n % len(_QUERIES)] for n in range(_TRIES)])
    with _reading(village) as database:
        texts = [
            " ".join(str(one) for one in row if one).casefold()
            for row in database.execute(
                "SELECT i.number, s.name, s.brand, s.model, s.categories FROM v_items i"
                " JOIN v_specifications s ON s.key = i.specification"
            )
        ]
        assert len(texts) == things
        began = time.perf_counter()
        for query in _QUERIES:
            [text for text in texts if all(word in text for word in query.split())]
        floor = (time.perf_counter() - began) / len(_QUERIES)
    return {
        "search_p95_ms": percentile(spent.clock, 95),
        "search_median_ms": percentile(spent.clock, 50),
        "search_cpu_ms": percentile(spent.cpu, 50),
        "search_floor_ms": round(floor * 1000, 2),
    }


async def _trusting(village: Village, shed: Shed) -> dict[str, object]:
    """``reputation show`` of one member for another."""
    say("trusting")
    verb = registry().view("reputation.show")
    assert verb is not None
    chance = Random(3)
    pairs = [tuple(chance.sample(shed.people, 2)) for _ in range(_TRIES)]
    ways: list[int] = []

    async def look(pair: tuple[MemberId, ...]) -> None:
        viewer, subject = pair
        request = Request(_Node(village), member=viewer.hex())
        reading = await verb.read(request, verb.args(who=subject.hex()))
        trust: Any = reading.value["trust"]
        ways.append(trust["ways"])

    await look(pairs[0])
    spent = await _timed(look, pairs)
    with _reading(village) as database:
        began = time.perf_counter()
        beside: defaultdict[bytes, set[bytes]] = defaultdict(set)
        for giver, borrower in database.execute("SELECT DISTINCT giver, borrower FROM v_exchanges"):
            beside[giver].add(borrower)
            beside[borrower].add(giver)
        floor = time.perf_counter() - began
    assert max(ways) > 0, "there is something to find"
    return {
        "trust_ms": percentile(spent.clock, 50),
        "trust_p95_ms": percentile(spent.clock, 95),
        "trust_cpu_ms": percentile(spent.cpu, 50),
        "trust_floor_ms": round(floor * 1000, 2),
        "edges": sum(map(len, beside.values())) // 2,
        "ways_median": statistics.median(ways),
    }


async def _folding(village: Village, shed: Shed) -> dict[str, object]:
    """The rows that one more operation of a loan touches, and writing as many rows."""
    say("folding")
    folding, judge = village.realm.folding, village.realm.judge
    store = village.realm.store
    clock, cpu, floors = [], [], []
    async with store.database.transaction() as connection:
        for loan, thing in shed.done[-_FOLDS:]:
            dirty = [("loans", loan), ("exchanges", loan), ("custody", thing)]
            began, busy = time.perf_counter(), time.process_time()
            await folding.fold(connection, judge, dirty, {})
            clock.append(time.perf_counter() - began)
            cpu.append(time.process_time() - busy)
            began = time.perf_counter()
            for view in ("loans", "exchanges", "custody"):
                await connection.execute(
                    f"UPDATE v_{view} SET resource = resource WHERE key = ?"  # noqa: S608 - own names
                    if view != "custody"
                    else "UPDATE v_custody SET holder = holder WHERE key = ?",
                    (thing if view == "custody" else loan,),
                )
            floors.append(time.perf_counter() - began)
    return {
        "fold_median_ms": round(statistics.median(clock) * 1000, 3),
        "fold_cpu_ms": round(statistics.median(cpu) * 1000, 3),
        "fold_floor_ms": round(statistics.median(floors) * 1000, 3),
    }


async def _again(village: Village) -> dict[str, object]:
    """Every view emptied and folded again, and reading all that is stored."""
    say("folding everything again")
    before = (await village.realm.hashes())[1]
    began, busy = time.perf_counter(), time.process_time()
    await village.realm.fold_again()
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    assert (await village.realm.hashes())[1] == before, "the rows are what they were"
    with _reading(village) as database:
        began, count = time.perf_counter(), 0
        for header, _body in database.execute("SELECT header, body FROM operations"):
            decode_header(header)
            count += 1
        floor = time.perf_counter() - began
    return {
        "operations": count,
        "refold_seconds": round(seconds, 2),
        "refold_cpu_seconds": round(cpu, 2),
        "refold_floor_seconds": round(floor, 2),
        "refold_100000_seconds": round(seconds * 100_000 / count, 2),
    }


async def _timed(work: Callable[[Any], Awaitable[None]], given: list[Any]) -> Spent:
    spent = Spent([], [])
    for one in given:
        began, busy = time.perf_counter(), time.process_time()
        await work(one)
        spent.clock.append(time.perf_counter() - began)
        spent.cpu.append(time.process_time() - busy)
    return spent


def _reading(village: Village) -> Any:
    return closing(sqlite3.connect(f"file:{village.file}?mode=ro", uri=True))
