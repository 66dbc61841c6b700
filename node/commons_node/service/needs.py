"""What the settings of a node name outside of its home: a service must be let at it.

Reads settings only; looks at no disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from commons_node.config import Config
from commons_node.drivers.catalogue import KINDS


@dataclass(frozen=True, slots=True)
class Need:
    """One path that a setting names. ``folder``: what must be writable for it, None if it is read.

    ``device``: it is a device, and not a file.
    """

    setting: str
    path: Path
    folder: Path | None = None
    device: bool = False


def needs_of(config: Config) -> tuple[Need, ...]:
    """All of them, in the order of the reference of settings."""
    return tuple(_needs(config))


def _needs(config: Config) -> Iterator[Need]:
    if config.log_file:  # earlier files are renamed beside it
        yield Need("log_file", Path(config.log_file), Path(config.log_file).parent)
    if config.guest_socket:
        yield Need("guest_socket", Path(config.guest_socket), Path(config.guest_socket).parent)
    for name, given in config.drivers.items():
        kind = KINDS.get(str(given.get("kind")))
        if kind is None or given.get("fake", False) is True:
            continue
        where = f"drivers.{name}"
        if folder := str(given.get("folder") or ""):
            put = kind.message is not None  # what is sent to it lands there
            yield Need(where, Path(folder), Path(folder) if put else None)
        if device := str(given.get("device") or ""):
            yield Need(where, Path(device), device=True)
        if secret := str(given.get("password_file") or ""):
            yield Need(where, Path(secret))
    if config.backup_to:
        yield Need("backup_to", Path(config.backup_to), Path(config.backup_to))
    if config.backup_passphrase_file:
        yield Need("backup_passphrase_file", Path(config.backup_passphrase_file))
