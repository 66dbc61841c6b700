"""Private files that are either the old one or the new one after a crash, never half of one.

Never follows a link to write, never leaves a file that others can read.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` with mode 0600; durable when it returns.

    Written beside it, flushed to disk, renamed, and the folder flushed. Raises OSError; then the
    old file still stands.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def create_private(path: Path, data: bytes) -> None:
    """As ``write_private``, for a file that must not be there yet. Raises FileExistsError."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    write_private(beside, data)
    try:
        path.hardlink_to(beside)
    finally:
        beside.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def private_folder(folder: Path) -> None:
    """Make ``folder`` (and those above it) with mode 0700; one that is there gets that mode."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
