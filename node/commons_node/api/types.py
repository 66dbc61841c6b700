"""What both ends of the API agree on: codes, exit codes, headers, limits.

Standard library only and never anything of ours: the command line imports it at every start.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

API_VERSION: Final = 1

SESSION_HEADER: Final = "Commons-Session"
"""The token of a terminal session, 64 lower-case hex digits."""
COMMUNITY_HEADER: Final = "Commons-Community"
"""A community by id, unique prefix or name; percent-encoded UTF-8."""
MEMBER_HEADER: Final = "Commons-As"
"""The member who acts, by id, unique prefix or name; percent-encoded UTF-8."""
LANGUAGE_HEADER: Final = "Accept-Language"
"""In which language sentences, reasons and errors come; codes and keys never change."""
TIMEOUT_HEADER: Final = "Commons-Timeout"
"""How long the caller waits, in seconds; the node gives up at the same time."""

MAX_BODY: Final = 1 << 20
"""Bytes of a request body, unless one of its arguments is a file."""
MAX_FILE_BODY: Final = 96 << 20
"""Bytes of a request body that carries a file, base64 included."""
MAX_TIMEOUT_S: Final = 3600.0
"""The longest time that one call may take, whatever it asks for."""


class ExitCode(IntEnum):
    """How a ``commons-node`` process ends; CONTRACT.md fixes the numbers."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    LOCKED = 4
    TIMEOUT = 5
    INTERRUPTED = 130


EXIT_MEANING: Final = {
    ExitCode.OK: "it worked",
    ExitCode.FAILED: "it did not work; the last line on stderr says why",
    ExitCode.USAGE: "the command line or a value in it is wrong",
    ExitCode.NOT_RUNNING: "no node runs for this home",
    ExitCode.LOCKED: "not permitted, or the member is locked in this terminal",
    ExitCode.TIMEOUT: "the time was over before it was done",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C",
}

HTTP_STATUS: Final = {
    "failed": 409,
    "usage": 400,
    "locked": 403,
    "not_found": 404,
    "too_large": 413,
    "internal": 500,
    "unavailable": 503,
    "timeout": 504,
}
"""The HTTP status of each class of error (``CommonsError.status``, and two of the server's own)."""

_EXIT_OF_HTTP: Final = {
    400: ExitCode.USAGE,
    403: ExitCode.LOCKED,
    405: ExitCode.USAGE,
    413: ExitCode.USAGE,
    504: ExitCode.TIMEOUT,
}


def exit_code(http_status: int) -> ExitCode:
    """The exit code that a caller reports for an answer with ``http_status``."""
    if http_status < 400:
        return ExitCode.OK
    return _EXIT_OF_HTTP.get(http_status, ExitCode.FAILED)


API_CODES: Final = {
    "usage": "the command line is wrong",
    "unknown_verb": "the node has no command or view of this name",
    "unknown_field": "an argument has a name that the verb does not take",
    "missing_argument": "an argument is missing",
    "bad_argument": "an argument has a value of the wrong kind",
    "bad_json": "the request is not a JSON object in UTF-8",
    "too_large": "the request is larger than the node reads",
    "not_running": "no node runs for this home",
    "stopped": "the node stopped before it had answered",
    "not_yours": "the socket or its folder belongs to somebody else",
    "locked": "no member is unlocked in this terminal session",
    "which_member": "several members are unlocked here and the command does not say which one acts",
    "wrong_passphrase": "the passphrase does not open the key",
    "weak_passphrase": "the passphrase is shorter than 8 characters",
    "timeout": "the time was over before it was done",
    "interrupted": "stopped by Ctrl-C",
    "declined": "the question whether to go on was answered with no",
    "busy": "too many programs listen to the node",
    "failed": "something outside this program did not work, such as writing a file",
    "internal": "a fault of the node itself; its log has the details",
}
"""Error codes of the API and the command line themselves; the domains add their own."""


def error_object(
    code: str, message: str, hint: str = "", report: Mapping[str, object] | None = None
) -> dict[str, object]:
    """What an error looks like in JSON, on the socket and as the last line on stderr.

    ``report`` is what a verb found out before it gave up, in the shape of its answer.
    """
    error: dict[str, object] = {"code": code, "message": message, "hint": hint}
    if report is not None:
        error["report"] = report
    return {"v": API_VERSION, "ok": False, "error": error}
