"""What an agent may do: what it asks for, within what its host has agreed to.

Pure. ``within`` says whether one grant goes no further than another, ``meet`` is the widest that
goes no further than either. What an upgrade asks for beyond what was agreed to is ``wider``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil
from typing import Final

import msgspec

from commons_node.agents import quantities
from commons_node.agents.manifest import AgentLimits, Grant, Manifest

_WORDS: Final = ("collections", "fields", "kinds", "hosts", "drivers")
_NUMBERS: Final = ("max_rows", "max_bytes")
_PERIODS: Final = {60: "minute", 3600: "hour", 86_400: "day"}


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a host has agreed to, and what was asked for and ``withheld``."""

    capabilities: Mapping[str, Grant] = {}
    limits: AgentLimits = AgentLimits()
    withheld: Mapping[str, Grant] = {}


def agreeing(manifest: Manifest, without: Collection[str] = ()) -> Approval:
    """Agreement to all that a manifest asks for, but for some capabilities."""
    asked = manifest.capabilities
    return Approval(
        {method: grant for method, grant in asked.items() if method not in without},
        manifest.limits,
        {method: grant for method, grant in asked.items() if method in without},
    )


def kept(manifest: Manifest, approval: Approval) -> Approval:
    """What stays agreed to when another version comes: no more than that version asks for.

    So who asks for less, and later for more again, is asked about again.
    """
    capabilities, limits = effective(manifest, approval), effective_limits(manifest, approval)
    return Approval(capabilities, limits, approval.withheld)


def effective(manifest: Manifest, approval: Approval) -> Mapping[str, Grant]:
    """What the agent may do: requested, and agreed to."""
    found = {}
    for method, asked in manifest.capabilities.items():
        agreed = approval.capabilities.get(method)
        both = meet(asked, agreed) if agreed is not None else None
        if both is not None:
            found[method] = both
    return found


def effective_limits(manifest: Manifest, approval: Approval) -> AgentLimits:
    """What one run may take: the lower of both, each."""
    asked, agreed = manifest.limits, approval.limits
    lowest = {
        name: min(getattr(asked, name), getattr(agreed, name))
        for name in AgentLimits.__struct_fields__
        if name != "credits"
    }
    both = (asked.credits, agreed.credits)
    budget = agreed.credits if None in both else min(one for one in both if one is not None)
    return AgentLimits(**lowest, credits=budget)


def wider(manifest: Manifest, approval: Approval) -> tuple[str, ...]:
    """What goes beyond what was agreed to: capabilities, and ``limits``.

    What the host withheld stays withheld, and is no reason to ask again.
    """
    found = [
        method
        for method, asked in manifest.capabilities.items()
        if not any(
            within(asked, known[method])
            for known in (approval.capabilities, approval.withheld)
            if method in known
        )
    ]
    if limits_beyond(manifest.limits, approval.limits):
        found.append("limits")
    return tuple(found)


def limits_beyond(asked: AgentLimits, agreed: AgentLimits) -> tuple[str, ...]:
    """The limits that are higher than agreed to."""
    higher = [
        name
        for name in AgentLimits.__struct_fields__
        if name != "credits" and getattr(asked, name) > getattr(agreed, name)
    ]
    if asked.credits is not None and (agreed.credits is None or asked.credits > agreed.credits):
        higher.append("credits")
    return tuple(higher)


def within(narrow: Grant, wide: Grant) -> bool:
    """Whether ``narrow`` lets nothing happen that ``wide`` does not."""
    for name in _WORDS:
        inner, outer = getattr(narrow, name), getattr(wide, name)
        if outer is not None and (inner is None or not set(inner) <= set(outer)):
            return False
    for name in _NUMBERS:
        inner, outer = getattr(narrow, name), getattr(wide, name)
        if outer is not None and (inner is None or inner > outer):
            return False
    if any(_value(narrow, key, value) is _UNSAID for key, value in (wide.where or {}).items()):
        return False
    if wide.rate is None:
        return True
    return narrow.rate is not None and _slower(narrow.rate, wide.rate)


_UNSAID: Final = object()


def _value(grant: Grant, key: str, value: object) -> object:
    """The value that a grant's rows have in a field, if it is the same one; else ``_UNSAID``."""
    found = (grant.where or {}).get(key, _UNSAID)
    return found if type(found) is type(value) and found == value else _UNSAID


def _slower(narrow: str, wide: str) -> bool:
    """Never more often in any span of time."""
    (count, period), (most, span) = quantities.rate(narrow), quantities.rate(wide)
    return count * ceil(span / period) <= most


def meet(one: Grant, other: Grant) -> Grant | None:
    """The widest grant within both; None where no row can be within both."""
    where = {**(one.where or {}), **(other.where or {})}
    if any(
        _value(one, key, value) is _UNSAID
        for key, value in where.items()
        if key in (one.where or {})
    ):
        return None
    words = {name: _common(getattr(one, name), getattr(other, name)) for name in _WORDS}
    numbers = {name: _least(getattr(one, name), getattr(other, name)) for name in _NUMBERS}
    return Grant(**words, **numbers, where=where or None, rate=_rarer(one.rate, other.rate))  # type: ignore[arg-type]  # each field its own type


def _common(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(word for word in one if word in other)


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _rarer(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return other if one is None else one
    if _slower(one, other):
        return one
    if _slower(other, one):
        return other
    (few, short), (many, long) = quantities.rate(one), quantities.rate(other)
    return f"{min(few, many)}/{_PERIODS[max(short, long)]}"
