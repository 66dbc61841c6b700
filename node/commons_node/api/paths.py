"""Where a node's home and its socket are; the same answer for the daemon and for its clients.

Makes no folder unless asked, and trusts none that belongs to somebody else.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from commons_node.api.language import _

MAX_SOCKET_BYTES: Final = 100
"""Linux takes 107 bytes in a Unix socket's address, macOS 103."""


class NotYoursError(Exception):
    """A folder that must be ours alone belongs to somebody else, or others may write in it."""

    code: Final = "not_yours"

    def __init__(self, folder: Path) -> None:
        """``folder`` is the one that was refused."""
        super().__init__(_("The folder {folder} is not yours alone.").format(folder=folder))
        self.hint = _("remove {folder}, or set XDG_RUNTIME_DIR to a private folder").format(
            folder=folder
        )


def home_path(given: str | None, environment: Mapping[str, str]) -> Path:
    """The home: ``given`` by ``--home``, then ``COMMONS_HOME``, then the platform's place for data.

    Linux: ``$XDG_DATA_HOME/commons-node`` or ``~/.local/share/commons-node``; macOS:
    ``~/Library/Application Support/commons-node``. Always absolute, links not resolved.
    """
    chosen = given or environment.get("COMMONS_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "commons-node"
    data = environment.get("XDG_DATA_HOME", "")
    base = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    return base / "commons-node"


def typed(words: str, home: Path, environment: Mapping[str, str]) -> str:
    """The command line that a person types for the node in ``home``: it names any but the usual."""
    named = "" if home == home_path(None, environment) else f"--home {shlex.quote(str(home))} "
    return f"commons-node {named}{words}"


def socket_path(home: Path, environment: Mapping[str, str], *, make: bool = False) -> Path:
    """The API's socket of the node in ``home``.

    ``home/run/api.sock``; where that is too long for a socket's address, a short name made from
    the home's path, under ``$XDG_RUNTIME_DIR`` or ``/tmp/commons-node-<uid>``, in a folder that is
    ours alone. ``make`` creates that folder. Raises NotYoursError.
    """
    plain = home / "run" / "api.sock"
    if len(os.fsencode(plain)) <= MAX_SOCKET_BYTES:
        return plain
    name = hashlib.blake2b(os.fsencode(home), digest_size=8).hexdigest()
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    folder = Path(f"/tmp/commons-node-{os.getuid()}")  # noqa: S108 -- checked to be ours alone
    if runtime.startswith("/") and len(os.fsencode(runtime)) <= MAX_SOCKET_BYTES - 40:
        folder = Path(runtime) / "commons-node"
    if make:
        folder.mkdir(mode=0o700, exist_ok=True)
    check_ours(folder)
    return folder / f"{name}.sock"


def check_ours(folder: Path) -> None:
    """Refuse a folder that others own or may write in. One that is not there is fine.

    Raises NotYoursError.
    """
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NotYoursError(folder)
