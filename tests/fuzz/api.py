"""Targets of the API: the arguments of every verb, whole requests, and what a client reads.

The verbs are the node's own; only what they do is replaced by an echo, so that nothing but the way
in and the way out is tested. A request that makes the node answer ``internal`` is a finding.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec
import structlog
from starlette.applications import Starlette
from tests.fuzz.target import Target, headed, hold, only, with_head

from commons_crdt.errors import CommonsError
from commons_node.api import client
from commons_node.api.app import make_app
from commons_node.api.arguments import Arguments, from_body, from_query
from commons_node.api.client import ApiError
from commons_node.api.events import Events
from commons_node.api.permits import Permits
from commons_node.api.types import HTTP_STATUS
from commons_node.domains import registry
from commons_node.keystore.sessions import Sessions
from commons_node.registry import Reading, Registry, Request, Verb, describe_arguments

REFUSALS = ("bad_json", "unknown_field", "missing_argument", "bad_argument")


@lru_cache
def _verbs() -> dict[str, tuple[Verb, Arguments]]:
    return {verb.name: (verb, describe_arguments(verb)) for verb in registry().verbs()}


# --- arguments -----------------------------------------------------------------------------------


def _arguments(data: bytes) -> bool:
    """The first line is a verb, the rest its arguments as JSON."""
    head, rest = headed(data)
    if head not in _verbs():
        return False
    verb, described = _verbs()[head]
    try:
        with only(*REFUSALS):
            arguments = from_body(verb, described, rest)
    except CommonsError:
        return False
    again = from_body(verb, described, msgspec.json.encode(arguments))
    hold(again == arguments, "arguments mean one thing")
    return True


def _query(data: bytes) -> bool:
    """The first line is a verb, the rest its arguments as the query of a URL."""
    head, rest = headed(data)
    if head not in _verbs():
        return False
    verb, described = _verbs()[head]
    pairs = parse_qsl(rest.decode("latin-1"), keep_blank_values=True)
    try:
        with only(*REFUSALS):
            arguments = from_query(verb, described, pairs)
    except CommonsError:
        return False
    hold(isinstance(arguments, verb.args), "a verb gets its own arguments")
    msgspec.json.encode(arguments)
    return True


_EXAMPLES: Mapping[str, object] = {
    "text": "1622", "integer": 3, "number": 1.5, "flag": True, "duration": 900,
    "time": "2026-05-01T18:00:00Z", "file-in": {"name": "a.csv", "data": "bnVtYmVyLG5hbWUK"},
    "file-or-text": {"name": "offer", "data": "AA=="}, "file-out": "offer.file",
    "path-out": "/srv/elm-street.archive", "path-in": "/media/stick/elm-street.bundle",
    "folder": "/media/disk/backups",
    "passphrase": "correct horse battery", "new-passphrase": "correct horse battery",
    "secret": "0123 4567",
}  # fmt: skip


def _example(described: Mapping[str, object]) -> object:
    choices = cast("list[object]", described.get("choices") or [None])
    value = _EXAMPLES.get(str(described["kind"]), choices[0])
    if isinstance(value, int) and isinstance(least := described.get("min"), int):
        value = max(value, least)
    return [value] if described.get("repeat") else value


def examples() -> dict[str, dict[str, object]]:
    """Good arguments of every verb: all that it takes."""
    return {
        name: {str(one["name"]): _example(one) for one in described}
        for name, (_, described) in _verbs().items()
    }


def _argument_seeds() -> Mapping[str, bytes]:
    found = {
        name: with_head(name, json.dumps(given).encode()) for name, given in examples().items()
    }
    return found | {
        "bad verb": with_head("loan.steal", b"{}"),
        "bad name": with_head("loan.request", b'{"resource":"1622","days":3,"dais":1}'),
        "bad type": with_head("loan.request", b'{"resource":1622,"days":"3"}'),
        "bad json": with_head("loan.request", b'{"resource":'),
    }


def _query_seeds() -> Mapping[str, bytes]:
    views = {name for name, (verb, _) in _verbs().items() if hasattr(verb, "read")}
    found = {
        name: with_head(name, urlencode(_flat(given), doseq=True).encode())
        for name, given in examples().items()
        if name in views
    }
    return found | {
        "bad twice": with_head("loan.show", b"loan=1&loan=2"),
        "bad missing": with_head("loan.show", b""),
    }


def _flat(given: Mapping[str, object]) -> dict[str, object]:
    return {k: json.dumps(v) if isinstance(v, bool) else v for k, v in given.items()}


# --- whole requests ------------------------------------------------------------------------------


async def _echo(_request: Request[Any], arguments: msgspec.Struct) -> Mapping[str, object]:
    return {"given": msgspec.to_builtins(arguments)}


async def _read(_request: Request[Any], arguments: msgspec.Struct) -> Reading:
    return Reading({"given": msgspec.to_builtins(arguments)})


@lru_cache
def _app() -> Starlette:
    real = registry()
    echoing = Registry(
        tuple(replace(verb, run=_echo) for verb in real.commands),
        tuple(replace(verb, read=_read) for verb in real.views),
        real.nouns,
    )
    return make_app(echoing, None, Permits(Sessions(), None, "own"), Events())


def _request(data: bytes) -> bool:
    """A request as a server takes it apart: method and target, headers, a blank line, a body."""
    head, _, body = data.partition(b"\n\n")
    line, *headers = head.split(b"\n")
    method, _, target = line.partition(b" ")
    path, _, query = target.partition(b"?")
    if path == b"/v1/events" or not all(0x21 <= byte <= 0x7E for byte in target):
        return False  # the one never ends by itself; anything else never gets past the server
    scope = {
        "type": "http", "http_version": "1.1", "method": method.decode("latin-1"),
        "path": unquote(path.decode("ascii")), "raw_path": path, "query_string": query,
        "headers": [(k.strip().lower(), v.strip())
                    for k, _, v in (one.partition(b":") for one in headers)],
    }  # fmt: skip
    status, answer = asyncio.run(_asked(scope, body))
    found = json.loads(answer)
    hold(isinstance(found, dict) and found.get("v", 1) == 1, "an answer is one object")
    hold(status != HTTP_STATUS["internal"], "no request is a fault of the node")
    return status == 200


async def _asked(scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:
    status, parts = 0, bytearray()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.extend(message.get("body", b""))

    with structlog.testing.capture_logs():
        await _app()(scope, receive, send)
    return status, bytes(parts)


def _request_seeds() -> Mapping[str, bytes]:
    asked = json.dumps(examples()["loan.request"]).encode()
    return {
        "a command": b"POST /v1/commands/loan.request\nCommons-Timeout: 5\nCommons-As: %C3%A4\n\n"
        + asked,
        "a view": b"GET /v1/views/loan.show?loan=1622\nCommons-Community: ab\nHost: x",
        "verbs": b"GET /v1/verbs",
        "bad session": b"GET /v1/views/loan.show\nCommons-Session: abc",
        "bad time": b"POST /v1/commands/loan.request\nCommons-Timeout: nan\n\n{}",
        "bad length": b"POST /v1/commands/loan.request\nContent-Length: 99999999999\n\n{}",
        "bad page": b"GET /v2/nothing",
    }


# --- what a client reads -------------------------------------------------------------------------


class _Wire:
    """A socket that has this to say."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> BufferedReader:
        return BufferedReader(BytesIO(self._data))


def _client(data: bytes) -> bool:
    """An HTTP response, read as an answer and as a stream of events."""
    taken = False
    for path in (_answer, _listen):
        response = HTTPResponse(_Wire(data))  # type: ignore[arg-type]  # all that it uses
        try:
            response.begin()
        except (OSError, HTTPException):  # as `_Connection.send` does
            continue
        try:
            path(response)
        except ApiError as error:
            (error.code + error.message + error.hint).encode("utf-8", "surrogatepass")
        else:
            taken = True
        finally:
            response.close()
    return taken


def _answer(response: HTTPResponse) -> None:
    connection = client._Connection(Path("socket"), 5.0)
    answer = connection.read(response, time.monotonic() + 60.0)
    if response.status >= 400:
        raise client._error(response.status, answer)
    hold(isinstance(client._object(answer), dict), "an answer is an object")


def _listen(response: HTTPResponse) -> None:
    connection = client._Connection(Path("socket"), 5.0)
    count = sum(1 for _ in client._events(connection, response, None))
    if not count:
        raise client.timed_out()


def _client_seeds() -> Mapping[str, bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
    refused = b'{"v":1,"ok":false,"error":{"code":"usage","message":"no","hint":"","report":{}}}'
    events = b': here\n\ndata: {"v":1,"event":"peer"}\n\n'
    return {
        "an answer": head % (14, b'{"v":1,"x":[]}'),
        "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "events": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + events,
        "bad refused": head.replace(b"200 OK", b"400 No") % (len(refused), refused),
        "bad cut off": head % (99, b"{}"),
        "bad no json": head % (2, b"ok"),
        "bad no http": b"hello",
    }


TARGETS = (
    Target("api-arguments", _arguments, _argument_seeds, "json", head=True),
    Target("api-query", _query, _query_seeds, "text", head=True),
    Target("api-request", _request, _request_seeds, "text", memory=4 << 20),
    Target("api-client", _client, _client_seeds, "text", memory=4 << 20),
)
