"""Which terminal session this is, and the token that the node gave it.

Being unlocked belongs to a terminal session: two windows of one person do not share it. The token
lies in ``HOME/run/sessions``, readable by this user only, under a name made from the terminal,
the session and the moment at which the session began, so that a later session with the same
number finds nothing.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from commons_node.api.client import ApiError
from commons_node.api.types import ExitCode

_OLD_S: Final = 7 * 86_400


def session_name() -> str:
    """A name for this terminal session, different for every other one."""
    import hashlib

    session = os.getsid(0)
    parts = (_terminal(), str(session), _began(session), _boot())
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def on_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def usage(message: str, hint: str) -> ApiError:
    """A mistake of the caller, found before the node was asked."""
    return ApiError("usage", message, hint, ExitCode.USAGE)


def load_token(home: Path) -> str | None:
    """The token of this terminal session; None when it has none. A file of others is not read."""
    path = _folder(home) / session_name()
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            return None
        text = file.read(128).strip()
    return text.decode("ascii") if text.isalnum() else None


def store_token(home: Path, token: str) -> None:
    """Keep ``token`` for this terminal session, whole or not at all. Raises OSError."""
    folder = _folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / session_name()
    beside = folder / f".{path.name}.{os.getpid()}"
    with suppress(FileNotFoundError):
        beside.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, 0o600), "w") as file:
        file.write(token)
    beside.rename(path)
    _forget_old(folder)


def _forget_old(folder: Path) -> None:
    oldest = time.time() - _OLD_S
    for path in folder.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _folder(home: Path) -> Path:
    return home / "run" / "sessions"


def _terminal() -> str:
    for handle in (0, 1, 2):
        with suppress(OSError):
            return os.ttyname(handle)
    return "none"


def _began(session: int) -> str:
    """When the session's leader started, in ticks since boot; empty where nothing tells."""
    try:
        status = Path(f"/proc/{session}/stat").read_bytes()
        # Field 22; the second one is a name in parentheses that may itself hold anything.
        return status.rpartition(b")")[2].split()[19].decode("ascii")
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
