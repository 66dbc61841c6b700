"""Why a process of this program ends without having done its work: for a person or a program."""

from __future__ import annotations

import json
import sys

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.api.types import HTTP_STATUS, error_object, exit_code


def tell_failure(
    what: str, code: str, message: str, hint: str, status: int, *, as_json: bool
) -> int:
    """Say on stderr that ``what`` happened, why, and what to try; the exit code of ``status``.

    ``status`` is of HTTP, as the API would answer.
    """
    if as_json:
        sys.stderr.write(json.dumps(error_object(code, message, hint)) + "\n")
    else:
        sys.stderr.write(
            _("error: {what}\n  why: {message}\n  try: {hint}\n").format(
                what=what, message=message, hint=hint
            )
        )
    return exit_code(status)


def tell_error(what: str, error: CommonsError, *, as_json: bool) -> int:
    """As ``tell_failure`` for an error that knows all of it."""
    status = HTTP_STATUS[error.status]
    return tell_failure(what, error.code, str(error), error.way_out, status, as_json=as_json)
