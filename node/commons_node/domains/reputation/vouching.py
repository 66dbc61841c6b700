"""Which vouches stand: within a budget, for a time, by members of some standing.

Pure, and computed when somebody looks: it depends on now. Nothing follows from it by itself; a
coordinator who sees that a newcomer has enough gives the role
(docs/decisions/0021-vouches-advise-coordinators.md). The limits are the constitution's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from commons_crdt.authority.settings import Constitution
from commons_crdt.roles import Role
from commons_node.domains.reputation.facts import DAY_MS

Standing = Literal[
    "stands", "expired", "withdrawn", "renewed", "young", "over_budget", "cooling", "paused", "gone"
]


@dataclass(frozen=True, slots=True)
class Given:
    """One vouch as it was written; ``stands`` False takes it back."""

    id: bytes
    voucher: bytes
    vouchee: bytes
    stands: bool
    device: bytes
    seq: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A vouch, how it stands, and until when (ms) it does, if it does."""

    given: Given
    standing: Standing
    until_ms: int


@dataclass(frozen=True, slots=True)
class Street:
    """Who lives here: roles, since when (ms), and who was removed for good, at which time (ms)."""

    roles: Mapping[bytes, Role]
    since: Mapping[bytes, int]
    removed: Mapping[bytes, int]


def judged(
    vouches: Iterable[Given], street: Street, limits: Constitution, now_ms: int
) -> list[Judged]:
    """Every vouch with how it stands at ``now_ms``, in the order in which they were given."""
    found: list[Judged] = []
    by_voucher: defaultdict[bytes, list[Given]] = defaultdict(list)
    for one in vouches:
        by_voucher[one.voucher].append(one)
    for given in by_voucher.values():
        found += _of_one(sorted(given, key=_order), street, limits, now_ms)
    return sorted(found, key=lambda one: (one.given.time_ms, one.given.id))


def enough(found: Iterable[Judged], street: Street, needed: int) -> list[bytes]:
    """Newcomers for whom at least ``needed`` members vouch now."""
    vouchers: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for one in found:
        if one.standing == "stands":
            vouchers[one.given.vouchee].add(one.given.voucher)
    ready = (
        one for one, by in vouchers.items()
        if len(by) >= needed and street.roles.get(one) is Role.NEWCOMER
    )  # fmt: skip
    return sorted(ready)


def _order(one: Given) -> tuple[int, bytes, int]:
    return one.time_ms, one.device, one.seq


def _of_one(given: list[Given], street: Street, limits: Constitution, now_ms: int) -> list[Judged]:
    """The vouches of one member; what was never good spends nothing, and renews nothing."""
    good: list[Given] = []
    reasons: list[Standing] = []
    for one in given:
        why = _when_given(one, good, street, limits)
        reasons.append(why)
        if why == "stands":
            good.append(one)
    said = {one.vouchee: one for one in given if one in good or not one.stands}
    paused = _paused_until(given, street, limits)
    found = []
    for one, then in zip(given, reasons, strict=True):
        until, now = one.time_ms + limits.vouch_days * DAY_MS, then
        if then == "stands":
            if said[one.vouchee] is not one:
                now = "renewed" if said[one.vouchee].stands else "withdrawn"
            elif until <= now_ms:
                now = "expired"
            elif now_ms < paused:
                now = "paused"
        found.append(Judged(one, now, until))
    return found


def _when_given(one: Given, before: list[Given], street: Street, limits: Constitution) -> Standing:
    """How it stood when it was given, by the good ones ``before``."""
    period = one.time_ms - limits.vouch_period_days * DAY_MS
    if not one.stands:
        return "withdrawn"
    if one.voucher not in street.roles or one.vouchee not in street.roles:
        return "gone"
    if one.time_ms - street.since.get(one.voucher, one.time_ms) < limits.vouch_age_days * DAY_MS:
        return "young"
    if before and one.time_ms - before[-1].time_ms < limits.vouch_cooldown_days * DAY_MS:
        return "cooling"
    if sum(other.time_ms > period for other in before) >= limits.vouch_budget:
        return "over_budget"
    return "stands"


def _paused_until(given: Iterable[Given], street: Street, limits: Constitution) -> int:
    """Until when all vouches of somebody rest who vouched for a member that was removed."""
    ends = [0]
    for one in given:
        at = street.removed.get(one.vouchee)
        lasting = one.time_ms + limits.vouch_days * DAY_MS
        if one.stands and at is not None and one.time_ms <= at < lasting:
            ends.append(at + limits.vouch_pause_days * DAY_MS)
    return max(ends)
