"""What is wrong with a council, in a sentence: it is split, or hangs on one device; what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commons_crdt.texts import _, listed
from commons_node.explaining import catalogue

if TYPE_CHECKING:
    from commons_node.community import Community


async def split_in_words(community: Community) -> str | None:
    """What every screen says of a split community; None while it is whole."""
    now = community.realm.judge.authority.council
    if not now.split:
        return None
    names = await community.names()
    owners = {device: member for member, device in now.seats}
    keys = sorted(
        names.get(owners[key], owners[key].hex()[:8]) if key in owners else key.hex()[:8]
        for key in now.forked
    )
    acts = ", ".join(act.hex()[:12] for act in sorted(now.split))
    return catalogue.sentence(catalogue.SPLIT, keys=listed(keys), acts=acts)


def alone_in_words(community: Community) -> str:
    """What a community is told that others live in, while one device is the council; or ""."""
    authority = community.realm.judge.authority
    return (
        _(catalogue.ALONE) if len(authority.council.seats) == 1 < len(authority.members()) else ""
    )
