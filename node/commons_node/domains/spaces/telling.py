"""News of spaces: what hosts say of them that a member has not noted yet, but for quiet hours.

Nothing is stored of it but what was noted. While a space has quiet hours its news waits, and comes
as one line afterwards; what has changed again meanwhile is told as it is then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from commons_crdt.ids import MemberId, OperationId
from commons_crdt.texts import N_, Spoken
from commons_node.community import Community
from commons_node.domains.spaces.finding import Space, local, spaces
from commons_node.explaining import catalogue
from commons_node.store.database import placeholders

KEPT_MS: Final = 14 * 24 * 3_600_000
"""How long news of a space is news."""
_WRITTEN: Final = (
    "SELECT o.document, o.id, o.origin, o.time_ms FROM operations o WHERE o.document IN ({marks})"
    " AND o.verdict = 1 AND o.time_ms > ? AND NOT EXISTS (SELECT 1 FROM notices n"
    " WHERE n.member = ? AND n.operation = o.id AND n.read) ORDER BY o.lamport, o.id"
)
_SAYS: Final = Spoken({
    "new": "{name} is a space now.",
    "changed": "{who} changed what is said of {name}.",
    "closed": "{name} was given up.",
})  # fmt: skip
_HOURS: Final = N_("{said} It is open {hours}.")
_NOTICE: Final = N_("{said} A visitor should know: {notice}")
HELD: Final = N_("News of {name} waits until its quiet hours are over, at {time}.")


@dataclass(frozen=True, slots=True)
class News:
    """What is new of one space; ``operations``: all that is noted with it, the newest last.

    ``quiet_until``: it waits until then, on the community's clock.
    """

    space: Space
    operations: Sequence[OperationId]
    at_ms: int
    sentence: str
    quiet_until: datetime | None


async def news_of_spaces(community: Community, member: MemberId, now_ms: int) -> list[News]:
    """Each space of which others said something lately that the member has not noted."""
    every = {bytes(one.id): one for one in await spaces(community)}
    if not every:
        return []
    query = _WRITTEN.format(marks=placeholders(len(every)))
    rows = await community.query(query, (*every, now_ms - KEPT_MS, member))
    grants = community.realm.judge.authority.grants
    names = await community.names()
    written: dict[bytes, list[tuple[OperationId, MemberId, int]]] = {}
    for document, ident, origin, time_ms in rows:
        author = grants[origin].member
        if author != member:
            written.setdefault(document, []).append((OperationId(ident), author, time_ms))
    now = local(now_ms, community.timezone)
    found = []
    for key, acts in written.items():
        space = every[key]
        _newest, author, time_ms = acts[-1]
        who = names.get(author, author.hex()[:8])
        ids = [ident for ident, _author, _time in acts]
        until = _quiet_until(space, every, now)
        found.append(News(space, ids, time_ms, _said(space, who, new=key in ids), until))
    return found


def _said(space: Space, who: str, *, new: bool) -> str:
    """What stands of it now, whatever was said on the way there."""
    how = "closed" if space.closed else "new" if new else "changed"
    said = catalogue.sentence(_SAYS[how], name=space.name, who=who)
    if space.closed:
        return said
    if space.fields["hours"]:
        said = catalogue.sentence(_HOURS, said=said, hours=str(space.fields["hours"]))
    if space.fields["notice"]:
        said = catalogue.sentence(_NOTICE, said=said, notice=str(space.fields["notice"]))
    return said


def _quiet_until(space: Space, every: Mapping[bytes, Space], now: datetime) -> datetime | None:
    """When its quiet hours end, or those of the space that it is a room of."""
    outer = every.get(bytes(space.inside)) if space.inside is not None else None
    ends = [
        end
        for one in (space, outer)
        if one is not None and one.quiet is not None
        if (end := one.quiet.until(now)) is not None
    ]
    return max(ends, default=None)
