"""What runs cost: reserved before, settled once, whatever happens between."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.chores import LEASE_S, Bench

from commons_node.capabilities.catalogue import CAPABILITIES
from commons_node.jobs.definitions import defined
from commons_node.jobs.lease import Lease
from commons_node.jobs.metering import CREDIT, TARIFF, Allowed, Meter, Spent
from commons_node.jobs.windows import DAY_MS

ELM, OAK = "e1" * 32, "0a" * 32


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, meter=Meter(Allowed(run=10, agent_day=25, principal_day=45)))
    yield made
    made.close()


def agent(bench: Bench, name: str = "helper", principal: str = ELM, **more: Any) -> None:
    bench.job(name, agent=f"0123abcd/{name}", principal=principal, concurrency=8, **more)


def begin(bench: Bench, job: str = "helper") -> Lease:
    bench.queue.enqueue(job)
    lease = bench.claim()
    assert lease is not None
    return lease


def used(bench: Bench, name: str) -> float:
    rows = bench.queue.rows("SELECT used FROM windows WHERE name = ?", f"credits/{name}")
    return float(rows[0][0] / CREDIT) if rows else 0.0


def receipts(bench: Bench) -> list[tuple[Any, ...]]:
    return bench.queue.rows("SELECT run, attempt, how, cost FROM receipts ORDER BY run, attempt")


def test_the_tariff_is_a_formula_and_its_prices_have_a_version() -> None:
    spent = Spent(1_500_001, 128 * 2_000, 3, 7)
    assert TARIFF.cost(spent) == 2 + 256 + 7, "ceil(fuel/1e6), MiB·s, and calls"
    assert TARIFF.cost(Spent(0)) == 0
    prices = {name: one.cost for name, one in CAPABILITIES.items()}
    told = repr((TARIFF.version, TARIFF.cpu, TARIFF.memory, sorted(prices.items())))
    assert hashlib.blake2b(told.encode(), digest_size=8).hexdigest() == "c42e5919ccc63a6a", (
        "other prices are another version of the tariff: receipts name it"
    )


@given(st.integers(1, 10**12), st.integers(64, 65_536), st.floats(0.1, 86_400), st.floats(0, 1))
def test_what_credits_pay_for_never_costs_more(
    amount: int, memory: int, wall: float, part: float
) -> None:
    paid = TARIFF.pays(amount, memory, wall)
    assert paid.wall_s <= wall, "more credits give no more time than it asked for"
    held = Spent(paid.fuel, int(memory * paid.wall_s * 1000))
    assert TARIFF.cost(held) <= amount
    calls = int(amount * part)
    rest = max(paid.fuel - TARIFF.fuel(calls), 0)
    spent = Spent(rest, int(memory * paid.wall_s * 1000), 1, calls)
    assert TARIFF.cost(spent) <= amount + amount // 2, "what calls cost is no fuel any more"
    if calls <= paid.fuel // 10**6:
        assert TARIFF.cost(spent) <= amount


def test_a_run_never_costs_more_than_was_reserved(bench: Bench) -> None:
    agent(bench)
    lease = begin(bench)
    bench.queue.finish(lease.run, lease.fence, spent=Spent(10**13))
    assert receipts(bench) == [(lease.run, 1, "done", 10 * CREDIT)]
    assert used(bench, f"principal/{ELM}") == 10


def test_a_run_reserves_and_settles_what_it_took(bench: Bench) -> None:
    agent(bench)
    lease = begin(bench)
    assert lease.reserved == 10 * CREDIT
    assert used(bench, "agent/0123abcd/helper") == 10
    spent = Spent(2_000_000_000, 1_000_000, 4, 500, "ab" * 32, "50.0.1")
    bench.queue.finish(lease.run, lease.fence, spent=spent)
    assert used(bench, f"principal/{ELM}") == 3.5
    ((run, fence, fuel, calls, runner, engine, tariff, how, cost),) = bench.queue.rows(
        "SELECT run, fence, fuel, calls, runner, engine, tariff, how, cost FROM receipts"
    )
    assert (run, fence, fuel, calls, how, cost) == (
        lease.run, lease.fence, 2_000_000_000, 4, "done", 3_500,
    )  # fmt: skip
    assert (runner, engine, tariff) == ("ab" * 32, "50.0.1", TARIFF.version)
    assert used(bench, "agent/0123abcd/helper") == 3.5


def test_the_nodes_own_duties_cost_nothing(bench: Bench) -> None:
    bench.job()
    lease = begin(bench, "chore")
    bench.queue.finish(lease.run, lease.fence)
    assert (lease.reserved, receipts(bench)) == (0, [])
    assert bench.queue.rows("SELECT count(*) FROM windows") == [(0,)]


def test_an_agent_without_credits_waits_and_others_do_not(bench: Bench) -> None:
    for name, principal in (("one", ELM), ("two", ELM), ("three", OAK)):
        agent(bench, name, principal)
    begin(bench, "one"), begin(bench, "one")
    bench.queue.enqueue("one")
    assert bench.claim() is None, "30 of 25: the agent has no room"
    short = bench.queue.meter.short(bench.queue, defined(bench.queue)["one"])
    assert short is not None
    assert (short.whose, short.used, short.most, short.wanted) == ("agent", 20, 25, 10)
    begin(bench, "two"), begin(bench, "two")
    bench.queue.enqueue("two")
    assert bench.claim() is None, "nor has its community: 50 of 45"
    begin(bench, "three")
    bench.pass_time(DAY_MS / 1000 + 1)
    assert bench.claim() is not None, "another day, another budget"


def test_what_is_given_back_can_be_used(bench: Bench) -> None:
    agent(bench)
    for _ in range(20):
        lease = begin(bench)
        bench.queue.finish(lease.run, lease.fence, spent=Spent(1_000_000_000))
        if used(bench, "agent/0123abcd/helper") + 10 > 25:
            break
    assert used(bench, "agent/0123abcd/helper") == 16, "one credit each, until ten do not fit"


def test_a_run_that_dies_is_charged_as_last_reported_and_else_its_reservation(
    bench: Bench,
) -> None:
    bench.meter = Meter(Allowed(run=10, agent_day=99, principal_day=99))
    bench.restart()
    agent(bench, attempts=9)
    silent = begin(bench)
    heard = begin(bench)
    bench.queue.beat(heard.run, heard.fence, LEASE_S, Spent(3_000_000_000, 0, 2, 0))
    bench.restart()
    assert receipts(bench) == [(silent.run, 1, "lost", 10_000), (heard.run, 1, "lost", 3_000)]
    bench.restart()
    assert used(bench, "agent/0123abcd/helper") == 13, "once, however often the node comes back"
    again = bench.claim()
    assert again is not None
    told = bench.queue.cancel(again.run)
    assert told.value == "leased"
    assert receipts(bench)[1] == (silent.run, 2, "cancelled", 10_000)
    failing = bench.claim()
    assert failing is not None
    bench.queue.fail(failing.run, failing.fence, "timeout", "late", spent=Spent(None, 500_000))
    assert receipts(bench)[-1] == (heard.run, 2, "timeout", 10_000), "a worker that was killed"


def test_a_node_that_stops_in_order_charges_what_is_known(bench: Bench) -> None:
    agent(bench)
    lease = begin(bench)
    bench.queue.beat(lease.run, lease.fence, LEASE_S, Spent(None, 2_000_000, 2, 100))
    bench.queue.give_back(lease.run, lease.fence)
    assert receipts(bench) == [(lease.run, 1, "given_back", 2_100)]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_budgets_are_what_receipts_add_up_to(tmp_path: Path, seed: int) -> None:
    allowed = Meter(Allowed(run=10, agent_day=10**6, principal_day=10**6))
    bench = Bench(tmp_path, rng=random.Random(seed), meter=allowed)
    agent(bench, attempts=4)
    crashes = 0
    for _ in range(120):
        bench.queue.enqueue("helper")
        deed = bench.rng.choice(bench.deeds())
        crashes += deed == bench.restart
        bench.does(deed)
        bench.wall += 10
    rows = bench.queue.rows("SELECT coalesce(cost, reserved), run, fence FROM receipts")
    assert len(rows) == len({row[1:] for row in rows}), "one for each attempt"
    assert crashes, "the node died on the way"
    assert sum(cost for cost, *_ in rows) / CREDIT == used(bench, "agent/0123abcd/helper")
    open_ = bench.queue.rows("SELECT count(*) FROM receipts WHERE cost IS NULL")
    assert open_ == [(bench.count("leased"),)], "settled but for what runs"
    bench.close()
