"""Log lines to stderr or to a file: plain on a terminal, JSON otherwise; secrets are blacked out.

Nothing is written anywhere else and nothing is sent anywhere. Libraries that log with the standard
library (uvicorn, libp2p) come out in the same shape. Each component (`component` of a line; a
library's first word) may have a level of its own, which can change while the node runs.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Final, TextIO, cast

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor, WrappedLogger

    from commons_node.config import LogFormat, LogLevel
    from commons_node.rotating import RotatingFile

BLACKED_OUT: Final = "[secret]"
_SECRET: Final = re.compile(
    r"passphrase|password|secret|seed|token|\bcode\b|(^|_)key$", re.IGNORECASE
)
_NOT_SECRET: Final = frozenset({"public_key", "device_key", "error_code"})
_MAX_DEPTH: Final = 6
LIBRARIES: Final = ("asyncio", "libp2p", "uvicorn", "zeroconf")
COMPONENTS: Final = (
    "agents", "api", "attendance", "audit", "backup", "daemon", "disk", "example", "jobs",
    "keeping", "lan", "leaving", "libp2p_host", "membership", "own", "parts", "peering", "realm",
    "reputation", "sandbox", "sealing", "store", "verifier",
)  # fmt: skip
"""What says of itself what it is, in ``component``; a test holds this to the code."""
_OURS: Final = re.compile(r"commons_(?:node|protocol)\.([a-z0-9_]+)")


class Levels(logging.Filter):
    """Which lines are written: one level for all, and others for some components."""

    def __init__(self) -> None:
        """Everything from ``info`` on."""
        super().__init__()
        self.all: LogLevel = "info"
        self.of: dict[str, LogLevel] = {}

    def set(self, everything: LogLevel, of: Mapping[str, LogLevel]) -> None:
        """Count from now on."""
        self.all = everything
        self.of = dict(of)
        lowest = min(_number(one) for one in (everything, *of.values()))
        logging.getLogger().setLevel(lowest)
        for name in LIBRARIES:
            library = logging.getLogger(name)
            library.setLevel(self._of_library(name))
            library.handlers.clear()  # libp2p brings one of its own
            library.propagate = True

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        return record.levelno >= self._least(record)

    def _least(self, record: logging.LogRecord) -> int:
        if isinstance(record.msg, dict):
            own = str(record.msg.get("component", record.name))
            return _number(self.of.get(own, self.all))
        ours = _OURS.match(record.name)
        if ours is not None:
            return _number(self.of.get(ours[1], self.all))
        return self._of_library(record.name.partition(".")[0])

    def _of_library(self, name: str) -> int:
        if name in self.of:
            return _number(self.of[name])
        # One line per request or per dropped stranger is noise unless somebody looks for it.
        quiet = name in LIBRARIES and self.all != "debug"
        return max(_number(self.all), logging.WARNING if quiet else 0)


levels: Final = Levels()
"""Those of this process."""


def levels_of(given: Sequence[str]) -> dict[str, LogLevel]:
    """``component=level`` each, as the configuration has checked them."""
    return {one.partition("=")[0]: cast("LogLevel", one.partition("=")[2]) for one in given}


def _number(level: LogLevel) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


class _ToFile(logging.Handler):
    """Lines to a file, begun anew when it is large; to stderr what cannot be written there."""

    def __init__(self, file: RotatingFile) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        line = self.format(record).replace("\n", "\\n") + "\n"
        try:
            self._file.append(line.encode("utf-8", "backslashreplace"))
        except OSError:
            sys.stderr.write(line)

    def close(self) -> None:
        """Give the file free."""
        self._file.close()
        super().close()


def set_up(
    level: LogLevel = "info",
    style: LogFormat = "auto",
    stream: TextIO | None = None,
    *,
    of: Sequence[str] = (),
    file: RotatingFile | None = None,
) -> None:
    """Send all logging of this process to ``stream`` (default stderr) or ``file``.

    ``of``: other levels of components. May be called again.
    """
    out = sys.stderr if stream is None else stream
    console = file is None and (style == "console" or (style == "auto" and out.isatty()))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_component,
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
    handler = logging.StreamHandler(out) if file is None else _ToFile(file)
    handler.addFilter(levels)
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
    levels.set(level, levels_of(of))


def _name_component(
    _logger: WrappedLogger, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """What a line of the standard library's way comes from, as ours say it."""
    ours = _OURS.match(str(event.get("logger", "")))
    if ours is not None:
        event.setdefault("component", ours[1])
    return event


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
