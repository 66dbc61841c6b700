"""Whose a TCP socket on this machine is. Linux only.

Source: proc(5): /proc/net/tcp, /proc/PID/fd.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"
_NOBODYS = "0"
_LOOKS = 100
_NAP_S = 0.02
_TABLE = Path("/proc/net/tcp")


def _rows() -> list[tuple[int, int, str, str]]:
    """(local port, remote port, state, inode) of every TCP/IPv4 socket."""
    found = []
    for line in _TABLE.read_text().splitlines()[1:]:
        fields = line.split()
        here, there = (int(fields[n].rpartition(":")[2], 16) for n in (1, 2))
        found.append((here, there, fields[3], fields[9]))
    return found


def _holds(pid: int) -> set[str]:
    """The inodes of a process's sockets; empty when it is gone."""
    found = set()
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                link = str(entry.readlink())
                if link.startswith("socket:["):
                    found.add(link[8:-1])
    return found


def listening(pid: int) -> int:
    """The TCP port that a process listens on; ``LookupError`` if it does not, or on several."""
    held = _holds(pid)
    ports = {here for here, _, state, inode in _rows() if state == _LISTEN and inode in held}
    if len(ports) != 1:
        raise LookupError(f"process {pid} listens on {sorted(ports)}")
    return ports.pop()


def dialler(port: int, to: int, pids: Mapping[str, int]) -> str | None:
    """Which of some processes connected from ``port`` to ``to``; "" if it is none of them.

    None if it has closed the socket already, or died.
    """
    for again in range(_LOOKS):
        if again:
            time.sleep(_NAP_S)  # who is dying has given up its files, not yet its sockets
        inodes = {inode for here, there, _, inode in _rows() if (here, there) == (port, to)}
        inodes.discard(_NOBODYS)
        if not inodes:
            return None
        owner = next((name for name, pid in pids.items() if inodes & _holds(pid)), "")
        if owner:
            return owner
    return ""
