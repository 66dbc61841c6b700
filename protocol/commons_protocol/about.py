"""Which program a node is, in words that go where its addresses go.

Members tell it each other beside where they are, in their own entry of `wire.Members`: after the
proof, so no stranger hears it. It is no address, so a node that does not know these words passes
over them as over any address that does not name the node. Shown, and never used to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_FORM = re.compile(r"/commons-node/([0-9][0-9A-Za-z.+]{0,31})/rules/([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class About:
    """What a node says of itself: its program's version, and the newest rules that it knows."""

    version: str
    rules: int

    def __str__(self) -> str:
        """As it is sent: ``/commons-node/1.2.0/rules/4``."""
        return f"/commons-node/{self.version}/rules/{self.rules}"


def about_in(addresses: Iterable[str]) -> About | None:
    """What stands among the addresses of a node's own entry; None if nothing does."""
    for text in addresses:
        if found := _FORM.fullmatch(text):
            return About(found[1], int(found[2]))
    return None
