"""What a member wrote for themselves about a community, opened: nobody else can read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from commons_crdt.ids import MemberId
from commons_crdt.texts import N_
from commons_node.community import Actor, Community
from commons_node.domains.domain import About
from commons_node.domains.own.entries import Blank, CheckedIn
from commons_node.keystore.sessions import MemberLocked
from commons_node.moments import moment

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.own.realms import OwnRealm


async def own_realm(daemon: Daemon, member: MemberId) -> OwnRealm | None:
    """The realm of a member who is unlocked here, None if there is none. Raises MemberLocked."""
    unlocked = daemon.sessions.holding(member.hex())
    if unlocked is None:  # locked since the command began: half an export is none
        raise MemberLocked(member=member.hex()[:12])
    return await daemon.own.of(unlocked)


async def _mine(daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    own = await own_realm(daemon, actor.member)
    opened = await own.entries() if own is not None else []
    entries = [(one.operation, one.entry) for one in opened]
    here = {
        entry.id
        for _, entry in entries
        if isinstance(entry, CheckedIn) and entry.community == community.realm.realm
    }
    return [
        {
            "entry": type(entry).__struct_config__.tag,
            "operation": operation,
            "time": moment(entry.at_ms),
            **{name: getattr(entry, name) for name in entry.__struct_fields__},
        }
        for operation, entry in entries
        if not isinstance(entry, Blank) and _about(entry) in here
    ]


def _about(entry: msgspec.Struct) -> bytes:
    """Which check-in an entry is about."""
    return entry.id if isinstance(entry, CheckedIn) else getattr(entry, "checkin", b"")


ABOUT = (
    About(
        "own.json",
        N_("what {name} wrote for themselves alone, sealed everywhere but here"),
        "entry, operation, time, and the entry's own fields",
        _mine,
    ),
)
