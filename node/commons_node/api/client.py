"""A client of the daemon's API: the standard library's HTTP over the Unix socket.

For the command line and the terminal interface, so it imports nothing of the daemon, and HTTP
itself only when a call is made. Every call has a deadline for the whole of it. Not for threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commons_node.api.language import _
from commons_node.api.types import (
    COMMUNITY_HEADER,
    LANGUAGE_HEADER,
    MAX_FILE_BODY,
    MEMBER_HEADER,
    SESSION_HEADER,
    TIMEOUT_HEADER,
    ExitCode,
    exit_code,
)

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

GRACE_S: Final = 2.0
"""How much longer than the node we wait, so that the node's own answer arrives."""
EVENT_SILENCE_S: Final = 60.0
"""The node says something at least every 15 s on an event stream; after this it is gone."""


class ApiError(Exception):
    """An error as answer, or no answer at all: ``code``, ``message``, ``hint``, ``exit``."""

    def __init__(
        self,
        code: str,
        message: str,
        hint: str,
        exit_with: ExitCode,
        report: dict[str, Any] | None = None,
    ) -> None:
        """``exit_with`` is what a program exits with; ``report`` what was found out before."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.exit = exit_with
        self.report = report


class Client:
    """Calls verbs by name. ``arguments`` are JSON-able, with bytes as base64."""

    def __init__(
        self,
        socket: Path,
        *,
        session: str | None = None,
        community: str | None = None,
        member: str | None = None,
        language: str | None = None,
    ) -> None:
        """Connects to nothing yet. The selectors go with every call, and so does the language."""
        self.socket = socket
        self.session = session
        self._community = community
        self._member = member
        self._language = language

    def command(
        self, name: str, arguments: Mapping[str, object], timeout_s: float
    ) -> dict[str, Any]:
        """Run a command; its answer. Raises ApiError."""
        body = json.dumps(arguments).encode()
        return self._call("POST", f"/v1/commands/{name}", body, timeout_s)

    def view(self, name: str, arguments: Mapping[str, object], timeout_s: float) -> dict[str, Any]:
        """Read a view; its answer with ``as_of``, ``missing``, ``conflicts``. Raises ApiError."""
        return self._call("GET", f"/v1/views/{name}{_query(arguments)}", None, timeout_s)

    def get(self, path: str, timeout_s: float) -> dict[str, Any]:
        """Read a document of the API itself, such as ``/v1/openapi.json``. Raises ApiError."""
        return self._call("GET", path, None, timeout_s)

    def events(self, timeout_s: float | None = None) -> Iterator[dict[str, Any]]:
        """Everything that happens from now on, until the node stops. Raises ApiError.

        With ``timeout_s`` it ends with the error ``timeout`` after that time.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with _Connection(self.socket, _remaining(deadline, EVENT_SILENCE_S)) as connection:
            response = connection.send("GET", "/v1/events", None, self._headers(None))
            if response.status != 200:
                raise _error(response.status, response.read())
            yield from _events(connection, response, deadline)

    def reach(self) -> None:
        """Only see whether a node is there. Raises ApiError as any call would."""
        with _Connection(self.socket, GRACE_S) as connection:
            connection.open()

    def _call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> dict[str, Any]:
        if body is not None and len(body) > MAX_FILE_BODY:
            raise too_large()
        deadline = time.monotonic() + timeout_s + GRACE_S
        with _Connection(self.socket, timeout_s + GRACE_S) as connection:
            response = connection.send(method, path, body, self._headers(timeout_s))
            answer = connection.read(response, deadline)
        if response.status >= 400:
            raise _error(response.status, answer)
        return _object(answer)

    def _headers(self, timeout_s: float | None) -> dict[str, str]:
        from urllib.parse import quote  # noqa: PLC0415 -- only when a call is made

        given = {
            SESSION_HEADER: self.session,
            COMMUNITY_HEADER: self._community and quote(self._community),
            MEMBER_HEADER: self._member and quote(self._member),
            LANGUAGE_HEADER: self._language,
            TIMEOUT_HEADER: None if timeout_s is None else f"{timeout_s:.3f}",
        }
        return {name: value for name, value in given.items() if value}


class _Connection:
    """One request over the socket, every failure of it as an ApiError."""

    def __init__(self, socket: Path, timeout_s: float) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._http: HTTPConnection | None = None

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._http is not None:
            self._http.close()

    def open(self) -> HTTPConnection:
        import socket  # noqa: PLC0415 -- only when a call is made
        from http.client import HTTPConnection  # noqa: PLC0415 -- costs 20 ms

        http = self._http = HTTPConnection("localhost", timeout=self._timeout_s)
        http.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        http.sock.settimeout(self._timeout_s)
        try:
            http.sock.connect(str(self._socket))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise not_running(self._socket) from None
        except PermissionError:
            raise not_yours(self._socket) from None
        except OSError as error:
            raise _broken(error) from None
        return http

    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        from http.client import HTTPException  # noqa: PLC0415 -- loaded already by ``open``

        http = self.open()
        try:
            # A node that refuses a large body answers and closes before it has read it all.
            with suppress(BrokenPipeError, ConnectionResetError):
                http.request(method, path, body, dict(headers))
            return http.getresponse()
        except (OSError, HTTPException) as error:
            raise _broken(error) from None

    def read(self, response: HTTPResponse, deadline: float) -> bytes:
        """The whole body, before ``deadline`` on the monotonic clock."""
        from http.client import HTTPException  # noqa: PLC0415 -- loaded already by ``send``

        parts: list[bytes] = []
        try:
            while True:
                self.patience(_remaining(deadline, self._timeout_s))
                part = response.read1(1 << 20)
                if not part:
                    break
                parts.append(part)
        except (OSError, HTTPException, OverflowError) as error:  # of lengths that cannot be
            raise _broken(error) from None
        if response.length:
            raise _broken(EOFError())
        return b"".join(parts)

    def patience(self, seconds: float) -> None:
        """How long the next read may wait."""
        if self._http is not None and self._http.sock is not None:
            self._http.sock.settimeout(seconds)


def _events(
    connection: _Connection, response: HTTPResponse, deadline: float | None
) -> Iterator[dict[str, Any]]:
    """Server-sent events (WHATWG HTML §9.2), as much of them as our server writes."""
    from http.client import HTTPException  # noqa: PLC0415 -- loaded already by ``send``

    while True:
        try:
            connection.patience(_remaining(deadline, EVENT_SILENCE_S))
            line = response.readline()
        except (OSError, HTTPException, OverflowError) as error:
            raise _broken(error) from None
        if not line:
            return
        field, _, value = line.partition(b":")
        if field == b"data":
            yield _object(value)


def _query(arguments: Mapping[str, object]) -> str:
    from urllib.parse import urlencode  # noqa: PLC0415 -- only when a call is made

    pairs: list[tuple[str, str]] = []
    for name, value in arguments.items():
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        pairs += [(name, json.dumps(one) if isinstance(one, bool) else str(one)) for one in values]
    return "?" + urlencode(pairs) if pairs else ""


def _remaining(deadline: float | None, most: float) -> float:
    """Seconds until ``deadline``, at most ``most``. Raises ApiError when it is over."""
    if deadline is None:
        return most
    left = deadline - time.monotonic()
    if left <= 0:
        raise timed_out()
    return min(left, most)


def _object(answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        message = _("The answer is not what a node says.")
        raise ApiError("internal", message, _("the node's log says more"), ExitCode.FAILED)
    return found


def _error(status: int, answer: bytes) -> ApiError:
    with suppress(ApiError):
        error = _object(answer).get("error")
        if isinstance(error, dict):
            code, message, hint = (str(error.get(key, "")) for key in ("code", "message", "hint"))
            report = error.get("report")
            shown = report if isinstance(report, dict) else None
            return ApiError(code, message, hint, exit_code(status), shown)
    return ApiError(
        "internal", _("The node answered {status}.").format(status=status), "", exit_code(status)
    )


def _broken(error: BaseException) -> ApiError:
    if isinstance(error, TimeoutError):
        return timed_out()
    message = _("The node stopped before it had answered.")
    return ApiError("stopped", message, "commons-node run", ExitCode.NOT_RUNNING)


def timed_out() -> ApiError:
    """The time for a call is over."""
    message = _("The time was over before the node had answered; it may still have happened.")
    hint = _("look with commons-node status, or give more time with --timeout S")
    return ApiError("timeout", message, hint, ExitCode.TIMEOUT)


def not_running(socket: Path) -> ApiError:
    """Nothing listens on the socket."""
    message = _("No node runs here: nothing answers at {socket}.").format(socket=socket)
    return ApiError("not_running", message, "commons-node run", ExitCode.NOT_RUNNING)


def not_yours(path: Path) -> ApiError:
    """The socket belongs to another user."""
    message = _("The node at {path} belongs to another user.").format(path=path)
    return ApiError("not_yours", message, "commons-node --home DIR status", ExitCode.LOCKED)


def too_large() -> ApiError:
    """More than the node reads at once."""
    message = _("A request takes at most {max_file_body} MiB, files included.").format(
        max_file_body=MAX_FILE_BODY >> 20
    )
    return ApiError("too_large", message, _("split the file"), ExitCode.USAGE)
