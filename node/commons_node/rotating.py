"""A file that is only ever appended to, and begun anew when it is large or old: logs, the audit.

``NAME`` is being written; ``NAME.1`` is the one before, ``NAME.2`` older, up to ``keep`` of them.
All have mode 0600. A line is written whole, or the file stands as before.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class RotatingFile:
    """See the module. Safe to use from several threads; one process at a time writes."""

    def __init__(
        self,
        path: Path,
        most: int,
        keep: int,
        days: float | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``most`` bytes in each file. ``days``: no line stays for longer, where that is given."""
        self.path = path
        self._most = most
        self._keep = keep
        self._days = days
        self._now = now
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._size = 0
        self._began = 0.0

    def append(self, line: bytes) -> None:
        """Write one line, which ends with a line feed, whole. Raises OSError, then none of it."""
        with self._lock:
            self._open()
            if self._size and (self._size + len(line) > self._most or self._too_old()):
                self._turn()
            assert self._handle is not None
            try:
                written = os.write(self._handle, line)
            except OSError:
                self._close()
                raise
            if written < len(line):  # the disk is full: no half line stays
                os.ftruncate(self._handle, self._size)
                self._close()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            self._size += written

    def sweep(self) -> None:
        """Let go of what is too old, also while nothing is written. Raises OSError."""
        with self._lock:
            self._open()
            if self._size and self._too_old():
                self._turn()
            if self._days is not None:
                for old in self.older():
                    with suppress(FileNotFoundError):
                        if self._now() - old.stat().st_mtime > self._days * 86_400:
                            old.unlink()

    def older(self) -> list[Path]:
        """The earlier files that are there, the newest first."""
        every = (self._numbered(number) for number in range(1, self._keep + 1))
        return [path for path in every if path.exists()]

    def close(self) -> None:
        """Give the file free; the next line opens it again."""
        with self._lock:
            self._close()

    def _open(self) -> None:
        if self._handle is not None:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._handle = os.open(self.path, flags, 0o600)
        found = os.fstat(self._handle)
        if found.st_mode & 0o077:
            os.fchmod(self._handle, 0o600)
        self._size = found.st_size
        self._began = self._beginning() if found.st_size else self._now()

    def _beginning(self) -> float:
        """When the file was begun, at the latest: the last line of the one before came earlier."""
        try:
            return self._numbered(1).stat().st_mtime
        except FileNotFoundError:
            return self.path.stat().st_mtime

    def _too_old(self) -> bool:
        """A file lives for its share of the days, so that its first line is gone in time."""
        if self._days is None:
            return False
        return self._now() - self._began > self._days * 86_400 / (self._keep + 1)

    def _turn(self) -> None:
        """Begin a new file. A crash in between loses the oldest one, or nothing."""
        self._close()
        if self._keep == 0:
            self.path.unlink()
        else:
            for number in range(self._keep - 1, 0, -1):
                with suppress(FileNotFoundError):
                    self._numbered(number).replace(self._numbered(number + 1))
            self.path.replace(self._numbered(1))
        self._open()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
