"""A member's counts and trust in sentences, from the templates of ``wording``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from commons_crdt.ids import MemberId
from commons_crdt.texts import _, listed
from commons_node.domains.reputation import wording
from commons_node.domains.reputation.trusting import Trust
from commons_node.domains.reputation.wording import say


def in_words(name: str, counted: Mapping[str, Any], *, newcomer: bool) -> list[str]:
    """What stands in the counts; somebody new is said to be new, and nothing else."""
    months = counted["months"]
    if newcomer and not counted["returned"] and not counted["lent"]:
        return [say(wording.NEW, name=name)]
    said = []
    returned, lenders = counted["returned"], counted["lenders"]
    if not returned:
        said.append(say(wording.NOT_BORROWED, name=name, months=months))
    elif returned > 1 and lenders == 1:
        said.append(say(wording.RETURNED_TO_ONE, n=returned, name=name, months=months))
    else:
        said.append(wording.returned(returned, name=name, lenders=lenders, months=months))
    if spoken := counted["returned_spoken_of"]:  # of the others nobody knows: they are not late
        said.append(say(wording.ON_TIME, on_time=counted["returned_on_time"], spoken=spoken))
    if counted["lent"]:
        said.append(wording.lent(counted["lent"], counted["people"]))
    if counted["sealed"]:
        said.append(wording.sealed(counted["sealed"]))
    return said


def weight(counted: Mapping[str, Any], weighed: Mapping[str, Any]) -> str:
    """How many of a member's loans say anything to whoever looks; "" if all do, or none is."""
    every = counted["returned"] + counted["lent"]
    heavy = weighed["returned"] + weighed["lent"]
    if heavy == every:
        return ""
    if not heavy:
        return " " + wording.light(every)
    return " " + say(wording.SOME_WEIGH, n=heavy, every=every)


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
        return _(wording.YOU) if one == viewer else names.get(MemberId(one), one.hex()[:8])

    if viewer == member:
        return [_(wording.SELF)]
    said = []
    if known.known:
        who = listed([called(one) for one in known.known])
        said.append(wording.known(len(known.known), name, who))
    if known.own:
        said.append(say(wording.OWN, name=name))
    if member in starts:
        said.append(say(wording.FOUNDER, name=name))
    if known.capped:
        said.append(say(wording.MANY_WAYS, n=len(known.ways), name=name))
    elif known.ways:
        said.append(wording.ways(len(known.ways), name))
    elif member not in starts:
        said.append(say(wording.NO_WAY, name=name))
    return [" ".join(said), *(" - ".join(called(one) for one in way) for way in known.ways)]
