"""Backups by themselves: the node's side of the duty ``backup``.

The duty runs in a worker of the scheduler: it has the node write a backup, reads it back whole, and
has the node note what came of that. The passphrase lies in a file that both read; it goes over no
pipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_
from commons_node.backup import state as states
from commons_node.backup.commands import backed_up
from commons_node.backup.state import BackupState
from commons_node.config import Config
from commons_node.said import of_error, said
from commons_node.whole_file import CannotWrite

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="backup")

HOUR_S: Final = 3600
MAKE: Final = "backup.make"
NOTE: Final = "backup.note"
_MOST: Final = 4096


class NoPlace(CommonsError):
    """config.toml does not say where backups go by themselves."""

    code: ClassVar[str] = "bad_config"
    hint: ClassVar[str] = "set backup_to and backup_passphrase_file, and start the node again"
    status = "usage"


class BadPassphraseFile(CommonsError):
    """The passphrase of the backups cannot be read: {why}."""

    code: ClassVar[str] = "bad_config"
    hint: ClassVar[str] = "backup_passphrase_file names a file that only this user can read"
    status = "usage"


def every_s(config: Config) -> int:
    """Seconds between two of them; 0: none are made by themselves."""
    return config.backup_every_hours * HOUR_S if config.backup_to else 0


def lacking(config: Config, found: BackupState, now_ms: int) -> bool:
    """Whether there is none yet in this place, or none that this clock knows of.

    What fell due while the node was off is made up for by the schedule.
    """
    if not every_s(config):
        return False
    return found.place != config.backup_to or not 0 < found.last_ms <= now_ms


def passphrase_of(file: str) -> str:
    """What stands in a file that nobody else may read. Raises ``BadPassphraseFile``."""
    path = Path(file)
    try:
        if path.stat().st_mode & 0o077:
            raise BadPassphraseFile(
                why=said(N_("others may read {path}; chmod 600 {path}"), path=path)
            )
        found = path.read_bytes()[:_MOST].decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadPassphraseFile(why=error) from None
    if not found:
        raise BadPassphraseFile(why=said(N_("{path} is empty"), path=path))
    return found


class Schedule:
    """Belongs to one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        """Does nothing by itself."""
        self._daemon = daemon

    async def lacking(self) -> bool:
        """Whether one is to be made at once."""
        daemon = self._daemon
        found = await states.load(daemon.store)
        return lacking(daemon.config, found, daemon.now_ms())

    async def act(self, name: str, params: Mapping[str, object]) -> Mapping[str, object]:
        """What a run of the duty may have the node do: ``MAKE`` one, or ``NOTE`` what it found."""
        if name == MAKE:
            return await self._make()
        await self._note(str(params.get("why", "")))
        return {}

    async def _make(self) -> Mapping[str, object]:
        """Raises what ``create`` raises, ``NoPlace``, ``BadPassphraseFile``; a failure is noted."""
        daemon, config = self._daemon, self._daemon.config
        try:
            if not config.backup_to:
                raise NoPlace
            phrase = passphrase_of(config.backup_passphrase_file)
            made = await backed_up(
                daemon,
                Path(config.backup_to),
                phrase,
                keep=config.backup_keep,
                parts=config.backup_parts,
            )
        except OSError as error:
            await self._failed(error)
            raise CannotWrite(file=config.backup_to, why=error.strerror or error) from error
        except CommonsError as error:
            await self._failed(error)
            raise
        log.info("backup", operations=made.operations, bytes=made.written)
        return {
            "file": str(made.path),
            "operations": made.operations,
            "bytes": made.written,
            "passphrase_file": config.backup_passphrase_file,
        }

    async def _failed(self, error: Exception) -> None:
        daemon = self._daemon
        log.warning("no_backup", why=str(error))
        found = await states.load(daemon.store)
        found.tried_ms, found.failed = daemon.now_ms(), of_error(error)
        await states.save(daemon.store, found)

    async def _note(self, why: str) -> None:
        """How reading it back went; ``why`` is empty if it is whole."""
        daemon = self._daemon
        found = await states.load(daemon.store)
        if why:
            found.failed = said("{why}", why=why)
            log.error("backup_not_verified", why=why)
        else:
            found.verified_ms = daemon.now_ms()
        await states.save(daemon.store, found)
