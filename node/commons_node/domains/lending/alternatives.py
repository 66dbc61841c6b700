"""What else would do: the same kind of thing, the same thing later, or something of its sort."""

from __future__ import annotations

from typing import Final

from commons_node.community import Community
from commons_node.domains.lending.booking import busiest, free_from
from commons_node.domains.lending.loans import bookings_of
from commons_node.domains.lending.terms import instant
from commons_node.domains.lending.wording import ALSO_FREE, FREE_FROM
from commons_node.domains.resources.things import Thing, thing, things
from commons_node.explaining import catalogue

MOST: Final = 3
_LOOKED_AT: Final = 40


async def alternatives(
    community: Community, resource: bytes, from_ms: int, until_ms: int, now_ms: int, loan: bytes
) -> list[dict[str, object]]:
    """At most three, the nearest first: ``resource, name, number, from, sentence`` each.

    ``loan``: whose time it is; it does not stand in its own way.
    """
    item = await thing(community, resource)
    if item is None:
        return []
    found: list[dict[str, object]] = []
    same = await things(community, "i.specification = ?", (item.specification,))
    alike = [one for one in same if one.id != item.id]
    alike += await _of_its_sort(community, item)
    for other in alike[:_LOOKED_AT]:
        if len(found) == MOST - 1:
            break
        if await _is_free(community, other, from_ms, until_ms, now_ms):
            said = catalogue.sentence(ALSO_FREE, name=other.label)
            found.append(_row(other, from_ms, said))
    booked = await bookings_of(community, resource, now_ms, without=loan)
    begin = max(from_ms, now_ms)
    free = free_from(booked, max(item.quantity or 1, 1), begin, until_ms - from_ms)
    if free is not None:
        said = catalogue.sentence(FREE_FROM, name=item.label, time=instant(free) or "")
        found.append(_row(item, free, said))
    return found


async def _of_its_sort(community: Community, item: Thing) -> list[Thing]:
    """Things of another kind that share a category with it."""
    own = _categories(item)
    if not own:
        return []
    listed = await things(community, "i.specification <> ?", (item.specification,))
    return [one for one in listed if own & _categories(one)]


def _categories(item: Thing) -> set[str]:
    text = str(item.kind["categories"] or "")
    return {part.strip().casefold() for part in text.split(";") if part.strip()}


async def _is_free(
    community: Community, item: Thing, from_ms: int, until_ms: int, now_ms: int
) -> bool:
    if item.stated != "active" or not item.quantity:
        return False
    booked = await bookings_of(community, item.id, now_ms)
    return busiest(booked, from_ms, until_ms) < item.quantity


def _row(item: Thing, from_ms: int, said: str) -> dict[str, object]:
    return {
        "resource": item.id.hex(),
        "name": item.name,
        "number": item.number or None,
        "from": instant(from_ms),
        "sentence": said,
    }
