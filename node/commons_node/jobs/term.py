"""One life of one scheduler on one boot of the machine: leases are good within it."""

from __future__ import annotations

import secrets
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def new_term() -> str:
    """A name that no other life has; monotonic times are only compared within it."""
    try:
        boot = _BOOT.read_text(encoding="ascii").strip()[:8]
    except (OSError, ValueError):
        boot = "boot"
    return f"{boot}-{secrets.token_hex(8)}"
