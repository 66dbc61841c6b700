"""Whether the coordinators have closed the community, and what nobody begins in it then.

A closing is a word of log 1, no rule: no verdict depends on it, and what was begun without knowing
of it stands (docs/decisions/0043). So it is each node that begins nothing new for its own people;
what is open is settled, said, exported and erased as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId
from commons_node.community import Community


class CommunityClosed(CommonsError):
    """{name} is closed, by {count} of {of} coordinators: nothing new begins in it."""

    code: ClassVar[str] = "community_closed"
    hint: ClassVar[str] = (
        "what is open is still settled, exported and erased; a coordinator may take it back:"
        " commons-node community close --reopen"
    )
    status = "locked"


@dataclass(frozen=True, slots=True)
class Closing:
    """Who of the coordinators (``seats``) is for closing."""

    seats: tuple[MemberId, ...]
    by: frozenset[MemberId]

    @property
    def closed(self) -> bool:
        """More than half of those who coordinate now are for it."""
        return len(self.by) * 2 > len(self.seats)


async def closing(community: Community) -> Closing:
    """How it stands now."""
    said = {key for (key,) in await community.query("SELECT key FROM v_closings WHERE closes")}
    seats = sorted(member for member, _device in community.realm.judge.authority.council.seats)
    return Closing(tuple(seats), frozenset(one for one in seats if one in said))


async def needs_open(community: Community) -> None:
    """Raise ``CommunityClosed`` before something new begins."""
    found = await closing(community)
    if found.closed:
        raise CommunityClosed(name=await community.name(), count=len(found.by), of=len(found.seats))
