"""Founding a community: a genesis, its first epoch, this node in it, and two names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from commons_crdt import author
from commons_crdt.author import Draft
from commons_crdt.authority.facts import Genesis
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, OperationId
from commons_node.domains.membership.facts import COMMUNITY, NAME, CommunityName
from commons_node.explaining.catalogue import ALONE
from commons_node.membership.settling import identity_of, keep, name_part, new_device, settle
from commons_node.registry import Request

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class BadZone(CommonsError):
    """There is no time zone called {zone!r}."""

    code: ClassVar[str] = "timezone"
    hint: ClassVar[str] = "use a name such as Europe/Stockholm"
    status = "usage"


async def found(
    request: Request[Daemon], name: str, member_name: str, zone: str, passphrase: str
) -> Mapping[str, object]:
    """A new community with one coordinator, unlocked in the caller's terminal session."""
    daemon = request.node
    community_part, member_part = name_part(name), name_part(member_name)
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadZone(zone=zone) from error
    secrets = new_device()
    identity = identity_of(secrets)
    genesis = Genesis(identity, daemon.rules.version, (("timezone", zone),))
    realm_id, operation = author.found(genesis, secrets, daemon.now_ms(), lambda: os.urandom(32))
    unlocked = await keep(daemon, identity.member, secrets, passphrase)
    realm = await daemon.add_realm(realm_id, [operation], identity.member)
    await settle(daemon, realm, identity.member, secrets, member_part)
    named = Draft.fact(
        COMMUNITY, CommunityName(), document=DocumentId(realm_id), parts=[(NAME, community_part)]
    )
    await realm.write([named], secrets, OperationId(realm_id))
    session = request.session or daemon.sessions.new()
    session.unlock(unlocked)
    return {
        "operation": realm_id.hex(),
        "verdict": "accepted",
        "reason": "",
        "community": realm_id.hex(),
        "name": name,
        "member": identity.member.hex(),
        "member_name": member_name,
        "device": secrets.keys.id.hex(),
        "node": daemon.node,
        "advice": ALONE,
        "session": session.token,
    }
