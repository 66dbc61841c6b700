"""Where a device's chains end: what every act that takes something away carries."""

from __future__ import annotations

from typing import Annotated

import msgspec

from commons_crdt.ids import ZERO
from commons_crdt.operation import Hash


class Position(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, order=True
):
    """An operation of a known chain; seq 0 with 32 zero bytes is nothing at all."""

    seq: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    id: Hash

    def __post_init__(self) -> None:
        """Nothing has one encoding."""
        if (self.seq == 0) != (self.id == ZERO):
            raise ValueError("seq 0 and no id go together")


NOTHING = Position(0, bytes(ZERO))


class Ending(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The last operations of ``device`` that stand, in log 0 and in log 1."""

    device: Hash
    authority: Position
    record: Position
