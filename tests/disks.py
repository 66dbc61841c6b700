"""File systems of a test's own: small ones that really run full, and ones that turn read-only."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1 << 20
_PATIENCE_S = 20.0


class Disk:
    """A mounted tmpfs; `path` is its folder."""

    def __init__(self, path: Path) -> None:
        """Use ``disk``."""
        self.path = path
        self._ballast = path / ".ballast"
        self.filled = 0
        """How often it was filled, for a test to say that it was."""

    @property
    def free(self) -> int:
        """Bytes that are left."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Somebody else's file takes all room but ``leave`` bytes."""
        with self._ballast.open("ab") as file:
            while (rest := self.free - leave) > 0:
                file.write(b"x" * min(rest, MIB))
                file.flush()
        self.filled += 1

    def empty(self) -> None:
        """Somebody takes that file away again."""
        self._ballast.unlink(missing_ok=True)

    def remount(self, how: str) -> None:
        """``ro``, ``rw`` or ``size=…``; waits for processes that are just ending to let go."""
        command = ["mount", "-o", f"remount,{how}", str(self.path)]
        deadline = time.monotonic() + _PATIENCE_S
        while subprocess.run(command, check=False, capture_output=True).returncode:
            assert time.monotonic() < deadline, f"somebody holds {self.path}"
            time.sleep(0.1)


@contextmanager
def disk(path: Path, size: str) -> Iterator[Disk]:
    """Mount one at ``path`` for the block; skips where nobody may mount (not with ``CI``)."""
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    made = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True)
    if not made or made.returncode:
        assert not os.environ.get("CI"), "with CI=true this must run"
        pytest.skip("may not mount a file system here")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
