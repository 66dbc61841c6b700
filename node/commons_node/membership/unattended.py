"""Members whom the service manager unlocks: a coordinator without whom nothing would be renewed.

Their passphrases come as credentials, files that this service alone can read. Being unlocked so
serves what the node does by itself (new epoch keys, seals); it belongs to no terminal, so nobody
acts for them by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.ids import RealmId
from commons_crdt.texts import _
from commons_node.keystore.sessions import MAX_IDLE_S, Session
from commons_node.membership.unlocking import own_member, unlock
from commons_node.registry import Request
from commons_node.said import Said, of_error
from commons_node.service.unit import CREDENTIAL

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="membership")
_AGAIN_S = 3600.0
_SOON_S = 60.0
"""For a member whom nobody here is known as: what tells their name may still come."""
_MOST = 4096


State = Literal["waiting", "unlocked", "failed"]


@dataclass(slots=True)
class _Kept:
    """How it went with one credential; ``realm``: of the member, once that is known."""

    state: State = "waiting"
    why: Said | None = None
    realm: RealmId | None = None


class Unattended:
    """Keeps them unlocked for as long as the daemon runs."""

    def __init__(self, daemon: Daemon, environment: Mapping[str, str]) -> None:
        """Belongs to one daemon."""
        self._daemon = daemon
        self._folder = Path(environment.get("CREDENTIALS_DIRECTORY", "/nonexistent"))
        self._kept: dict[str, _Kept] = {}

    async def stay(self) -> None:
        """Unlock whoever has a credential, and again before they were idle too long.

        Each for themselves: one whose community is paused, or not met yet, keeps nobody waiting.
        """
        found = await asyncio.to_thread(self._read)
        async with asyncio.TaskGroup() as each:
            for member, passphrase in found.items():
                each.create_task(self._stay(member, passphrase))

    def shown(self) -> list[dict[str, str | None]]:
        """A line each: ``member`` as the credential names them, ``state, why, next_action``."""
        rows: list[dict[str, str | None]] = []
        for member, kept in sorted(self._kept.items()):
            why, todo = str(kept.why) if kept.why is not None else None, None
            if kept.state == "waiting" and kept.realm is not None:
                hindrance = self._daemon.signing.hindrance(kept.realm)
                if hindrance is not None:
                    why, todo = str(hindrance), hindrance.way_out
            row = {"member": member, "state": kept.state, "why": why, "next_action": todo}
            rows.append(row)
        return rows

    def warning(self) -> str | None:
        """Who could not be unlocked, as a sentence."""
        told = _("The service could not unlock {member}: {why}")
        failed = [row for row in self.shown() if row["state"] == "failed"]
        return " ".join(told.format(**row) for row in failed) or None

    async def _stay(self, member: str, passphrase: str) -> None:
        before: Session | None = None
        while True:
            session = self._daemon.sessions.new()
            known = await self._unlock(session, member, passphrase)
            if before is not None:
                self._daemon.sessions.drop(before.token)
            before = session
            await asyncio.sleep(_AGAIN_S if known else _SOON_S)

    def _read(self) -> dict[str, str]:
        """Passphrases by member, as the credentials are named."""
        found = {}
        for file in sorted(self._folder.glob(f"{CREDENTIAL}*")):
            member = file.name.removeprefix(CREDENTIAL)
            try:
                found[member] = file.read_bytes()[:_MOST].decode().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                self._failed(member, error)
        return found

    async def _unlock(self, session: Session, member: str, passphrase: str) -> bool:
        """Whether it is known whose passphrase it is; how it went is kept."""
        kept = self._kept.setdefault(member, _Kept())
        try:
            whose, _name = await own_member(self._daemon, member)
        except CommonsError as error:
            self._failed(member, error)
            return False
        try:
            kept.realm = (await self._daemon.store.members())[whose]
            # Own newer acts may still be on their way: what this writes must not fork them.
            await self._daemon.signing.until(kept.realm)
            request = Request(self._daemon, session=session)
            found = await unlock(request, whose.hex(), passphrase, MAX_IDLE_S)
        except CommonsError as error:
            self._failed(member, error)
        else:
            kept.state, kept.why = "unlocked", None
            log.info("unlocked", member=str(found["member"])[:8], until=found["until"])
        return True

    def _failed(self, member: str, error: Exception) -> None:
        kept = self._kept.setdefault(member, _Kept())
        kept.state, kept.why = "failed", of_error(error)
        log.warning("not_unlocked", member=member, why=str(error))
