"""Finding things by words, without reading all that is known of each of them.

A word has to stand in the thing's number, or in names, brand, model or categories of its kind. A
kind is looked at once, however many things are of it; of a thing only the number is.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest

from commons_crdt.ids import DocumentId
from commons_node.community import Community
from commons_node.domains.resources.things import (
    SEARCHED,
    Place,
    Thing,
    place_of,
    things,
    things_of,
)

_KINDS = f"SELECT key, {', '.join(SEARCHED)} FROM v_specifications"  # noqa: S608 - our names
_ITEMS = "SELECT key, number, specification FROM v_items"


async def page(
    community: Community,
    query: str | None,
    state: str | None,
    after: Place | None,
    limit: int | None,
    skip: int = 0,
) -> tuple[list[Thing], bool]:
    """Things that fit, behind a place and ``skip`` more, at most ``limit``; whether more follow.

    What is known of a thing is read only of those that are shown, unless its state must be known.
    """
    if state is None and (query or limit is not None):
        places = await search(community, query or "")
        behind = places if after is None else [one for one in places if one[0] > after]
        shown = behind if limit is None else nsmallest(skip + limit, behind)
        more = len(behind) > len(shown)
        return await things_of(community, [key for _, key in shown[skip:]]), more
    found = await things(community)
    if query:
        fit = {key for _, key in await search(community, query)}
        found = [one for one in found if one.id in fit]
    found = [
        one for one in found
        if (after is None or one.place > after) and state in {None, one.state}
    ]  # fmt: skip
    end = None if limit is None else skip + limit
    return found[skip:end], end is not None and len(found) > end


async def search(community: Community, query: str) -> list[tuple[Place, DocumentId]]:
    """The things in which every word of ``query`` stands, in no order."""
    words = query.casefold().split()
    kinds = {row[0]: row[1:] for row in await community.query(_KINDS)}
    left = {key: _elsewhere(words, fields) for key, fields in kinds.items()}
    found = []
    for key, number, kind in await community.query(_ITEMS):
        rest = left.get(kind, words)
        if rest:
            text = (number or "").casefold()
            if not all(word in text for word in rest):
                continue
        fields = kinds.get(kind)
        found.append((place_of(number, fields[0] if fields else None, key), DocumentId(key)))
    return found


def _elsewhere(words: Sequence[str], fields: Sequence[str | None]) -> Sequence[str]:
    """The words that do not stand in what a kind says."""
    text = " ".join(field for field in fields if field).casefold()
    return [word for word in words if word not in text]
