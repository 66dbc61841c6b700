"""What is written of an agent that is shared: whose it is, and what its package hashes to.

The package itself is a part of the fact and is fetched as photos are. Nothing that stands here is
believed of it: who has the bytes reads in them what they are.
"""

from __future__ import annotations

from typing import Final

import msgspec

from commons_crdt.operation import Hash
from commons_node.agents.manifest import Name, Version

PACKAGE: Final = "agent.package.1"
CONTENT: Final = "package"
"""The class of the part that holds the file; a large one is fetched on demand."""
SINCE: Final = 3
"""The rules version that lists it."""


class Shared(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A package: its publisher's key, its name and version, and the SHA-256 of the file."""

    publisher: Hash
    name: Name
    version: Version
    package: Hash
