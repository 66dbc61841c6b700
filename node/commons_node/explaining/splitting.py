"""The split state in a sentence: whose keys let two decisions hold side by side; what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    return catalogue.sentence(catalogue.SPLIT, keys=catalogue.listed(keys), acts=acts)
