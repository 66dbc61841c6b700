"""Vouches: their budget, their time, who may give them, and what coordinators are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.street import HOUR_MS, VERBS, Home, homes, member

from commons_crdt.authority.settings import Constitution
from commons_crdt.roles import Role
from commons_node.domains.reputation.facts import DAY_MS
from commons_node.domains.reputation.vouching import Given, Street, enough, judged
from commons_node.registry import Request
from commons_node.verifier.pool import VerifierPool

LIMITS = Constitution.of(())
ANNA, BO, EVE, FAY, GIL, HAL = (bytes([n]) * 32 for n in range(6))
START = 1_000 * DAY_MS
HERE = Street(
    {ANNA: Role.STEWARD, BO: Role.MEMBER, EVE: Role.NEWCOMER, FAY: Role.NEWCOMER,
     GIL: Role.NEWCOMER, HAL: Role.NEWCOMER},
    dict.fromkeys((ANNA, BO), 0), {},
)  # fmt: skip


def given(n: int, voucher: bytes, vouchee: bytes, day: int, *, stands: bool = True) -> Given:
    return Given(bytes([n]) * 32, voucher, vouchee, stands, voucher, n, START + day * DAY_MS)


def how(vouches: list[Given], day: int, here: Street = HERE) -> list[str]:
    found = judged(vouches, here, LIMITS, START + day * DAY_MS)
    assert found == judged(vouches[::-1], here, LIMITS, START + day * DAY_MS), "in any order"
    return [one.standing for one in found]


def test_a_vouch_runs_out_is_renewed_and_taken_back() -> None:
    first = given(1, ANNA, EVE, 0)
    assert how([first], 364) == ["stands"]
    assert how([first], 365) == ["expired"]
    assert how([first, given(2, ANNA, EVE, 300)], 400) == ["renewed", "stands"]
    hasty = [first, *(given(n, ANNA, one, n) for n, one in ((2, FAY), (3, GIL), (4, EVE)))]
    assert how(hasty, 5)[0::3] == ["stands", "over_budget"], "what does not count renews nothing"
    taken = [first, given(2, ANNA, EVE, 10, stands=False)]
    assert how(taken, 11) == ["withdrawn", "withdrawn"]


def test_budget_cool_down_and_age_bound_what_counts() -> None:
    quick = [given(n, ANNA, one, n) for n, one in enumerate((EVE, FAY, GIL, HAL))]
    assert how(quick, 5) == ["stands", "stands", "stands", "over_budget"]
    assert how([*quick, given(9, ANNA, HAL, 31)], 32)[-1] == "stands", "a new period"
    same_day = [given(1, ANNA, EVE, 0), given(2, ANNA, FAY, 0)]
    assert how(same_day, 1) == ["stands", "cooling"]
    young = replace(HERE, since={ANNA: START - 89 * DAY_MS})
    assert how([given(1, ANNA, EVE, 0)], 5, young) == ["young"]
    assert how([given(1, ANNA, EVE, 1)], 5, young) == ["stands"]


def test_who_vouched_for_somebody_removed_is_paused() -> None:
    gone = Street(
        {one: role for one, role in HERE.roles.items() if one != FAY}, HERE.since,
        {FAY: START + 20 * DAY_MS},
    )  # fmt: skip
    both = [given(1, ANNA, FAY, 0), given(2, ANNA, EVE, 2), given(3, BO, EVE, 2)]
    assert how(both, 21, gone) == ["gone", "paused", "stands"]
    assert how(both, 20 + 90, gone) == ["gone", "stands", "stands"]
    assert how(both, 21) == ["stands"] * 3, "nobody was removed"


def test_a_newcomer_needs_several_members() -> None:
    one = [given(1, ANNA, EVE, 0), given(2, ANNA, EVE, 2)]
    now = START + 3 * DAY_MS
    assert enough(judged(one, HERE, LIMITS, now), HERE, 2) == [], "one member twice is one"
    two = [*one, given(3, BO, EVE, 2), given(4, BO, ANNA, 9)]
    assert enough(judged(two, HERE, LIMITS, now), HERE, 2) == [EVE], "anna is a member already"


async def told(home: Home, who: str) -> list[str]:
    home.realm.notices.residents.add(member(who))
    session = _Session({member(who).hex()})
    verb = VERBS.view("notice.list")
    assert verb is not None
    reading = await verb.read(Request(home, session=session), verb.args())  # type: ignore[arg-type]
    rows = reading.value["notices"]
    assert isinstance(rows, list)
    return [f"{one['now']}: {one['sentence']}" for one in rows]


class _Session:
    def __init__(self, unlocked: set[str]) -> None:
        self._unlocked = unlocked

    def members(self) -> tuple[str, ...]:
        return tuple(self._unlocked)


async def test_coordinators_are_told_of_a_newcomer_with_enough_and_give_the_role(
    tmp_path: Path, pool: VerifierPool
) -> None:
    also = {"eve": Role.NEWCOMER}
    async with homes(tmp_path, pool, "north", also, rules=3) as (north,):
        error = await refused_vouch(north, "bob", "eve")
        assert "90 days" in error, "bob came yesterday"
        north.now += 91 * 24 * HOUR_MS
        with pytest.raises(Exception, match="newcomer"):
            await north.do("eve", "member.vouch", who="dan")
        assert "themselves" in await refused_vouch(north, "bob", "bob")
        done = await north.do("bob", "member.vouch", who="eve")
        assert (done["have"], done["needed"], done["verdict"]) == (1, 2, "accepted")
        assert "too soon" in await refused_vouch(north, "bob", "dan")
        assert await told(north, "alice") == []
        done = await north.do("dan", "member.vouch", who="eve")
        assert done["have"] == 2
        (notice,) = await told(north, "alice")
        assert "bob and dan" in notice
        assert f"member role {member('eve').hex()[:12]} member" in notice
        assert await told(north, "cia") == [], "only coordinators decide"
        rows = await north.rows("member.vouches", "vouches")
        assert {(one["voucher_name"], one["standing"]) for one in rows} == {
            ("bob", "stands"), ("dan", "stands"),
        }  # fmt: skip
        hashed = await north.state_hash()
        north.now += 365 * 24 * HOUR_MS
        assert await told(north, "alice") == [], "they ran out"
        assert await north.state_hash() == hashed
        north.now -= 300 * 24 * HOUR_MS
        await north.do("dan", "member.vouch", who="eve", withdraw=True)
        assert await told(north, "alice") == []
        north.now += 2 * 24 * HOUR_MS
        await north.do("dan", "member.vouch", who="eve")
        await north.do("alice", "member.role", who="eve", role="member")
        assert await told(north, "alice") == [], "done"


async def refused_vouch(home: Home, who: str, whom: str) -> str:
    """Why a vouch would not count."""
    before = await home.state_hash()
    with pytest.raises(Exception, match=r"would not count|themselves") as caught:
        await home.do(who, "member.vouch", who=whom)
    assert await home.state_hash() == before
    return str(caught.value)
