"""The facts of membership beyond log 0: what members and the community are called.

Names stand in a part of the fact, so that they can be erased; the body says nothing.
"""

from __future__ import annotations

import msgspec

PROFILE = "membership.profile.1"
COMMUNITY = "membership.community.1"
NAME = "name"
"""The class of the part that holds a name, in UTF-8."""
MAX_NAME = 120
"""Bytes of a name."""


class Profile(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member says what they are called."""


class CommunityName(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A coordinator says what the community is called."""
