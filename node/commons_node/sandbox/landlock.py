"""Landlock: from now on this process opens nothing, connects nowhere, and signals nobody outside.

No rule is given, so all that the kernel's version can refuse is refused. Files that are open stay
usable. Source: landlock(7), linux/landlock.h; the numbers are the same on every architecture.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

_CREATE: Final = 444
_RESTRICT: Final = 446
_VERSION: Final = 1
_FILES: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Rights on files by version: so many bits."""
NETWORK_FROM: Final = 4
_NETWORK: Final = 0b11
"""From that version: bind and connect of TCP."""
_SCOPES: Final = 0b11
"""From version 6: abstract sockets and signals to processes outside."""


class _Rules(ctypes.Structure):
    _fields_ = [
        ("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64),
    ]  # fmt: skip


def version() -> int:
    """The kernel's version of Landlock, 0 without. Source: landlock_create_ruleset(2)."""
    if sys.platform != "linux":
        return 0
    try:
        library = ctypes.CDLL(None, use_errno=True)
        return max(0, int(library.syscall(_CREATE, None, 0, _VERSION)))
    except (OSError, AttributeError):
        return 0


def restrict() -> None:
    """This thread and all that it starts, for ever; needs no_new_privs. Raises OSError."""
    found = version()
    if not found:
        raise OSError(38, "the kernel has no Landlock")
    rules = _Rules((1 << _FILES.get(found, 16)) - 1)
    size = 8
    if found >= NETWORK_FROM:
        rules.network, size = _NETWORK, 16
    if found >= 6:
        rules.scopes, size = _SCOPES, 24
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if descriptor < 0:
        raise _error()
    try:
        if library.syscall(_RESTRICT, descriptor, 0) != 0:
            raise _error()
    finally:
        os.close(descriptor)


def _error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
