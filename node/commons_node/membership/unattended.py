"""Members whom the service manager unlocks: a coordinator without whom nothing would be renewed.

Their passphrases come as credentials, files that this service alone can read. Being unlocked so
serves what the node does by itself (new epoch keys, seals); it belongs to no terminal, so nobody
acts for them by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from commons_crdt.errors import CommonsError
from commons_node.keystore.sessions import MAX_IDLE_S, Session
from commons_node.membership.unlocking import unlock
from commons_node.registry import Request
from commons_node.service.unit import CREDENTIAL

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="membership")
_AGAIN_S = 3600.0
_MOST = 4096


class Unattended:
    """Keeps them unlocked for as long as the daemon runs."""

    def __init__(self, daemon: Daemon, environment: Mapping[str, str]) -> None:
        """Belongs to one daemon."""
        self._daemon = daemon
        self._folder = Path(environment.get("CREDENTIALS_DIRECTORY", "/nonexistent"))

    async def stay(self) -> None:
        """Unlock whoever has a credential, and again before they were idle too long."""
        found = await asyncio.to_thread(self._read)
        before: Session | None = None
        while found:
            for realm in list(self._daemon.communities):
                # Own newer acts may still be on their way: what this writes must not fork them.
                await self._daemon.signing.until(realm)
            session = self._daemon.sessions.new()
            for member, passphrase in found.items():
                await self._unlock(session, member, passphrase)
            if before is not None:
                self._daemon.sessions.drop(before.token)
            before = session
            await asyncio.sleep(_AGAIN_S)

    def _read(self) -> dict[str, str]:
        """Passphrases by member, as the credentials are named."""
        found = {}
        for file in sorted(self._folder.glob(f"{CREDENTIAL}*")):
            member = file.name.removeprefix(CREDENTIAL)
            try:
                found[member] = file.read_bytes()[:_MOST].decode().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                log.warning("not_unlocked", member=member, why=str(error))
        return found

    async def _unlock(self, session: Session, member: str, passphrase: str) -> None:
        try:
            request = Request(self._daemon, session=session)
            found = await unlock(request, member, passphrase, MAX_IDLE_S)
        except CommonsError as error:
            log.warning("not_unlocked", member=member, why=str(error))
        else:
            log.info("unlocked", member=str(found["member"])[:8], until=found["until"])
