"""A member's counts and trust in sentences, from the templates of ``wording``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from commons_crdt.ids import MemberId
from commons_crdt.texts import listed
from commons_node.domains.reputation import wording
from commons_node.domains.reputation.trusting import Trust
from commons_node.domains.reputation.wording import plural


def in_words(name: str, counted: Mapping[str, Any], *, newcomer: bool) -> list[str]:
    """What stands in the counts; somebody new is said to be new, and nothing else."""
    months = counted["months"]
    if newcomer and not counted["returned"] and not counted["lent"]:
        return [wording.NEW.format(name=name)]
    said = []
    gaps = {"name": name, "months": months, "on_time": counted["returned_on_time"]}
    returned, lenders = counted["returned"], counted["lenders"]
    if not returned:
        said.append(wording.NOT_BORROWED.format(name=name, months=months))
    elif returned > 1 and lenders == 1:
        said.append(wording.RETURNED_TO_ONE.format(n=returned, **gaps))
    else:
        said.append(plural(wording.RETURNED, returned, lenders=lenders, **gaps))
    if counted["lent"]:
        said.append(plural(wording.LENT, counted["lent"], people=counted["people"]))
    if counted["sealed"]:
        said.append(plural(wording.SEALED, counted["sealed"]))
    return said


def about_trust(
    name: str,
    known: Trust,
    names: Mapping[MemberId, str],
    viewer: bytes | None,
    member: bytes,
    starts: Collection[bytes],
) -> list[str]:
    """How the member is known to whoever looks; then each way by names."""

    def called(one: bytes) -> str:
        return wording.YOU if one == viewer else names.get(MemberId(one), one.hex()[:8])

    if viewer == member:
        return [wording.SELF]
    said = []
    if known.known:
        who = listed([called(one) for one in known.known])
        said.append(plural(wording.KNOWN, len(known.known), name=name, who=who))
    if known.own:
        said.append(wording.OWN.format(name=name))
    if member in starts:
        said.append(wording.FOUNDER.format(name=name))
    if known.capped:
        said.append(wording.MANY_WAYS.format(n=len(known.ways), name=name))
    elif known.ways:
        said.append(plural(wording.WAYS, len(known.ways), name=name))
    elif member not in starts:
        said.append(wording.NO_WAY.format(name=name))
    return [" ".join(said), *(" - ".join(called(one) for one in way) for way in known.ways)]
