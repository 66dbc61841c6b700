"""``--watch``: a view, shown again when something has happened, until Ctrl-C.

The node's events say when; without any the view is asked every ten seconds, for what time alone
changes. On a terminal the screen is drawn anew, from the top and as far as it reaches; otherwise
only what differs is printed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import accumulate
from typing import Any, Final

import click

from commons_cli.calls import Call
from commons_cli.options import Options
from commons_cli.tables import width
from commons_cli.texts import language
from commons_node.api.client import ApiError, Client
from commons_node.api.types import ExitCode

_LONGEST_S: Final = 10.0
_SHORTEST_S: Final = 1.0
_MOVES: Final = frozenset({"as_of", "uptime_s"})
"""Fields that differ at each answer, and say nothing new."""


def watch(call: Call, given: Mapping[str, Any]) -> None:
    """Show it for ever; with ``--timeout S`` for so long. Raises ApiError when the node stops."""
    options = click.get_current_context().ensure_object(Options)
    end = None if options.timeout is None else time.monotonic() + options.timeout
    options.timeout = None
    before: dict[str, Any] | None = None
    while True:
        answer = call.ask(given)
        bare = {key: value for key, value in answer.items() if key not in _MOVES}
        if bare != before or sys.stdout.isatty():
            if sys.stdout.isatty() and not options.json:
                _draw(call, answer)
            else:
                call.show(answer)
            sys.stdout.flush()
            before = bare
        if end is not None and time.monotonic() + _SHORTEST_S > end:
            return
        _wait(options, _LONGEST_S if end is None else min(_LONGEST_S, end - time.monotonic()))


def _draw(call: Call, answer: dict[str, Any]) -> None:
    """Anew from the top: warnings too, and nothing that would push the first lines away."""
    import shutil

    drawn = StringIO()
    with redirect_stdout(drawn), redirect_stderr(drawn):
        call.show(answer)
    size = shutil.get_terminal_size((80, 24))
    click.clear()
    click.echo("\n".join(fitting(drawn.getvalue().splitlines(), size.columns, size.lines - 1)))


def fitting(lines: Sequence[str], columns: int, rows: int) -> list[str]:
    """The first lines that a terminal has room for, with an ellipsis where there are more."""
    heights = [max(1, -(-width(line) // columns)) for line in lines]
    if sum(heights) <= rows:
        return list(lines)
    kept = [line for line, end in zip(lines, accumulate(heights), strict=True) if end < rows]
    return [*kept, "…"]


def _wait(options: Options, longest: float) -> None:
    """Until something happens, and a second at least."""
    began = time.monotonic()
    client = Client(options.socket, session=options.token(), language=language())
    try:
        for _event in client.events(longest):
            break
    except ApiError as error:
        if error.exit is not ExitCode.TIMEOUT:
            raise
    time.sleep(max(0.0, min(_SHORTEST_S, longest) - (time.monotonic() - began)))
