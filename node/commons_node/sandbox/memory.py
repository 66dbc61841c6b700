"""How many addresses a locked process may take."""

from __future__ import annotations

from typing import Final

ROOM_MIB: Final = 256
"""Addresses beside an agent's memory, and beside what the process has before it is locked: 70 of
them are the runner's own when it is warm."""
_MIB: Final = 1 << 20


def most_addresses(held: int, memory_mib: int) -> int:
    """Bytes of addresses for a process that has ``held`` of them and runs agents of so much."""
    # a memory that grows is moved: for a moment it is there twice
    return held + (2 * memory_mib + ROOM_MIB) * _MIB
