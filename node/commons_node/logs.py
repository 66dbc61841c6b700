"""Log lines to stderr: for people on a terminal, as JSON for machines; secrets are blacked out.

Nothing is written anywhere else and nothing is sent anywhere. Libraries that log with the standard
library (uvicorn, libp2p) come out in the same shape.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Final, TextIO

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor, WrappedLogger

    from commons_node.config import LogFormat, LogLevel

BLACKED_OUT: Final = "[secret]"
_SECRET: Final = re.compile(
    r"passphrase|password|secret|seed|token|\bcode\b|(^|_)key$", re.IGNORECASE
)
_NOT_SECRET: Final = frozenset({"public_key", "device_key", "error_code"})
_MAX_DEPTH: Final = 6


def set_up(
    level: LogLevel = "info", style: LogFormat = "auto", stream: TextIO | None = None
) -> None:
    """Send all logging of this process to ``stream`` (default stderr). May be called again."""
    out = sys.stderr if stream is None else stream
    console = style == "console" or (style == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        black_out,
    ]
    last: list[Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=False,
                # the default, where rich is installed, prints the variables of every frame
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # One line per request or per dropped stranger is noise unless somebody looks for it.
    quiet = logging.DEBUG if level == "debug" else logging.WARNING
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "libp2p", "asyncio", "zeroconf"):
        logging.getLogger(name).setLevel(quiet)


def black_out(
    _logger: WrappedLogger, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Replace the value of every key that sounds like a secret, in nested values too."""
    for name, value in event.items():
        event[name] = _clean(name, value, 0)
    return event


def _clean(name: str, value: object, depth: int) -> object:
    if name not in _NOT_SECRET and _SECRET.search(name) and value is not None:
        return BLACKED_OUT
    if depth < _MAX_DEPTH:
        if isinstance(value, dict):
            return {key: _clean(str(key), one, depth + 1) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [_clean("", one, depth + 1) for one in value]
    return value
