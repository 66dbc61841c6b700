"""Backups by themselves: so often, into a folder, with a passphrase that lies in a file.

A small timer. It asks a clock that may jump, so it remembers when the last backup was made, not
when the next is due: what was missed while the node was off is made up for soon after its start.
A scheduler of jobs can call ``due`` and ``run`` in its place.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_
from commons_node.backup import state as states
from commons_node.backup.commands import backed_up
from commons_node.backup.state import BackupState
from commons_node.config import Config
from commons_node.said import Said, of_error, said

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="backup")

HOUR_MS: Final = 3_600_000
_LOOK_S: Final = 30.0
_AGAIN_MS: Final = HOUR_MS
"""After a failure: not at once, and not only when the next would be due."""
_VERIFY_S: Final = 3600.0
_MOST: Final = 4096


class BadPassphraseFile(CommonsError):
    """The passphrase of the backups cannot be read: {why}."""

    code: ClassVar[str] = "bad_config"
    hint: ClassVar[str] = "backup_passphrase_file names a file that only this user can read"
    status = "usage"


def due(config: Config, found: BackupState, now_ms: int) -> bool:
    """Whether a backup is to be made now. A clock that was set back makes one, too."""
    every = config.backup_every_hours * HOUR_MS
    if not config.backup_to or not every:
        return False
    if found.failed and 0 <= now_ms - found.tried_ms < min(_AGAIN_MS, every):
        return False
    return not 0 <= now_ms - found.last_ms < every


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
        """Does nothing before ``stay``."""
        self._daemon = daemon
        self.made = 0

    async def stay(self) -> None:
        """Look now and then, for ever."""
        config = self._daemon.config
        while config.backup_to and config.backup_every_hours:
            found = await states.load(self._daemon.store)
            if due(config, found, self._daemon.now_ms()):
                await self.run()
            await asyncio.sleep(_LOOK_S)

    async def run(self) -> None:
        """Make one, and read it back whole in a process of its own; what fails is noted."""
        daemon, config = self._daemon, self._daemon.config
        try:
            phrase = passphrase_of(config.backup_passphrase_file)
            made = await backed_up(
                daemon,
                Path(config.backup_to),
                phrase,
                keep=config.backup_keep,
                parts=config.backup_parts,
            )
        except (CommonsError, OSError) as error:
            log.warning("no_backup", why=str(error))
            found = await states.load(daemon.store)
            found.tried_ms, found.failed = daemon.now_ms(), of_error(error)
            await states.save(daemon.store, found)
            return
        self.made += 1
        log.info("backup", operations=made.operations, bytes=made.written)
        why = await self._verified(made.path)
        found = await states.load(daemon.store)
        if why:
            found.failed = why
            log.error("backup_not_verified", why=str(why))
        else:
            found.verified_ms = daemon.now_ms()
        await states.save(daemon.store, found)

    async def _verified(self, path: Path) -> Said | None:
        """Why it could not be verified; None if it was."""
        words = ["-m", "commons_node", "backup", "verify", str(path), "--json"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, "--passphrase-file", self._daemon.config.backup_passphrase_file,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL, preexec_fn=_kindly,
            env={**os.environ, "LANGUAGE": "en"},
        )  # fmt: skip
        try:
            async with asyncio.timeout(_VERIFY_S):
                _, told = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return None if process.returncode == 0 else _why(told)


def _kindly() -> None:
    os.nice(10)


def _why(told: bytes) -> Said:
    """What the process says of itself stands in a log in English, so it is quoted."""
    try:
        message = str(json.loads(told.splitlines()[-1])["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return said(N_("the process that reads it back did not say why"))
    return said("{message}", message=message)
