"""The app on its Unix socket: made private before anybody can connect, stopped in bounded time.

Answers only this user (and root); at a guests' socket whoever its folder lets come, and then only
with a token. Handles no signals: the daemon's composition root does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from commons_node.api.answers import TRANSPORT
from commons_node.api.app import make_app
from commons_node.api.events import Events
from commons_node.api.permits import Door, Permits

if TYPE_CHECKING:
    from commons_node.audit import Audit
    from commons_node.keystore.sessions import Sessions
    from commons_node.keystore.tokens import Tokens
    from commons_node.registry import Registry

GRACE_S: Final = 3.0
"""How long requests that run may go on after a stop."""
_MAX_HEADERS: Final = 64 << 10


class ApiServer:
    """Serves a registry on a socket between ``start`` and ``stop``."""

    def __init__(
        self,
        registry: Registry,
        node: object,
        sessions: Sessions,
        path: Path,
        events: Events | None = None,
        language: str = "en",
        *,
        tokens: Tokens | None = None,
        audit: Audit | None = None,
        door: Door = "own",
    ) -> None:
        """``path`` is the socket; its folder exists and is private (``Home.create``).

        ``language``: of answers to requests that ask for none. ``door``: "guests" for a socket
        of mode 0660, in a folder that says who comes; nobody is answered there without a token.
        """
        self.events = Events() if events is None else events
        self._path = path
        self._mode = 0o660 if door == "guests" else 0o600
        permits = Permits(sessions, tokens, door)
        self._server = QuietServer(
            uvicorn.Config(
                make_app(registry, node, permits, self.events, language, audit),
                http=_GuestProtocol if door == "guests" else _LocalProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                h11_max_incomplete_event_size=_MAX_HEADERS,
                timeout_graceful_shutdown=cast("int", GRACE_S),
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; returns when requests are answered. Raises OSError.

        A socket left by a daemon that was killed is replaced: the home's lock says it is ours.
        """
        listening = _bind(self._path, self._mode)
        self._serving = asyncio.create_task(self._server.serve([listening]), name="api")
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
                raise OSError(f"cannot serve on {self._path}")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """End event streams, let requests finish within ``GRACE_S``, remove the socket."""
        if self._serving is None:
            return
        with suppress(FileNotFoundError):
            self._path.unlink()  # first, so that a new client sees at once that nobody is here
        self.events.close()
        self._server.should_exit = True
        self._server.stopping.set()
        try:
            await asyncio.wait_for(self._serving, GRACE_S + 2.0)
        except TimeoutError:
            self._server.force_exit = True
        self._serving = None


class QuietServer(uvicorn.Server):
    """uvicorn without its signal handlers, and without waking ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        """Serve until told to stop; what uvicorn does on each tick is not needed here."""
        await self.stopping.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the daemon."""
        yield


class _GuestProtocol(H11Protocol):
    """HTTP with the transport in the scope's state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the app know who is at the other end."""
        self.app_state = {**self.app_state, TRANSPORT: transport}
        super().connection_made(transport)


class _LocalProtocol(_GuestProtocol):
    """HTTP for callers of our own user."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Hang up on a stranger, whatever the socket's permissions are."""
        super().connection_made(transport)
        if not _ours(transport.get_extra_info("socket")):
            transport.abort()


def _ours(connection: socket.socket) -> bool:
    """Whether the peer is this user or root. True where the system cannot tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in {os.getuid(), 0}


def _bind(path: Path, mode: int) -> socket.socket:
    """A listening socket with this mode from its first moment under this name."""
    # Beside it and never longer, for the name may be as long as an address allows.
    beside = path.with_name(f".{os.getpid() % 10_000}")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            beside.unlink()
        listening.bind(str(beside))
        beside.chmod(mode)
        listening.listen(128)
        listening.setblocking(False)
        beside.rename(path)
    except BaseException:
        listening.close()
        with suppress(OSError):
            beside.unlink()
        raise
    return listening
