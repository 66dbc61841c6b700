"""Tokens for programs that may do some things only: a screen in the hall, a script, a kiosk.

Kept as hashes in ``tokens.json`` of the home, mode 0600; the token itself is shown once. Nobody is
unlocked by one. Knows no verbs: what a scope means is the business of `api.scopes`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.keystore.disk import write_private
from commons_node.keystore.sessions import key_of

PREFIX: Final = "cn"
"""What every such token begins with; a terminal's own is hexadecimal, and never does."""
MOST: Final = 256


class NoToken(CommonsError):
    """There is no token {token}."""

    code: ClassVar[str] = "no_token"
    hint: ClassVar[str] = "commons-node session list"
    status = "not_found"


class TooManyTokens(CommonsError):
    """There are {count} tokens already."""

    code: ClassVar[str] = "too_many_tokens"
    hint: ClassVar[str] = "commons-node session list; commons-node session revoke TOKEN"
    status = "failed"


class DamagedTokens(CommonsError):
    """The file {file} is damaged, so no token counts."""

    code: ClassVar[str] = "damaged_tokens"
    hint: ClassVar[str] = "remove it, start the node again, and make new ones"
    status = "failed"


class Token(msgspec.Struct, frozen=True):
    """One token: 8 digits that name it, its hash in hex, what it may, and until when (ms UTC)."""

    token: str
    key: str
    only: tuple[str, ...]
    name: str
    made_ms: int
    until_ms: int


class Tokens:
    """All tokens of this node. Only for the event loop's own thread; writes are small and rare."""

    def __init__(
        self, file: Path, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        """Reads ``file`` at the first question."""
        self._file = file
        self._now_ms = now_ms
        self._held: dict[str, Token] | None = None

    def make(self, only: frozenset[str], name: str, seconds: int) -> tuple[str, Token]:
        """A new token: what to hand over, and what is kept. Raises TooManyTokens, OSError."""
        held = self._all()
        if len(held) >= MOST:
            raise TooManyTokens(count=len(held))
        now, secret = self._now_ms(), PREFIX + secrets.token_hex(32)
        key = key_of(secret).hex()
        made = Token(key[:8], key, tuple(sorted(only)), name, now, now + seconds * 1000)
        self._keep({**held, key: made})
        return secret, made

    def find(self, secret: str) -> Token | None:
        """The token, while its time lasts. Raises DamagedTokens."""
        found = self._all().get(key_of(secret).hex())
        return found if found is not None and self._now_ms() < found.until_ms else None

    def list(self) -> tuple[Token, ...]:
        """All that count now, the oldest first. Raises DamagedTokens."""
        now = self._now_ms()
        every = (one for one in self._all().values() if now < one.until_ms)
        return tuple(sorted(every, key=lambda one: (one.made_ms, one.key)))

    def revoke(self, token: str) -> Token:
        """Let a token count no more. Raises NoToken, OSError."""
        held = self._all()
        found = [one for one in held.values() if one.token == token.strip().lower()]
        if len(found) != 1:
            raise NoToken(token=ascii(token[:16]))
        self._keep({key: one for key, one in held.items() if one is not found[0]})
        return found[0]

    def _all(self) -> dict[str, Token]:
        if self._held is None:
            try:
                every = msgspec.json.decode(self._file.read_bytes(), type=list[Token])
            except FileNotFoundError:
                every = []
            except (msgspec.MsgspecError, OSError, UnicodeDecodeError):
                raise DamagedTokens(file=self._file.name) from None
            self._held = {one.key: one for one in every}
        return self._held

    def _keep(self, held: dict[str, Token]) -> None:
        now = self._now_ms()
        kept = {key: one for key, one in held.items() if now < one.until_ms}
        write_private(self._file, msgspec.json.encode(list(kept.values())))
        self._held = kept
