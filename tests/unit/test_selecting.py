"""Pages of lists: whatever is asked for, put together they are the whole list, in its order."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from tests.unit.bureau import Run, bureau
from tests.unit.street import HOUR_MS, VERBS, Home, homes

from commons_crdt.errors import CommonsError
from commons_node.agents.manifest import Grant
from commons_node.capabilities.collections import COLLECTIONS, Collection
from commons_node.jobs.metering import Allowed, Meter
from commons_node.registry import Request
from commons_node.verifier.pool import VerifierPool

RICH: Final = Meter(Allowed(10**6, 10**6, 10**6))
"""Credits are not the matter here."""
THINGS: Final = tuple(str(n) for n in range(1, 8))
WAY: Final = ("approve", "handover", "accept", "return", "receive")
"""What happens to a loan if nothing else does."""


async def live(home: Home, rng: Random) -> None:
    """Some weeks in which people ask, lend, forget and bring back as it comes."""
    for number in THINGS:
        name = rng.choice(("Drill", "Saw"))
        more = {"quantity": 3} if number == "7" else {}
        await home.do("alice", "resource.add", name=name, number=number, **more)
    way: dict[str, tuple[str, int]] = {}
    for _ in range(220):
        home.now += rng.randrange(20) * HOUR_MS // 4
        loan = rng.choice([*way] or [""])
        who, done = way.get(loan, ("", 0))
        with suppress(CommonsError):  # some of it is not the time for it
            if not loan or rng.random() < 0.25:
                who, thing = rng.choice(("bob", "dan")), rng.choice(THINGS)
                asked = await home.do(who, "loan.request", resource=thing, days=rng.randrange(1, 9))
                way[str(asked["loan"])] = who, 0
            elif rng.random() < 0.1:
                await home.do("cia", "loan.decline", loan=loan)
            elif rng.random() < 0.1:
                await home.do(who, "loan.cancel", loan=loan)
            elif rng.random() < 0.2:
                await home.do(who, "loan.extend", loan=loan, days=2)
            elif done < len(WAY):
                step = WAY[done]
                who_acts = who if step in {"accept", "return"} else rng.choice(("alice", "cia"))
                await home.do(who_acts, f"loan.{step}", loan=loan)
                way[loan] = who, done + 1


async def whole(home: Home, of: Collection) -> list[dict[str, Any]]:
    """The list, as the view answers who looks at all of it."""
    return await home.rows(of.view, of.rows, **of.arguments)


def fits(row: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """What a filter lets through, said once more."""
    for name, wanted in where.items():
        value = row.get(name)
        if isinstance(wanted, dict):
            ((order, than),) = wanted.items()
            kind = str if isinstance(than, str) else (int, float)
            if not isinstance(value, kind) or isinstance(value, bool):
                return False
            if not getattr(operator, order)(value, than):
                return False
        elif not any(value == one and type(value) is type(one) for one in
                     (wanted if isinstance(wanted, list) else [wanted])):  # fmt: skip
            return False
    return True


def some_filter(rng: Random, rows: Sequence[Mapping[str, Any]], of: Collection) -> dict[str, Any]:
    """Values that stand in the list, and some that do not."""
    where: dict[str, Any] = {}
    for name in rng.sample(of.fields, rng.choice((0, 1, 1, 2))):
        values = [row.get(name) for row in rows] or [None]
        plain = [one for one in values if not isinstance(one, list | dict)] or [None]
        one = rng.choice(plain)
        if isinstance(one, str | int) and not isinstance(one, bool) and rng.random() < 0.5:
            where[name] = {rng.choice(("lt", "le", "gt", "ge")): one}
        elif rng.random() < 0.3:
            where[name] = [one, rng.choice(plain), "nowhere"]
        else:
            where[name] = one
    return where


async def pages(run: Run, limit: int, **asked: Any) -> list[dict[str, Any]]:
    """All pages, one behind the other."""
    found: list[dict[str, Any]] = []
    after = None
    for _ in range(1_000):
        page = await run("docs.query", limit=limit, after=after, **asked)
        assert len(page["rows"]) <= limit
        assert page["more"] == (page["next"] is not None)
        found += page["rows"]
        after = page["next"]
        if after is None:
            return found
        assert len(page["rows"]) == limit, "a page is full where there is another one"
    raise AssertionError("the pages have no end")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_pages_of_any_list_are_the_list(
    tmp_path: Path, pool: VerifierPool, seed: int
) -> None:
    rng = Random(seed)
    async with (
        homes(tmp_path, pool, "north", rules=3) as (north,),
        bureau(tmp_path, meter=RICH) as house,
    ):
        await live(north, rng)
        house.inside = replace(
            house.inside, registry=VERBS,
            request=lambda community: Request(north, community=community),  # type: ignore[arg-type]  # a node
        )  # fmt: skip
        run = await house.run()
        assert len(await whole(north, COLLECTIONS["loan"])) > 12, "there is something to page"
        for of in COLLECTIONS.values():
            rows = await whole(north, of)
            within = some_filter(rng, rows, of) if seed > 1 else {}
            grant = Grant(collections=(of.name,), where=within)
            house.granted = {"docs.query": grant, "docs.get": grant}
            for _ in range(40):
                where = some_filter(rng, rows, of)
                fields = rng.sample(of.fields, rng.randrange(1, len(of.fields) + 1))
                fit = [row for row in rows if fits(row, within) and fits(row, where)]
                told = await pages(
                    run, rng.randrange(1, 12), collection=of.name, where=where, fields=fields
                )
                shown = [{name: row.get(name) for name in fields} for row in fit]
                assert told == shown, (of.name, where, within)
            for row in rng.sample(rows, min(5, len(rows))):
                got = await run("docs.get", collection=of.name, id=row[of.key])
                there = {name: row.get(name) for name in of.fields} if fits(row, within) else None
                assert got["row"] == there, of.name


async def test_loans_are_filtered_as_their_rows_say(tmp_path: Path, pool: VerifierPool) -> None:
    loan = COLLECTIONS["loan"]
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await live(north, Random(4))
        rows = await whole(north, loan)
        assert {"returned", "approved"} <= {row["state"] for row in rows}
        assert any(row["overdue"] for row in rows)
        for state in {row["state"] for row in rows}:
            told = await north.rows("loan.list", "loans", state=state)
            assert told == [row for row in rows if row["state"] == state]
        late = await north.rows("loan.list", "loans", overdue=True)
        assert late == [row for row in rows if row["overdue"]]
        for number in THINGS:
            told = await north.rows("loan.list", "loans", resource=number)
            assert told == [row for row in rows if row["number"] == number]
        bob = north.people["bob"].member.hex()
        told = await north.rows("loan.list", "loans", who="bob", mine=True, state="returned")
        assert told == [row for row in rows if (row["borrower"], row["state"]) == (bob, "returned")]
