"""``GET /v1/events``: what happens, as server-sent events, to whoever may listen.

Slow readers hold up nobody: they are dropped (`events`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from starlette.requests import Request as HttpRequest

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.api.answers import TRANSPORT, json_answer, refusal
from commons_node.api.types import SESSION_HEADER, error_object

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from commons_node.api.events import Events, Listener
    from commons_node.api.permits import Permits

KEEP_ALIVE_S: Final = 15.0
"""A line at least this often on an event stream, so that a client knows that we live."""


class EventStream:
    """``GET /v1/events``: an ASGI app of its own, because it must be able to drop a connection."""

    def __init__(self, events: Events, permits: Permits) -> None:
        self._events = events
        self._permits = permits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            token = HttpRequest(scope).headers.get(SESSION_HEADER)
            self._permits.check_events(self._permits.session(token))
        except CommonsError as error:
            await refusal(error)(scope, receive, send)
            return
        transport = scope.get("state", {}).get(TRANSPORT)
        listener = self._events.listen(transport.abort if transport is not None else _nothing)
        if listener is None:
            busy = error_object("busy", _("Too many programs listen to this node already."), "")
            await json_answer(503, busy)(scope, receive, send)
            return
        try:
            started = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 200, "headers": started})
            telling = asyncio.create_task(_tell(listener, send))
            leaving = asyncio.create_task(_gone(receive))
            try:
                await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (telling, leaving):
                    task.cancel()
                await asyncio.gather(telling, leaving, return_exceptions=True)
            if not listener.dropped:
                with suppress(OSError):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._events.leave(listener)


async def _tell(listener: Listener, send: Send) -> None:
    """Write events as they come. Flow control holds this up, and nothing else."""
    await send({"type": "http.response.body", "body": b": here\n\n", "more_body": True})
    waiting = asyncio.ensure_future(anext(listener))
    try:
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=KEEP_ALIVE_S)
            body = b": here\n\n"
            if done:
                try:
                    body = b"data: " + waiting.result() + b"\n\n"
                except StopAsyncIteration:
                    return
                waiting = asyncio.ensure_future(anext(listener))
            await send({"type": "http.response.body", "body": body, "more_body": True})
    finally:
        waiting.cancel()


async def _gone(receive: Receive) -> None:
    """Return when the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _nothing() -> None:
    """A server without transports in its scope: the listener's end is enough."""
