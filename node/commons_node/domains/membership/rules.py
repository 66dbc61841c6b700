"""Who may name whom: members themselves, coordinators the community."""

from __future__ import annotations

from commons_crdt.kinds import Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.domains.membership.facts import (
    COMMUNITY,
    MAX_NAME,
    NAME,
    PROFILE,
    CommunityName,
    Profile,
)

_NAME_PART = {NAME: MAX_NAME + SALT_BYTES}


def _own_profile(claim: Claim) -> str:
    """A profile is about its author."""
    return "" if claim.header.document == claim.member else "document"


def _this_community(claim: Claim) -> str:
    """A community's name is about its realm."""
    return "" if claim.header.document == claim.header.realm else "document"


KINDS = (
    Kind(PROFILE, Profile, Role.NEWCOMER, parts=_NAME_PART, erased="body", rule=_own_profile),
    Kind(
        COMMUNITY,
        CommunityName,
        Role.COORDINATOR,
        parts=_NAME_PART,
        erased="body",
        rule=_this_community,
    ),
)
