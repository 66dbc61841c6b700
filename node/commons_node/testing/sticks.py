"""A stick in somebody's pocket: a bundle's bytes, and making one at a simulated node."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commons_node.bundles.exporting import NotStanding, Wish, export_bundle
from commons_protocol.ends import ChainEnd

if TYPE_CHECKING:
    from commons_node.testing.node import Node


@dataclass(slots=True)
class Stick:
    """See ``importing.Source``."""

    data: bytearray = field(default_factory=bytearray)

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.data)

    async def read(self, at: int, count: int) -> bytes:
        """As a file is read."""
        return bytes(self.data[at : at + count])

    async def put(self, data: bytes) -> None:
        """As a file is written."""
        self.data += data


async def written(
    node: Node, rng: random.Random, for_ends: Mapping[bytes, Sequence[ChainEnd]] | None = None
) -> Stick | None:
    """A bundle of this node; None if it may make none."""
    stick = Stick()
    wish = Wish(node.now_ms(), for_ends=for_ends)
    try:
        await export_bundle(
            node.realm, bytes.fromhex(node.node), wish, stick.put, rng=rng.randbytes
        )
    except NotStanding:
        return None
    return stick
