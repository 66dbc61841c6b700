"""Second thoughts about a loan: called off, kept longer, never fetched, too much at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.street import HOUR_MS, Home, homes
from tests.unit.test_lending_nodes import drill, lent, refused

from commons_node.domains.lending.opening import Week, open_days_later
from commons_node.domains.lending.terms import pick_up
from commons_node.verifier.pool import VerifierPool

DAY_MS = 24 * HOUR_MS


async def newest_rules(home: Home, *settings: str) -> None:
    """A street that knows cancelling and longer loans, with these settings."""
    await home.do("alice", "community.propose", what="rules", version=3)
    if settings:
        await home.do("alice", "community.propose", what="constitution", settings=list(settings))


async def news(home: Home, who: str) -> list[str]:
    return [row["kind"] for row in (await home.see("loan.news", who=who)).value["news"]]


async def shown(home: Home, loan: str) -> dict[str, object]:
    return dict((await home.see("loan.show", loan=loan)).value)


async def test_a_borrower_calls_off_what_nobody_has_handed_over(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north south") as (north, south):
        await drill(north)
        loan = str((await north.do("bob", "loan.request", resource="1622", days=3))["loan"])
        await refused("needs_rules", north, "bob", "loan.cancel", loan=loan)
        await newest_rules(north)
        await refused("state", north, "dan", "loan.cancel", loan=loan)
        await north.do("alice", "loan.approve", loan=loan)
        done = await north.do("bob", "loan.cancel", loan=loan, reason="found my own")
        assert done["state"] == "cancelled"
        await north.tell(south)
        told = await shown(south, loan)
        assert (told["state"], told["reason_given"]) == ("cancelled", "found my own")
        assert [step["step"] for step in told["steps"]] == ["request", "approve", "cancel"]  # type: ignore[attr-defined]  # rows
        assert await news(south, "bob") == []
        again = await north.do("dan", "loan.request", resource="1622", days=3)
        assert again["note"] is None, "it is free again"
        await north.do("alice", "loan.approve", loan=again["loan"])
        await refused("state", north, "bob", "loan.cancel", loan=loan)
        assert await south.state_hash() != await north.state_hash()


async def test_a_loan_is_made_longer_while_nobody_waits(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north south") as (north, south):
        await newest_rules(north)
        await drill(north)
        loan = await lent(north)
        first = str((await shown(north, loan))["due_day"])
        asked = await north.do("bob", "loan.extend", loan=loan, days=2)
        assert str(asked["due_day"]) > first
        assert (await shown(north, loan))["due_day"] == first, "a wish alone moves nothing"
        assert await news(north, "bob") == ["asked"]
        await refused("state", north, "bob", "loan.extend", loan=loan, days=4)
        await refused("not_permitted", north, "dan", "loan.approve", loan=loan)
        granted = await north.do("cia", "loan.approve", loan=loan)
        assert (granted["granted"], granted["kept_until"]) == (True, asked["due_day"])
        await north.tell(south)
        for home in (north, south):
            told = await shown(home, loan)
            assert (told["due_day"], told["meant"], told["state"]) == (
                asked["due_day"], "P2D", "on_loan",
            )  # fmt: skip
            assert [step["step"] for step in told["steps"]][-2:] == ["extend", "grant"]  # type: ignore[attr-defined]  # rows
        assert await north.state_hash() == await south.state_hash()
        assert await news(south, "bob") == ["longer"]
        north.now += 4 * DAY_MS
        assert (await shown(north, loan))["overdue"] is False, "the first day went by"
        north.now += 2 * DAY_MS
        assert (await shown(north, loan))["overdue"] is True


async def test_it_is_refused_with_a_reason_when_somebody_waits(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north south") as (north, south):
        await newest_rules(north)
        await drill(north)
        loan = await lent(north)
        await north.tell(south)
        wish = await north.do("bob", "loan.extend", loan=loan, days=5)
        await south.do("dan", "loan.request", resource="1622", days=6)
        await south.tell(north)  # bob had not heard of dan when he asked
        error = await refused("wanted", north, "cia", "loan.approve", loan=loan)
        assert (
            str(error) == "dan wants Cordless Drill 1622 in that time, so it cannot be kept longer."
        )
        said = await north.do("cia", "loan.decline", loan=loan, reason="Dan needs it")
        assert (said["granted"], said["back_by"]) == (False, (await shown(north, loan))["due_day"])
        told = await shown(north, loan)
        assert told["reason_given"] == "Dan needs it"
        assert told["extension"] == {
            "extension": wish["extension"], "state": "refused", "due": wish["due"],
            "due_day": wish["due_day"],
        }  # fmt: skip
        assert await news(north, "bob") == ["refused"]
        await refused("wanted", north, "bob", "loan.extend", loan=loan, days=5)
        await refused("terms", north, "bob", "loan.extend", loan=loan)
        await refused("terms", north, "bob", "loan.extend", loan=loan, due="2020-01-01")


async def test_a_steward_who_borrows_needs_another_one_to_keep_it_longer(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await newest_rules(north, "loan.extensions=1")
        await drill(north)
        loan = await lent(north, giver="alice", taker="cia")
        await north.do("cia", "loan.extend", loan=loan, days=2)
        await refused("state", north, "cia", "loan.approve", loan=loan)
        await north.do("alice", "loan.approve", loan=loan)
        await refused("too_many", north, "cia", "loan.extend", loan=loan, days=2)


async def test_a_promise_that_nobody_fetches_lapses_and_others_may_have_it(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await newest_rules(north)
        await drill(north)
        loan = str((await north.do("bob", "loan.request", resource="1622", days=30))["loan"])
        await north.do("alice", "loan.approve", loan=loan)
        told = await shown(north, loan)
        assert (told["lapsed"], await news(north, "bob")) == (False, ["ready"])
        kept = str(told["keep"])
        assert kept in (await north.see("loan.news", who="bob")).value["news"][0]["sentence"]
        asked = await north.do("dan", "loan.request", resource="1622", days=12)
        await refused("double_booking", north, "alice", "loan.approve", loan=asked["loan"])
        north.now += 8 * DAY_MS
        before = await north.state_hash()
        told = await shown(north, loan)
        assert (told["lapsed"], told["state"]) == (True, "approved"), "time alone writes nothing"
        assert await news(north, "bob") == ["lapsed"]
        assert await north.state_hash() == before
        await refused("state", north, "alice", "loan.approve", loan=loan)
        await north.do("alice", "loan.approve", loan=asked["loan"])
        await refused("double_booking", north, "alice", "loan.handover", loan=loan)
        await north.do("alice", "loan.decline", loan=asked["loan"])
        await north.do("alice", "loan.handover", loan=loan)
        await north.do("bob", "loan.accept", loan=loan)
        assert (await shown(north, loan))["state"] == "on_loan", "who comes late still gets it"


async def test_a_promise_waits_while_somebody_else_has_the_thing(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await newest_rules(north)
        await drill(north)
        loan = await lent(north)
        later = await north.do(
            "dan", "loan.request", resource="1622",
            begin=_at(north, 100), end=_at(north, 100 + 24 * 60),
        )  # fmt: skip
        await north.do("alice", "loan.approve", loan=later["loan"])
        north.now += 20 * DAY_MS
        assert (await shown(north, later["loan"]))["lapsed"] is False, "bob is late, not dan"
        await north.do("bob", "loan.return", loan=loan)
        await north.do("cia", "loan.receive", loan=loan)
        assert (await shown(north, later["loan"]))["lapsed"] is False, "the days begin now"
        north.now += 8 * DAY_MS
        assert (await shown(north, later["loan"]))["lapsed"] is True


async def test_one_member_asks_for_and_holds_so_much_and_no_more(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await newest_rules(north, "loan.holds=2", "loan.out=1")
        for number in ("1", "2", "3"):
            await drill(north, number)
        first = str((await north.do("bob", "loan.request", resource="1", days=3))["loan"])
        twice = await refused("state", north, "bob", "loan.request", resource="1", days=9)
        assert "on your list already" in str(twice)
        second = str((await north.do("bob", "loan.request", resource="2", days=3))["loan"])
        error = await refused("too_many", north, "bob", "loan.request", resource="3", days=3)
        assert "2 things that you have not fetched, and 2 are allowed" in str(error)
        assert error.way_out.startswith("commons-node loan cancel ")
        await north.do("alice", "loan.approve", loan=first)
        error = await refused("too_many", north, "alice", "loan.approve", loan=second)
        assert "bob has or is promised 1 thing already" in str(error)
        await north.do("bob", "loan.cancel", loan=first)
        await north.do("alice", "loan.approve", loan=second)
        await north.do("bob", "loan.request", resource="3", days=3)


async def test_days_on_which_nobody_was_there_extend_a_promise_at_every_node(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north south") as (north, south):
        await newest_rules(north)
        await drill(north)
        loan = str((await north.do("bob", "loan.request", resource="1622", days=30))["loan"])
        await north.do("alice", "loan.approve", loan=loan)
        kept = date.fromisoformat(str((await shown(north, loan))["keep"]))
        north.now += 8 * DAY_MS
        south.now = north.now
        await north.tell(south)
        for home in (north, south):
            assert (await shown(home, loan))["lapsed"] is True, "nobody knows of an outage yet"
        lost = [f"closed.{kept - timedelta(days=ago)}=1" for ago in (0, 1, 2)]
        await north.do("alice", "community.propose", what="constitution", settings=lost)
        await north.tell(south)
        for home in (north, south):
            told = await shown(home, loan)
            assert (told["keep"], told["lapsed"]) == (str(kept + timedelta(days=3)), False)
        assert await news(south, "bob") == ["ready"]
        south.now = north.now = north.now + 3 * DAY_MS
        for home in (north, south):
            assert (await shown(home, loan))["lapsed"] is True, "three days longer, and no more"


def test_a_promise_is_kept_for_so_many_open_days() -> None:
    zone = ZoneInfo("Europe/Stockholm")
    monday = int(datetime(2026, 3, 23, 22, 30, tzinfo=UTC).timestamp() * 1000)
    kept = pick_up(monday, 7, zone, Week(frozenset({0, 1, 2, 3, 4}), frozenset({"03-30"})))
    assert kept is not None
    day, end_ms = kept
    assert day.isoformat() == "2026-04-02", "neither the weekend nor the 30th counts"
    assert datetime.fromtimestamp(end_ms / 1000, zone).isoformat() == "2026-04-03T00:00:00+02:00"
    assert pick_up(1 << 61, 7, zone, Week()) is None, "beyond the calendar"
    assert pick_up(monday, 1 << 61, zone, Week()) is None, "so many days, too"


@given(
    st.dates(date(1971, 1, 1), date(2100, 1, 1)),
    st.integers(1, 60),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.frozensets(st.dates(date(2026, 1, 1), date(2026, 12, 31)).map(str), max_size=9),
)
def test_a_closed_day_more_never_makes_a_promise_shorter(
    day: date, count: int, week: frozenset[int], closed: frozenset[str]
) -> None:
    found = open_days_later(day, count, Week(week, closed))
    assert Week(week, closed).is_open(found)
    between = ((found - timedelta(days=n)) for n in range((found - day).days))
    assert sum(Week(week, closed).is_open(one) for one in between) == count
    assert open_days_later(day, count, Week(week)) <= found
    assert open_days_later(day, count, Week(week, closed | {str(found)})) > found


def test_a_place_that_never_opens_keeps_nobody_waiting_for_ever() -> None:
    year = frozenset((date(2028, 1, 1) + timedelta(days=n)).isoformat()[5:] for n in range(366))
    assert open_days_later(date(2026, 3, 23), 7, Week(closed=year)) == date(2026, 3, 30)
    assert open_days_later(date(2026, 3, 23), 400, Week()) == date(2027, 4, 27)


def _at(home: Home, hours: float) -> object:
    return datetime.fromtimestamp(home.now / 1000, UTC) + timedelta(hours=hours)
