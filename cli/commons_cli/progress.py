"""How far a long verb is, on the terminal's own line, while the node works.

Only where a person looks on, and only on stderr: what is printed in the end is as without it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import click

from commons_cli.options import Options
from commons_cli.texts import _
from commons_node.api.client import ApiError, Client

_ERASE: Final = "\r\x1b[K"
_BAR: Final = 20
"""Letters of a bar; ASCII, as it is drawn in every locale."""


@contextmanager
def shown(event: str, options: Options) -> Iterator[None]:
    """Show the node's events of this name for as long as the block runs; "" shows nothing."""
    if not event or options.json or options.quiet or not sys.stderr.isatty():
        yield
        return
    over = threading.Event()

    def listen() -> None:
        with suppress(ApiError):
            for one in Client(options.socket).events():
                if over.is_set():
                    return
                if one.get("event") == event:
                    click.echo(_ERASE + line(one), err=True, nl=False)

    threading.Thread(target=listen, name="progress", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        click.echo(_ERASE, err=True, nl=False)


def line(event: dict[str, Any]) -> str:
    """``3.2 of 10.0 MB (32 %)``, or what is done where nobody knows of how much.

    What is counted in other things than bytes is a share alone, with a bar, and goes when all is
    done: the call may take longer than that.
    """
    steps, every = event.get("done"), event.get("total")
    if isinstance(steps, int) and isinstance(every, int) and every > 0:
        if not 0 <= steps < every:
            return ""
        full = "#" * (steps * _BAR // every)
        share = _("{percent} %").format(percent=steps * 100 // every)
        return f"[{full:-<{_BAR}}] {share}"
    done, total = event.get("bytes"), event.get("total")
    if not isinstance(done, int):
        return ""
    if not isinstance(total, int) or not total:
        return _("{done:.1f} MB").format(done=done / 1e6)
    text = _("{done:.1f} of {total:.1f} MB ({percent} %)")
    return text.format(done=done / 1e6, total=total / 1e6, percent=done * 100 // total)
