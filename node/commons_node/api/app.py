"""The ASGI app: verbs of the registry as HTTP and JSON.

``POST /v1/commands/{name}``, ``GET /v1/views/{name}``, ``GET /v1/events`` (server-sent events),
``GET /v1/verbs``, ``GET /v1/metrics`` (the view of that name as plain text, for Prometheus),
``GET /v1/openapi.json``. Knows no domain and no socket. A fault of ours is
logged with its traceback and answered as ``internal``; nobody is ever shown it.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import unquote

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _, reading
from commons_node.api.arguments import Arguments, from_body, from_query
from commons_node.api.language import catalogue, of_header
from commons_node.api.openapi import openapi
from commons_node.api.types import (
    API_VERSION,
    COMMUNITY_HEADER,
    HTTP_STATUS,
    LANGUAGE_HEADER,
    MAX_BODY,
    MAX_FILE_BODY,
    MAX_TIMEOUT_S,
    MEMBER_HEADER,
    SESSION_HEADER,
    TIMEOUT_HEADER,
    error_object,
)
from commons_node.registry import Registry, Request, Verb, describe_arguments

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from commons_node.api.events import Events, Listener
    from commons_node.keystore.sessions import Sessions

KEEP_ALIVE_S: Final = 15.0
"""A line at least this often on an event stream, so that a client knows that we live."""
TRANSPORT: Final = "commons.transport"
"""Where the server puts the connection's transport in an ASGI scope's state."""
METRICS_TYPE: Final = "text/plain; version=0.0.4"
"""https://prometheus.io/docs/instrumenting/exposition_formats/"""
_OURS: Final[Mapping[str, object]] = {"v": API_VERSION, "ok": True}

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class UnknownVerb(CommonsError):
    """The node has no {kind} {name}."""

    code: ClassVar[str] = "unknown_verb"
    hint: ClassVar[str] = "commons-node --help"
    status = "usage"


class TooLarge(CommonsError):
    """The request is larger than {limit} bytes."""

    code: ClassVar[str] = "too_large"
    hint: ClassVar[str] = "send less, or in several parts"
    status = "usage"


class TimedOut(CommonsError):
    """It was not done within {seconds} s; it may still have happened."""

    code: ClassVar[str] = "timeout"
    hint: ClassVar[str] = "look with commons-node status, or give more time with --timeout S"
    status = "timeout"


class BadTimeout(CommonsError):
    """The time to wait is not a number of seconds above 0."""

    code: ClassVar[str] = "bad_argument"
    hint: ClassVar[str] = "for example --timeout 30"
    status = "usage"


def make_app(
    registry: Registry, node: object, sessions: Sessions, events: Events, language: str = "en"
) -> Starlette:
    """The app; ``node`` is handed to every verb as it is.

    Every answer is in the language of its request (``Accept-Language``), or else in ``language``.

    A verb refuses by raising a CommonsError; a mapping under ``report`` in its details goes with
    the answer, for instance the report on each row of a file that was not imported.
    """
    api = _Api(registry, node, sessions, language)
    routes = [
        Route("/v1/commands/{name}", api.guarded(api.command), methods=["POST"]),
        Route("/v1/views/{name}", api.guarded(api.view), methods=["GET"]),
        Route("/v1/events", _EventStream(events), methods=["GET"]),
        Route("/v1/verbs", api.guarded(api.verbs), methods=["GET"]),
        Route("/v1/metrics", api.metrics, methods=["GET"]),
        Route("/v1/openapi.json", api.guarded(api.document), methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_such_page})
    app.router.redirect_slashes = False  # a redirect has no body, and every answer is one object
    return app


class _Api:
    """The endpoints that answer with one JSON object."""

    def __init__(self, registry: Registry, node: object, sessions: Sessions, language: str) -> None:
        self._language = language
        self._registry = registry
        self._node = node
        self._sessions = sessions
        self._verbs = {**registry.describe(), **_OURS}
        self._document = openapi(registry)
        self._arguments = {verb.name: describe_arguments(verb) for verb in registry.verbs()}

    def guarded(
        self, handle: Callable[[HttpRequest], Awaitable[Mapping[str, object]]]
    ) -> Callable[[HttpRequest], Awaitable[Response]]:
        """``handle`` with every outcome as JSON."""

        async def endpoint(http: HttpRequest) -> Response:
            reading.set(catalogue(of_header(http.headers.get(LANGUAGE_HEADER) or self._language)))
            try:
                return _json(200, await handle(http))
            except CommonsError as error:
                return _refusal(error)
            except ClientDisconnect:
                return Response(status_code=499)  # nobody reads it
            except asyncio.CancelledError:
                # The node stops, and has waited long enough: whoever asked sees that it is gone.
                transport = http.scope.get("state", {}).get(TRANSPORT)
                if transport is not None:
                    transport.abort()
                return Response(status_code=499)
            except Exception:
                reference = secrets.token_hex(4)
                log.exception("a request failed", reference=reference, path=http.url.path)
                message = _("Something went wrong inside the node.")
                hint = _("the node's log says more under {reference}").format(reference=reference)
                return _json(HTTP_STATUS["internal"], error_object("internal", message, hint))

        return endpoint

    async def command(self, http: HttpRequest) -> Mapping[str, object]:
        """Run a command, all of it within its time."""
        name = http.path_params["name"]
        command = self._registry.command(name)
        if command is None:
            raise UnknownVerb(kind="command", name=ascii(name[:60]))
        async with _Limit(http, command):
            described = self._arguments[name]
            arguments = from_body(command, described, await _body(http, _body_limit(described)))
            result = await command.run(self._request(http), arguments)
        return {**_OURS, **result, **_OURS}

    async def view(self, http: HttpRequest) -> Mapping[str, object]:
        """Read a view."""
        name = http.path_params["name"]
        view = self._registry.view(name)
        if view is None:
            raise UnknownVerb(kind="view", name=ascii(name[:60]))
        async with _Limit(http, view):
            arguments = from_query(view, self._arguments[name], http.query_params.multi_items())
            reading = await view.read(self._request(http), arguments)
        trust = {
            "as_of": reading.as_of,
            "missing": reading.missing,
            "conflicts": reading.conflicts,
        }
        return {**_OURS, **reading.value, **trust, **_OURS}

    async def metrics(self, http: HttpRequest) -> Response:
        """The view ``metrics`` as a scraper wants it; a refusal is JSON, as everywhere."""
        http.path_params["name"] = "metrics"
        found: dict[str, object] = {}

        async def read(request: HttpRequest) -> Mapping[str, object]:
            found.update(await self.view(request))
            return found

        answer = await self.guarded(read)(http)
        if answer.status_code != 200:
            return answer
        return Response(str(found["text"]), media_type=METRICS_TYPE)

    async def verbs(self, _http: HttpRequest) -> Mapping[str, object]:
        """The registry, described."""
        return {**_OURS, **self._verbs}

    async def document(self, _http: HttpRequest) -> Mapping[str, object]:
        """OpenAPI 3.1."""
        return self._document

    def _request(self, http: HttpRequest) -> Request[Any]:
        return Request(
            node=self._node,
            community=_selector(http, COMMUNITY_HEADER),
            member=_selector(http, MEMBER_HEADER),
            session=self._sessions.find(http.headers.get(SESSION_HEADER)),
        )


class _Limit:
    """A verb's time: what the caller says, otherwise what the verb says."""

    def __init__(self, http: HttpRequest, verb: Verb) -> None:
        self._seconds = verb.timeout_s
        given = http.headers.get(TIMEOUT_HEADER)
        if given is not None:
            try:
                self._seconds = float(given)
            except ValueError:
                raise BadTimeout from None
            if not (math.isfinite(self._seconds) and self._seconds > 0):
                raise BadTimeout
        self._seconds = min(self._seconds, MAX_TIMEOUT_S)
        self._timeout = asyncio.timeout(self._seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError:
            if self._timeout.expired():
                raise TimedOut(seconds=f"{self._seconds:g}") from None
            raise


class _EventStream:
    """``GET /v1/events``: an ASGI app of its own, because it must be able to drop a connection."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = scope.get("state", {}).get(TRANSPORT)
        listener = self._events.listen(transport.abort if transport is not None else _nothing)
        if listener is None:
            busy = error_object("busy", _("Too many programs listen to this node already."), "")
            await _json(503, busy)(scope, receive, send)
            return
        try:
            headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
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


def _selector(http: HttpRequest, header: str) -> str | None:
    found = http.headers.get(header)
    return unquote(found, errors="replace") if found else None


def _body_limit(described: Arguments) -> int:
    files = any(one["kind"] in {"file-in", "file-or-text"} for one in described)
    return MAX_FILE_BODY if files else MAX_BODY


async def _body(http: HttpRequest, limit: int) -> bytes:
    """The body, refused as soon as it is known to be too large."""
    length = http.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise TooLarge(limit=limit)
    body = bytearray()
    async for part in http.stream():
        body += part
        if len(body) > limit:
            raise TooLarge(limit=limit)
    return bytes(body)


def _refusal(error: CommonsError) -> Response:
    status = HTTP_STATUS["too_large" if isinstance(error, TooLarge) else error.status]
    report = error.details.get("report")
    shown = report if isinstance(report, Mapping) else None
    return _json(status, error_object(error.code, str(error), error.way_out, shown))


def _json(status: int, content: Mapping[str, object]) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _no_such_page(http: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = _("The node has no page {path!a} for {method}.").format(
        path=http.url.path[:80], method=http.method
    )
    return _json(
        error.status_code,
        error_object("unknown_verb", message, _("GET /v1/openapi.json lists all")),
    )
