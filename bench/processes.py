"""What the system knows of processes and connections: memory of a tree, bytes over TCP.

Linux only; elsewhere nothing is counted and the figures are None or 0.

Source: proc(5), smaps_rollup; sock_diag(7), `struct tcp_info` in <linux/tcp.h>.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_PROC = Path("/proc")
_SAMPLE_S = 0.5
_HERTZ = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and all that it started, at any depth."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        with suppress(OSError):
            for task in (_PROC / str(one) / "task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
    return found


def pss(text: str) -> int:
    """The bytes after ``Pss:`` of a smaps_rollup; 0 if there are none."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def memory(pid: int) -> int:
    """Summed PSS of a process tree, in bytes."""
    total = 0
    for one in tree(pid):
        with suppress(OSError):
            total += pss((_PROC / str(one) / "smaps_rollup").read_text())
    return total


def cpu(pid: int) -> dict[str, float]:
    """CPU seconds so far of a process tree, by thread (`pid/tid`)."""
    seconds: dict[str, float] = {}
    for one in tree(pid):
        with suppress(OSError):
            for task in (_PROC / str(one) / "task").iterdir():
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                seconds[f"{one}/{task.name}"] = (int(fields[11]) + int(fields[12])) / _HERTZ
    return seconds


class Peak:
    """Looks at some figures twice a second while its block runs, and keeps the highest of each."""

    def __init__(self, *figures: Callable[[], int]) -> None:
        """``highest`` is in the order of ``figures``."""
        self._figures = figures
        self.highest = [0] * len(figures)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while True:
            for n, figure in enumerate(self._figures):
                self.highest[n] = max(self.highest[n], figure())
            if self._ended.wait(_SAMPLE_S):
                return

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Look once more, and end."""
        self._ended.set()
        self._thread.join()
        for n, figure in enumerate(self._figures):
            self.highest[n] = max(self.highest[n], figure())


_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_DONE, _NLMSG_ERROR = 3, 2
_REQUEST_DUMP = 0x301
_TCP, _TCP_INFO = 6, 2
_ALL_STATES = 0xFFFFFFFF
_HEADER, _REQUEST, _MESSAGE = 16, 56, 72
_BYTES_ACKED, _BYTES_RECEIVED = 120, 128


def tcp_bytes(ports: Collection[int]) -> dict[tuple[int, int], int]:
    """Payload bytes, both directions, of every TCP/IPv4 connection that has one of these ports.

    By (local port, remote port); on loopback each connection is there twice, once from each end.
    """
    if not hasattr(socket, "AF_NETLINK"):
        return {}
    found: dict[tuple[int, int], int] = {}
    request = struct.pack(
        "=IHHII BBBBI 48x", _HEADER + _REQUEST, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0,
        socket.AF_INET, _TCP, 1 << (_TCP_INFO - 1), 0, _ALL_STATES,
    )  # fmt: skip
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as link:
        link.settimeout(5.0)
        link.send(request)
        while True:
            data = link.recv(1 << 18)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind in {_NLMSG_DONE, _NLMSG_ERROR}:
                    return found
                here, there = struct.unpack_from("!HH", data, _HEADER + 4)
                if here in ports or there in ports:
                    found[here, there] = _payload(data[_HEADER + _MESSAGE : length])
                data = data[(length + 3) & ~3 :]


def _payload(attributes: bytes) -> int:
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind == _TCP_INFO and length >= 4 + _BYTES_RECEIVED + 8:
            acked, received = struct.unpack_from("=QQ", attributes, 4 + _BYTES_ACKED)
            return int(acked) + int(received)
        attributes = attributes[(length + 3) & ~3 :]
    return 0
