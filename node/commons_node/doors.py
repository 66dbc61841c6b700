"""The ways in from this machine: the owner's socket, a guests' socket, a port for figures.

The last two are there only if the host wants them. What comes in from other nodes is `peering`'s.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from commons_crdt.errors import CommonsError
from commons_node.api.server import ApiServer
from commons_node.audit import Audit
from commons_node.health.port import MetricsPort
from commons_node.keystore.tokens import Tokens

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.registry import Registry


class BadGuestSocket(CommonsError):
    """The guests' socket {path} cannot be made: {why}."""

    code: ClassVar[str] = "guest_socket"
    hint: ClassVar[str] = (
        "make its folder for their group, with mkdir -m 2750; or leave guest_socket out"
    )
    status = "failed"


class Doors:
    """Opens them when the daemon is ready for callers, and closes them first."""

    def __init__(self, daemon: Daemon, socket: Path) -> None:
        """``socket``: the owner's."""
        self._daemon = daemon
        self._undo = AsyncExitStack()
        self.socket = socket
        self.tokens = Tokens(daemon.home.path / "tokens.json")
        self.audit = Audit(daemon.home.path, daemon.config.audit_days)

    async def open(self, verbs: Registry) -> None:
        """Answer from now on. Raises OSError, PortTaken, BadGuestSocket."""
        self.verbs = verbs
        self.audit.sweep()
        async with AsyncExitStack() as undo:
            undo.callback(self.audit.close)
            await self._serve(undo, ApiServer(
                verbs, self._daemon, self._daemon.sessions, self.socket, self._daemon.events,
                self._daemon.config.language, tokens=self.tokens, audit=self.audit,
            ))  # fmt: skip
            if guests := self._daemon.config.guest_socket:
                try:
                    await self._serve(undo, ApiServer(
                        verbs, self._daemon, self._daemon.sessions, Path(guests),
                        self._daemon.events, self._daemon.config.language, tokens=self.tokens,
                        audit=self.audit, door="guests",
                    ))  # fmt: skip
                except OSError as error:
                    raise BadGuestSocket(path=guests, why=error.strerror or error) from None
            if where := self._daemon.config.metrics_listen:
                port = MetricsPort(self._daemon, where)
                await port.start()
                undo.push_async_callback(port.stop)
            self._undo = undo.pop_all()

    async def close(self) -> None:
        """Answer nobody any more."""
        await self._undo.aclose()

    @staticmethod
    async def _serve(undo: AsyncExitStack, server: ApiServer) -> None:
        await server.start()
        undo.push_async_callback(server.stop)
