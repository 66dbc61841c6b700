"""The last room on the disk is for those who live here: what others wrote is not taken into it.

Below the reserve nothing of others' log 1 is stored; their log 0 (who may do what) still comes
until half of the reserve is gone. Photos stop well above it, so that those who take them do not
keep away what others do. Own small acts are written to the last. Looks at the disk each time, and
so goes on by itself when there is room again.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from commons_crdt.author import Draft
from commons_crdt.errors import CommonsError
from commons_node.realm.batches import Reading

MIB = 1 << 20
FOR_ACTS = 128 * MIB
"""Above the reserve: into this no photo of others is fetched, that their acts go on coming."""
_LOOK_S = 2.0
SMALL = 16 * 1024
"""Bytes of own acts that are written together and still are small."""
_OVERHEAD = 512
"""Of one operation: its header, signature, place in the indexes."""

log = structlog.get_logger(component="disk")


class DiskShort(CommonsError):
    """The disk has {free} MiB left, less than the {reserve} MiB that are kept for small acts."""

    code = "disk"
    hint = "make room where commons-node paths says that the home is, or do it in smaller parts"


class Room:
    """The file system of one folder; sizes are bytes."""

    def __init__(self, folder: Path, reserve: int, free: Callable[[], int] | None = None) -> None:
        """``reserve`` 0: none. ``free`` says how much is left, where it is not the disk itself."""
        self.reserve = reserve
        self._folder = folder
        self._free = free or self._left
        self.withheld = 0
        """Operations that were not taken since the start."""

    def _left(self) -> int:
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    @property
    def free(self) -> int:
        """What is left for this user."""
        return self._free()

    def short(self) -> bool:
        """Less is left than the reserve."""
        return self.reserve > 0 and self.free < self.reserve

    def fits_part(self, missing: int) -> bool:
        """May so many bytes of a photo be fetched? The write-ahead log holds them a second time."""
        return self.free >= self.reserve + FOR_ACTS + 2 * missing

    def withhold(self, reading: Reading) -> Counter[str]:
        """Take out of a batch of others' what there is no room for; how much, as held for a reason.

        It is not stored anywhere: peers go on offering it.
        """
        free = self.free if self.reserve else self.reserve
        if free >= self.reserve:
            return Counter()
        scarce = free < self.reserve // 2
        out = [i for i, one in reading.parsed.items() if one.header.log or scarce]
        for ident in out:
            del reading.parsed[ident]
        self.withheld += len(out)
        return Counter(disk=len(out)) if out else Counter()

    def check(self, drafts: Sequence[Draft]) -> None:
        """May these be written here? Small acts always. Raises ``DiskShort``."""
        size = sum(
            _OVERHEAD + len(draft.content) + sum(len(part) for _, part in draft.parts)
            for draft in drafts
        )
        if size > SMALL and self.short():
            raise DiskShort(free=self.free // MIB, reserve=self.reserve // MIB)


class Told(Protocol):
    """Hears when the disk has become short, and when it has room again."""

    def __call__(self, *, short: bool) -> None: ...


async def watch_room(room: Room, told: Told) -> None:
    """Look every few seconds, for ever."""
    short = False
    while True:
        if room.short() != short:
            short = not short
            told(short=short)
            free, reserve = room.free // MIB, room.reserve // MIB
            log.warning(
                "disk_short" if short else "disk_has_room", free_mib=free, reserve_mib=reserve
            )
        await asyncio.sleep(_LOOK_S)
