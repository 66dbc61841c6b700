"""Where a thing is lent and brought back: the zone of its days, and on which of them it is open.

A thing is at home in its community. A space answers here for the things that stand in it once
there are spaces: this is the one function that asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from commons_node.community import Community
from commons_node.domains.lending.opening import OpenDays, week_of


@dataclass(frozen=True, slots=True)
class Place:
    """A time zone, and something that knows open days."""

    zone: ZoneInfo
    opening: OpenDays


def place_of(community: Community, _resource: bytes) -> Place:
    """The place of a thing: the community's, since nothing says otherwise yet."""
    return Place(community.timezone, week_of(community.realm.judge.authority.constitution))
