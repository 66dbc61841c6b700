"""What is answered, as bytes: one JSON object, whether it went well or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

from commons_crdt.errors import CommonsError
from commons_node.api.types import HTTP_STATUS, error_object

TRANSPORT: Final = "commons.transport"
"""Where the server puts the connection's transport in an ASGI scope's state."""


def refusal(error: CommonsError) -> Response:
    """An error of ours: its code, sentence and way out, and what was found out before."""
    status = HTTP_STATUS["too_large" if error.code == "too_large" else error.status]
    report = error.details.get("report")
    shown = report if isinstance(report, Mapping) else None
    return json_answer(status, error_object(error.code, str(error), error.way_out, shown))


def json_answer(status: int, content: Mapping[str, object]) -> Response:
    """``content`` as JSON."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")
