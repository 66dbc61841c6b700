"""What is granted: requested and agreed to, never more; what an upgrade wants beyond it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_node.agents.grants import (
    Approval,
    agreeing,
    effective,
    effective_limits,
    kept,
    limits_beyond,
    meet,
    wider,
    within,
)
from commons_node.agents.manifest import AgentLimits, Grant, Manifest

words = st.none() | st.lists(st.sampled_from("abc"), unique=True).map(tuple)
rates = st.none() | st.builds(
    "{}/{}".format, st.integers(1, 3000), st.sampled_from(["minute", "hour", "day"])
)
values = st.sampled_from(["a", 1, True, False, 0])
PLAIN = AgentLimits()
grants = st.builds(
    Grant,
    collections=words,
    fields=words,
    where=st.none() | st.dictionaries(st.sampled_from(["x", "y"]), values, min_size=1),
    kinds=words,
    max_rows=st.none() | st.integers(1, 9),
    rate=rates,
)


def manifest(limits: AgentLimits = PLAIN, **capabilities: Grant) -> Manifest:
    named = {name.replace("_", "."): grant for name, grant in capabilities.items()}
    return Manifest("a", "1.0.0", "api", "python", "a.py:main", "aa" * 32, capabilities=named,
                    limits=limits)  # fmt: skip


@given(grants, grants)
def test_what_two_allow_is_within_both(one: Grant, other: Grant) -> None:
    both = meet(one, other)
    if both is None:
        common = set(one.where or {}) & set(other.where or {})
        assert any((one.where or {})[key] is not (other.where or {})[key] for key in common)
        return
    assert within(both, one)
    assert within(both, other)


@given(grants, grants, grants)
def test_within_is_an_order(one: Grant, two: Grant, three: Grant) -> None:
    assert within(one, one)
    assert within(one, Grant()), "nothing is wider than no bound"
    if within(one, two) and within(two, three):
        assert within(one, three)
    if within(one, two):
        both = meet(one, two)
        assert both is not None
        assert within(one, both), "and what is within both is all that there is"


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        ("10/hour", "10/minute", True),
        ("10/minute", "10/hour", False),
        ("50/day", "50/hour", True),
        ("2/hour", "50/day", True),  # 48 a day
        ("3/hour", "50/day", False),
    ],
)
def test_rates_in_any_span_of_time(narrow: str, wide: str, *, expected: bool) -> None:
    assert within(Grant(rate=narrow), Grant(rate=wide)) is expected


def test_a_value_and_one_that_only_compares_equal() -> None:
    assert not within(Grant(where={"x": 1}), Grant(where={"x": True}))
    assert meet(Grant(where={"x": 1}), Grant(where={"x": True})) is None


def test_granted_is_requested_and_agreed_to() -> None:
    asked = manifest(docs_query=Grant(("loan", "member")), notify_send=Grant(), now=Grant())
    agreed = Approval({"docs.query": Grant(("loan",), max_rows=5), "notify.send": Grant(),
                       "http.fetch": Grant()})  # fmt: skip
    found: Mapping[str, Grant] = effective(asked, agreed)
    assert found == {"docs.query": Grant(("loan",), max_rows=5), "notify.send": Grant()}


def test_an_upgrade_that_wants_more_is_noticed_and_one_that_wants_less_passes() -> None:
    before = manifest(docs_query=Grant(("loan",)), http_fetch=Grant(hosts=("a",)))
    agreed = agreeing(before, {"http.fetch"})
    assert effective(before, agreed) == {"docs.query": Grant(("loan",))}
    assert wider(before, agreed) == (), "what was withheld is not asked for again"
    more = manifest(docs_query=Grant(("loan", "member")), http_fetch=Grant(hosts=("a",)))
    assert wider(more, agreed) == ("docs.query",)
    elsewhere = manifest(docs_query=Grant(("loan",)), http_fetch=Grant(hosts=("a", "b")))
    assert wider(elsewhere, agreed) == ("http.fetch",)
    assert wider(manifest(kv_put=Grant()), agreed) == ("kv.put",)
    assert wider(manifest(docs_query=Grant(("loan",), max_rows=3)), agreed) == ()
    assert wider(manifest(), agreed) == ()
    assert wider(manifest(AgentLimits(wall_s=21)), agreed) == ("limits",)


def test_who_asked_for_less_once_is_asked_about_again() -> None:
    before = manifest(docs_query=Grant(), kv_put=Grant())
    less = manifest(docs_query=Grant(("loan",)))
    agreed = kept(less, agreeing(before))
    assert wider(less, agreed) == ()
    assert wider(before, agreed) == ("docs.query", "kv.put")


def test_limits_are_the_lower_of_both() -> None:
    asked, agreed = AgentLimits(calls=5, wall_s=30), AgentLimits(calls=9, wall_s=20, credits=4)
    found = effective_limits(manifest(asked), Approval(limits=agreed))
    assert (found.calls, found.wall_s, found.credits) == (5, 20, 4)
    assert limits_beyond(asked, agreed) == ("wall_s",)
    assert limits_beyond(AgentLimits(calls=9, credits=5), agreed) == ("credits",)
    assert limits_beyond(AgentLimits(credits=5), AgentLimits()) == ("credits",)
