"""Figures and health over HTTP on a TCP port, where the host wants that: ``metrics_listen``.

Off unless it is set. ``GET /metrics`` and ``GET /health``, and nothing else: no verb can be
reached here. A page in a browser on this machine that asks under another name gets nothing.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, ClassVar, Final, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commons_crdt.errors import CommonsError
from commons_node.api.answers import json_answer
from commons_node.api.app import METRICS_TYPE
from commons_node.api.server import QuietServer
from commons_node.health.metrics import exposition
from commons_node.health.pulse import pulse

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_GRACE_S: Final = 1.0
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class PortTaken(CommonsError):
    """Figures cannot be given at {where}: {why}."""

    code: ClassVar[str] = "metrics_port"
    hint: ClassVar[str] = "choose another port for metrics_listen in config.toml, or leave it out"
    status = "failed"


class MetricsPort:
    """Listens between ``start`` and ``stop``."""

    def __init__(self, daemon: Daemon, where: str) -> None:
        """``where``: ``127.0.0.1:9464`` or ``[::1]:9464``."""
        host, _, port = where.rpartition(":")
        self._daemon = daemon
        self._where = where
        self._host, self._port = host.strip("[]"), int(port)
        self._names = {host, *(_LOCAL if host in _LOCAL else ())}
        routes = [
            Route("/metrics", self._metrics, methods=["GET"]),
            Route("/health", self._health, methods=["GET"]),
        ]
        self._server = QuietServer(
            uvicorn.Config(
                Starlette(routes=routes),
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=16,
                timeout_graceful_shutdown=cast("int", _GRACE_S),
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises PortTaken."""
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            listening = socket.socket(family, socket.SOCK_STREAM)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._host, self._port))
            listening.listen(16)
        except (OSError, OverflowError) as error:
            raise PortTaken(where=self._where, why=error) from None
        self._serving = asyncio.create_task(self._server.serve([listening]), name="metrics")

    async def stop(self) -> None:
        """Listen no more."""
        if self._serving is not None:
            self._server.should_exit = True
            self._server.stopping.set()
            await asyncio.wait({self._serving}, timeout=_GRACE_S + 1.0)
            self._serving = None

    def _meant(self, http: Request) -> bool:
        """Whether it was asked for by its address: a web page's own name is none of ours."""
        host = http.headers.get("host", "").rpartition(":")[0] or http.headers.get("host", "")
        return host in self._names or self._host in {"0.0.0.0", "::"}  # noqa: S104 -- compared

    async def _metrics(self, http: Request) -> Response:
        if not self._meant(http):
            return Response(status_code=421)
        return Response(await exposition(self._daemon), media_type=METRICS_TYPE)

    async def _health(self, http: Request) -> Response:
        if not self._meant(http):
            return Response(status_code=421)
        parts = await pulse(self._daemon)
        healthy = "down" not in parts.values()
        return json_answer(200 if healthy else 503, {"v": 1, "ok": healthy, "parts": parts})
