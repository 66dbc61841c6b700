"""Who waits for a thing and why, and what borrowers are told: all of it from how things stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.street import HOUR_MS, Home, agree, homes, member
from tests.unit.test_lending_nodes import drill, lent, refused
from tests.unit.test_lending_terms import booking

from commons_node.domains.lending.waiting import Wish, waiting
from commons_node.verifier.pool import VerifierPool

DAY_MS = 24 * HOUR_MS


def test_promises_that_fell_wait_before_requests() -> None:
    east, west = booking("e", 0, 10, role=3), booking("w", 0, 10, role=5)
    wishes = [Wish(b"late", 5, 8, (2, b"late")), Wish(b"early", 5, 8, (1, b"early")),
              Wish(b"free", 10, 12, (0, b"free"))]  # fmt: skip
    found = waiting([east, west], wishes, 1)
    assert [(one.loan, one.place, one.why) for one in found] == [
        (east.loan, 1, "role"), (b"early", 2, "taken"), (b"late", 3, "taken"),
    ], "who begins when it is free again does not wait"  # fmt: skip
    assert found[0].stands == (west.loan,)
    assert waiting([east, west], wishes, None) == [], "nobody waits for nails"


def test_why_is_the_first_step_of_the_rule_that_tells_them_apart() -> None:
    out, promised = booking("a", 0, 10, out=True, role=3), booking("b", 0, 10, role=5)
    assert waiting([out, promised], [], 1)[0].why == "out"
    assert waiting([booking("a", 0, 9), booking("b", 0, 9)], [], 1)[0].why == "lot"
    first = booking("a", 0, 10, seq=1)
    second = booking("a", 5, 15, seq=2)
    other = replace(second, loan=b"other")
    assert waiting([first, other], [], 1)[0].why == "first"


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10), st.booleans()), max_size=6),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10)), max_size=4),
    st.integers(1, 2),
    st.randoms(use_true_random=False),
)
def test_every_order_of_arrival_gives_one_list(promised, asked, quantity, random) -> None:  # type: ignore[no-untyped-def]
    booked = [booking(str(n), a, a + b, out=out) for n, (a, b, out) in enumerate(promised)]
    wishes = [Wish(bytes([n]), a, a + b, (n, bytes([n]))) for n, (a, b) in enumerate(asked)]
    found = waiting(booked, wishes, quantity)
    random.shuffle(booked)
    random.shuffle(wishes)
    again = waiting(booked, wishes, quantity)
    assert [(one.loan, one.place, one.why) for one in again] == [
        (one.loan, one.place, one.why) for one in found
    ]
    assert [one.place for one in found] == list(range(1, len(found) + 1))


async def news(home: Home, who: str) -> list[tuple[str, str]]:
    rows = (await home.see("loan.news", who=who)).value["news"]
    return [(row["kind"], row["loan"]) for row in rows]


def at(home: Home, hours: float) -> datetime:
    return datetime.fromtimestamp(home.now / 1000, UTC) + timedelta(hours=hours)


async def test_a_reminder_ends_with_its_reason(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north south") as (north, south):
        await drill(north)
        loan = await lent(north)
        assert await news(north, "bob") == [], "three days are far away"
        north.now += 3 * DAY_MS
        assert await news(north, "bob") == [("due", loan)]
        north.now += 2 * DAY_MS
        assert await news(north, "bob") == [("overdue", loan)]
        await north.tell(south)
        assert await news(south, "bob") == [("overdue", loan)]
        await south.do("bob", "loan.return", loan=loan)
        await south.do("cia", "loan.receive", loan=loan)
        assert await news(south, "bob") == []
        assert await news(north, "bob") == [("overdue", loan)], "that house has not heard of it"
        await south.tell(north)
        assert await news(north, "bob") == [], "nothing was sent, so nothing has to be called back"


async def test_who_comes_next_is_told_where_it_is_now(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        loan = await lent(north)
        asked = await north.do(
            "dan", "loan.request", resource="1622", begin=at(north, 200), end=at(north, 220)
        )
        await north.do("alice", "loan.approve", loan=asked["loan"])
        assert await news(north, "dan") == [], "it is out, and Dan's days are far away"
        await north.do("bob", "loan.return", loan=loan)
        await north.do("cia", "loan.receive", loan=loan)
        (row,) = (await north.see("loan.news", who="dan")).value["news"]
        assert row["kind"] == "moved"
        assert row["sentence"] == (
            "Cordless Drill 1622 is somewhere else now: pick it up from cia, not from alice."
        )
        handed = await north.do("cia", "loan.handover", loan=asked["loan"])
        assert await news(north, "dan") == [("offered", asked["loan"])]
        await north.do("dan", "loan.accept", loan=asked["loan"], offer=handed["offer"])
        assert await news(north, "dan") == []


async def test_two_islands_promise_and_the_loser_is_told(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north south") as (north, south):
        for number in ("1622", "1623"):
            await drill(north, number, categories="Drills")
        await agree(north, south)
        found = {}
        for home, who, steward in ((north, "bob", "alice"), (south, "dan", "cia")):
            asked = await home.do(
                who, "loan.request", resource="1622", begin=at(north, 2), end=at(north, 30)
            )
            found[who] = asked["loan"]
            await home.do(steward, "loan.approve", loan=asked["loan"])
        await agree(north, south)
        shown = [(await home.see("loan.waiting", resource="1622")).value for home in (north, south)]
        assert shown[0] == shown[1]
        (row,) = shown[0]["waiting"]
        assert (row["loan"], row["because"], row["borrower"]) == (
            found["dan"], "role", member("dan").hex(),
        )  # fmt: skip
        told = (await south.see("loan.show", loan=found["dan"])).value["waiting"]
        assert told["why"] == (
            "bob stands: alice promised Cordless Drill 1622 to bob as coordinator, and cia"
            " promised it to you as steward."
        )
        assert [one["number"] for one in told["alternatives"]] == ["1623", "1622"]
        assert (await south.see("loan.show", loan=found["bob"])).value["waiting"] is None
        asked = await south.do("cia", "loan.request", resource="1622",
                               begin=at(north, 3), end=at(north, 5))  # fmt: skip
        error = await refused("double_booking", south, "cia", "loan.approve", loan=asked["loan"])
        assert "1623 is free in that time" in error.way_out, "a steward is told what else would do"
        rows = (await south.see("loan.waiting", resource="1622")).value["waiting"]
        assert [one["place"] for one in rows] == [1, 2]
