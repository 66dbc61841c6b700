"""Whose identity a verb is about, where nobody is named and nothing is signed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from commons_crdt.ids import MemberId
from commons_node.community import Community
from commons_node.keystore.sessions import WhichMember
from commons_node.registry import Request

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def own_member(
    request: Request[Daemon], community: Community, selector: str | None = None
) -> MemberId:
    """Who is named, or unlocked here, or the only one whose keys this node keeps."""
    named = selector or request.member
    if named is not None:
        return await community.member(named)
    realm = community.realm.realm
    here = [m for m, r in (await request.node.store.members()).items() if r == realm]
    if request.session is not None:
        unlocked = {MemberId(bytes.fromhex(m)) for m in request.session.members()}
        here = [m for m in here if m in unlocked] or here
    if len(here) != 1:
        raise WhichMember
    return here[0]


def moment(ms: int) -> str:
    """A time in RFC 3339, UTC."""
    found = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
    return found.isoformat(timespec="seconds").replace("+00:00", "Z")


def named(names: Mapping[MemberId, str], member: bytes) -> str:
    """What a member is called, or the start of the id."""
    return names.get(MemberId(member), member.hex()[:8])
