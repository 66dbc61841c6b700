"""How much memory a worker has, and had during one run: from files of /proc that it opens once.

What ``getrusage`` tells is the most of the whole life of a process, and of what started it.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Final

_MOST: Final = b"VmHWM:"
_RESET: Final = b"5"
"""To clear_refs: the most that was resident is what is resident now. Source: proc(5)."""


class Peak:
    """The most that was resident since the last ``reset``; elsewhere than on Linux, ever."""

    def __init__(self) -> None:
        """Opens what it needs; before a worker locks itself, and before it is another user's."""
        self._reset: int | None = None
        self._sizes: int | None = None
        self._status: int | None = None
        if sys.platform == "linux":
            self._sizes = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
            self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._reset = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
            except OSError:  # a kernel without it tells the most of all runs
                self._reset = None

    def reset(self) -> None:
        """Count from here."""
        if self._reset is not None:
            os.write(self._reset, _RESET)

    def bytes(self) -> int:
        """The most that was resident."""
        if self._status is not None:  # rusage has also what the daemon had that started it
            os.lseek(self._status, 0, os.SEEK_SET)
            for line in os.read(self._status, 4096).splitlines():
                if line.startswith(_MOST):
                    return int(line.split()[1]) * 1024
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most * (1 if sys.platform == "darwin" else 1024)

    def addresses(self) -> int:
        """Bytes of addresses that it uses now; 0 where the system does not say."""
        if self._sizes is None:
            return 0
        os.lseek(self._sizes, 0, os.SEEK_SET)
        return int(os.read(self._sizes, 128).split()[0]) * resource.getpagesize()
