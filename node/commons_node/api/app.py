"""The ASGI app: verbs of the registry as HTTP and JSON.

``POST /v1/commands/{name}``, ``GET /v1/views/{name}``, ``GET /v1/events`` (server-sent events),
``GET /v1/verbs``, ``GET /v1/metrics`` (the view of that name as plain text, for Prometheus),
``GET /v1/health`` (the view of that name, for everybody), ``GET /v1/openapi.json``. Knows no domain
and no socket; who may what, `permits` decides. A fault of ours is logged with its traceback and
answered as ``internal``; nobody is ever shown it.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import unquote

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _, reading
from commons_node.api.answers import TRANSPORT, json_answer, refusal
from commons_node.api.arguments import Arguments, from_body, from_query
from commons_node.api.language import catalogue, of_header
from commons_node.api.noting import Noted, given_in, noting
from commons_node.api.openapi import openapi
from commons_node.api.permits import Permits
from commons_node.api.streaming import EventStream
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
from commons_node.registry import Registry, Request, Verb, View, describe_arguments

if TYPE_CHECKING:
    from commons_node.api.events import Events
    from commons_node.audit import Audit

METRICS_TYPE: Final = "text/plain; version=0.0.4"
"""https://prometheus.io/docs/instrumenting/exposition_formats/"""
_OURS: Final[Mapping[str, object]] = {"v": API_VERSION, "ok": True}

log: structlog.stdlib.BoundLogger = structlog.get_logger(component="api")


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
    registry: Registry,
    node: object,
    permits: Permits,
    events: Events,
    language: str = "en",
    audit: Audit | None = None,
) -> Starlette:
    """The app behind one door; ``node`` is handed to every verb as it is.

    Every answer is in the language of its request (``Accept-Language``), or else in ``language``.

    A verb refuses by raising a CommonsError; a mapping under ``report`` in its details goes with
    the answer, for instance the report on each row of a file that was not imported.
    """
    api = _Api(registry, node, permits, language, audit)
    routes = [
        Route("/v1/commands/{name}", api.guarded(api.command), methods=["POST"]),
        Route("/v1/views/{name}", api.guarded(api.view), methods=["GET"]),
        Route("/v1/events", EventStream(events, permits), methods=["GET"]),
        Route("/v1/verbs", api.guarded(api.verbs), methods=["GET"]),
        Route("/v1/metrics", api.metrics, methods=["GET"]),
        Route("/v1/health", api.guarded(api.health), methods=["GET"]),
        Route("/v1/openapi.json", api.guarded(api.document), methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_such_page})
    app.router.redirect_slashes = False  # a redirect has no body, and every answer is one object
    return app


class _Api:
    """The endpoints that answer with one JSON object."""

    def __init__(
        self,
        registry: Registry,
        node: object,
        permits: Permits,
        language: str,
        audit: Audit | None,
    ) -> None:
        self._language = language
        self._registry = registry
        self._node = node
        self._permits = permits
        self._audit = audit
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
                return json_answer(200, await handle(http))
            except CommonsError as error:
                return refusal(error)
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
                return json_answer(HTTP_STATUS["internal"], error_object("internal", message, hint))

        return endpoint

    async def command(self, http: HttpRequest) -> Mapping[str, object]:
        """Run a command, all of it within its time, and note who did."""
        name = http.path_params["name"]
        command = self._registry.command(name)
        if command is None:
            raise UnknownVerb(kind="command", name=ascii(name[:60]))
        with noting(self._audit, self._permits.door, http, command) as noted:
            request = self._request(http, command, noted)
            async with _Limit(http, command):
                described = self._arguments[name]
                body = await _body(http, _body_limit(described))
                arguments = from_body(command, described, body)
                noted.given = given_in(arguments)
                noted.answer = await command.run(request, arguments)
        return {**_OURS, **noted.answer, **_OURS}

    async def view(self, http: HttpRequest) -> Mapping[str, object]:
        """Read a view."""
        name = http.path_params["name"]
        view = self._registry.view(name)
        if view is None:
            raise UnknownVerb(kind="view", name=ascii(name[:60]))
        try:
            request = self._request(http, view, None)
        except CommonsError:
            with noting(self._audit, self._permits.door, http, view):
                raise  # who looks is not written down; who may not, is
        return await self._read(http, view, request)

    async def health(self, http: HttpRequest) -> Mapping[str, object]:
        """The view ``health``, for whoever has come as far as the socket."""
        view = self._registry.view("health")
        if view is None:
            raise UnknownVerb(kind="view", name="'health'")
        return await self._read(http, view, Request(node=self._node))

    async def _read(
        self, http: HttpRequest, view: View, request: Request[Any]
    ) -> Mapping[str, object]:
        async with _Limit(http, view):
            described = self._arguments[view.name]
            arguments = from_query(view, described, http.query_params.multi_items())
            reading = await view.read(request, arguments)
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

    async def verbs(self, http: HttpRequest) -> Mapping[str, object]:
        """The registry, described."""
        self._permits.session(http.headers.get(SESSION_HEADER))
        return {**_OURS, **self._verbs}

    async def document(self, http: HttpRequest) -> Mapping[str, object]:
        """OpenAPI 3.1."""
        self._permits.session(http.headers.get(SESSION_HEADER))
        return self._document

    def _request(self, http: HttpRequest, verb: Verb, noted: Noted | None) -> Request[Any]:
        """The request, once it is clear that it may be made."""
        session = self._permits.session(http.headers.get(SESSION_HEADER))
        if noted is not None:
            noted.session = session
        self._permits.check(session, verb)
        return Request(
            node=self._node,
            community=_selector(http, COMMUNITY_HEADER),
            member=_selector(http, MEMBER_HEADER),
            session=session,
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


async def _no_such_page(http: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = _("The node has no page {path!a} for {method}.").format(
        path=http.url.path[:80], method=http.method
    )
    return json_answer(
        error.status_code,
        error_object("unknown_verb", message, _("GET /v1/openapi.json lists all")),
    )
