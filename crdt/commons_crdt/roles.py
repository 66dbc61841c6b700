"""The five roles, in the order of what they may do."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """A member's role; each may do what the ones below it may."""

    NEWCOMER = 1
    MEMBER = 2
    STEWARD = 3
    HOST = 4
    COORDINATOR = 5

    @property
    def word(self) -> str:
        """The role's name as members see it."""
        return self.name.lower()
