"""The way to one peer: when to dial it, and what is remembered of it while the daemon runs.

Back-off grows from one second to five minutes, with jitter; anything that
makes success likelier (unblocking, a new address, another network) starts it anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from commons_node.peering.conversation import Conversation
from commons_node.peering.types import InTurn, Settings
from commons_protocol.network import (
    Address,
    NetworkError,
    NotAtRelay,
    PeerId,
    RelayRefuses,
    RelayUnreachable,
)

_SHORT_S = 0.2
_STEADY_S = 10.0
_CODES: dict[type[NetworkError], str] = {
    InTurn: "in_turn",
    RelayUnreachable: "relay_unreachable",
    RelayRefuses: "relay_refuses",
    NotAtRelay: "not_at_relay",
}
_HINT_S = 15.0
"""Between two attempts that are made because of what others say; they may say it without end."""


class Way:
    """Keeps one conversation with one peer going for as long as its task lives."""

    def __init__(
        self,
        peer: PeerId,
        settings: Settings,
        present: Callable[[], Conversation | None],
        attempt: Callable[[PeerId], Awaitable[Conversation | None]],
        tries: int | None = None,
    ) -> None:
        """``attempt`` dials and talks until the end; ``tries`` None: for ever."""
        self.peer = peer
        self.error: NetworkError | None = None
        """Why the last attempt failed; None after a success."""
        self.why = ""
        """The code of `reasons` where it was not the peer that failed."""
        self._settings = settings
        self._present = present
        self._attempt = attempt
        self.tries = tries
        self.code = ""
        """How the last conversation ended: ``stranger`` without any community in common."""
        self._failures = 0
        self._trying = False
        self._hinted = -_HINT_S
        self._kicked = asyncio.Event()
        self._kicked.set()
        self.failed = asyncio.Event()
        """Set while the last attempt was a failure."""

    def allow(self, tries: int | None) -> None:
        """So many attempts may fail, where it were fewer so far; None: any number."""
        if tries is None or self.tries is None:
            self.tries = None
        else:
            self.tries = max(self.tries, tries)

    def kick(self) -> None:
        """Try at once, and begin the back-off anew."""
        self._failures = 0
        self._kicked.set()

    def met(self) -> None:
        """A connection stands. One that this way made itself says nothing of the next attempt."""
        if not self._trying:
            self._kicked.set()

    def hint(self) -> None:
        """Try soon, for others say that it is there; the back-off goes on if it is not."""
        now = asyncio.get_running_loop().time()
        if now - self._hinted >= _HINT_S:
            self._hinted = now
            self._kicked.set()

    def delay(self) -> float:
        """Seconds until the next attempt; never at once after a failure.

        With jitter from nothing on, those that are away take the places of those that are not: in
        rough weather `testing.scale` then finds nodes that nobody takes in.
        """
        if not self._failures:
            return _SHORT_S * random.random()  # noqa: S311 - jitter, no secret
        most: float = min(
            self._settings.last_retry, self._settings.first_retry * 2 ** (self._failures - 1)
        )
        return most * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    async def run(self) -> None:
        """Until cancelled, or until as many attempts as allowed have failed."""
        loop = asyncio.get_running_loop()
        while self.tries is None or self._failures < self.tries:
            try:
                async with asyncio.timeout(self.delay()):
                    await self._kicked.wait()
            except TimeoutError:
                pass
            self._kicked.clear()
            began = loop.time()
            self._trying = True
            conversation = self._present()
            try:
                if conversation is not None:
                    await conversation.ended.wait()
                else:
                    conversation = await self._attempt(self.peer)
                self.error, self.why = None, ""
                self.code = conversation.code if conversation is not None else ""
            except NetworkError as error:
                self.error = error
                self.why = _CODES.get(type(error), "")
            finally:
                self._trying = False
            if conversation is not None and conversation.was_proven:
                self.failed.clear()
                steady = loop.time() - began > _STEADY_S or conversation.code == "refresh"
                self._failures = 0 if steady else self._failures + 1
            else:
                self.failed.set()
                self._failures += 1


def best_first(addresses: tuple[Address, ...], newest: Address) -> tuple[Address, ...]:
    """At most eight addresses, the newest first."""
    return tuple(dict.fromkeys((newest, *addresses)))[:8]
