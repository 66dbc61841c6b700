"""Settled or provisional: whether what a view shows can still change without anybody writing anew.

A row is settled when every operation that it is made of is. Until the first seal all of them are
provisional, and where this node has not come to the state that the newest seal claims, too.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from commons_crdt.ids import MemberId
from commons_crdt.texts import N_, _
from commons_node.community import Community
from commons_node.explaining.doubting import doubt_of
from commons_node.peering.types import PeerState
from commons_node.realm.pruning import PRUNED
from commons_node.sealing.comparing import compared
from commons_node.store.settled import provisional_documents, provisional_keys, settled_counts

SETTLED = N_("Settled: this will not change any more.")
OLD_HISTORY = N_("ask a node with prune = false, or for its archive: commons-node community verify")
"""Who needs what was left out."""
PROVISIONAL = N_("Provisional: what is still on its way may change this, until a seal settles it.")


def certainty(settled: bool) -> dict[str, object]:
    """The two fields of one thing that is shown by itself."""
    return {"settled": settled, "certainty": _(SETTLED if settled else PROVISIONAL)}


@dataclass(frozen=True, slots=True)
class Everything:
    """Before the first seal, or while it is not known that a seal came to what it says."""

    def __contains__(self, _key: object) -> bool:
        """All is provisional."""
        return True


async def is_assured(community: Community) -> bool:
    """True if this node folded what the newest whole seal settles, and came to the same."""
    return (await compared(community.realm)).state == "equal"


async def provisional_rows(community: Community, view: str) -> Container[bytes]:
    """The keys of the rows of a view that are provisional."""
    if not await is_assured(community):
        return Everything()
    await community.realm.settled()
    return await provisional_keys(community.realm.store.database.read, view)


async def provisional_things(community: Community) -> Container[bytes]:
    """The documents of which something is provisional."""
    if not await is_assured(community):
        return Everything()
    await community.realm.settled()
    return await provisional_documents(community.realm.store.database.read)


async def provisional_members(community: Community) -> Container[MemberId]:
    """Members of whom some act of log 0 that stands, or what made them one, is not settled."""
    authority = community.realm.judge.authority
    polity = authority.polity
    if polity is None or not polity.layers or not await is_assured(community):
        return Everything()
    settled, book = polity.settled_view, polity.book
    found = {
        MemberId(entry.document)
        for entry in book.entries
        if not settled >> entry.n & 1 and not polity.verdict(entry.n).reason
    }
    found |= {
        member
        for member, roots in book.roots.items()
        if any(not settled >> root & 1 and not polity.verdict(root).reason for root in roots)
    }
    made = authority.council.made
    return found | {m for m, act in made.items() if not settled >> authority.bits[act] & 1}


async def standing_of_seals(
    community: Community, peers: Iterable[PeerState] = ()
) -> dict[str, object]:
    """How far seals have come here: the last one, the pin, how much of what is stored, and what
    speaks against it; ``peers`` are those of whom a tip that is not here could have come.
    """
    realm = community.realm
    seals = realm.judge.seals()
    settled, stored = await settled_counts(realm.store.database.read)
    doubt = await doubt_of(community, peers)
    return {
        "settled": settled >= stored and await is_assured(community),
        "settled_operations": settled,
        "seal": seals[-1].seal.hex() if seals else None,
        "compared": (await compared(realm)).state,
        "pin": realm.judge.pin.hex() if realm.judge.pin is not None else None,
        "doubt": doubt.json if doubt is not None else None,
        "history": await _history(community),
    }


async def _history(community: Community) -> dict[str, object]:
    """What is not kept here although it was written: what a seal has made superfluous.

    ``since`` is the last seal by which it was left out, also by never fetching it; ``pruned`` how
    many operations were deleted here.
    """
    memory, reader = community.realm.memory, community.realm.store.outside
    since = memory.pruned
    return {
        "whole": since is None,
        "since": since.hex() if since is not None else None,
        "pruned": int.from_bytes(await reader.setting(PRUNED) or b""),
        "reason": _("what that seal has made superfluous is not kept here") if since else "",
        "next_action": OLD_HISTORY if since else "",
    }
