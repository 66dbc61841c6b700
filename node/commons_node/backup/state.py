"""What this node knows of its backups: the last one that went well, and the last that did not."""

from __future__ import annotations

from typing import Final

import msgspec

from commons_node.moments import moment
from commons_node.said import Said
from commons_node.store.node_store import NodeStore

NAME: Final = "backup"
"""Of the node's setting that holds it."""


class BackupState(msgspec.Struct, kw_only=True):
    """Times in ms UTC, 0 for never. ``failed``: why the last try did, if so.

    ``left_out``: what the disk has damaged, so that it is not in the last one.
    """

    last_ms: int = 0
    place: str = ""
    operations: int = 0
    written: int = 0
    verified_ms: int = 0
    tried_ms: int = 0
    failed: Said | None = None
    left_out: tuple[Said, ...] = ()

    def shown(self, every_h: int) -> dict[str, object]:
        """For ``status``."""
        return {
            "last": moment(self.last_ms or None),
            "place": self.place or None,
            "verified": moment(self.verified_ms or None),
            "tried": moment(self.tried_ms or None),
            "failed": str(self.failed) if self.failed else None,
            "left_out": [str(one) for one in self.left_out],
            "every_hours": every_h or None,
        }


def decode(text: str | None) -> BackupState:
    """As it was stored; a fresh one for what cannot be read."""
    try:
        return msgspec.json.decode(text or "{}", type=BackupState)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return BackupState()


async def load(store: NodeStore) -> BackupState:
    """What was noted last."""
    return decode(await store.setting(NAME))


async def save(store: NodeStore, state: BackupState) -> None:
    """Durable when it returns."""
    await store.set(NAME, msgspec.json.encode(state).decode())
