"""A process that compiles the runner once, and ends: told where on its standard input.

Says how far it is in lines on its standard output, from 0 to 100. Compiling does not say itself
how far it is: the time that unpacking took tells how fast this machine is.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

import msgspec
from wasmtime import WasmtimeError
from wasmtime.component import Component

from commons_crdt.errors import CommonsError
from commons_node.jobs.worker import lock_down
from commons_node.sandbox import cache
from commons_node.sandbox.engine import engine
from commons_node.sandbox.kind import kind
from commons_node.sandbox.runner import SHA256, component

_TIMES: Final = 48.0
"""Processor time of compiling for each second of unpacking, as measured."""
_EVERY_S: Final = 0.25


def _tell(percent: int) -> None:
    sys.stdout.write(f"{percent}\n")
    sys.stdout.flush()


def _watch(began: float, expected: float, over: threading.Event) -> None:
    while not over.wait(_EVERY_S):
        done = (time.process_time() - began) / expected
        _tell(min(99, round(100 * done)))


def main() -> int:
    """0 when the compiled runner is there."""
    lock_down()
    os.nice(10)
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=cache.Order)
    began = time.process_time()
    over = threading.Event()
    try:
        wasm = component()
        expected = max(0.1, _TIMES * (time.process_time() - began))
        watching = threading.Thread(target=_watch, args=(began, expected, over), daemon=True)
        watching.start()
        body = bytes(Component(engine(parallel=True), wasm).serialize())
        over.set()
        watching.join()
        cache.keep(Path(order.folder), kind(), SHA256, bytes.fromhex(order.key), body)
    except (CommonsError, WasmtimeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _tell(100)
    return 0


if __name__ == "__main__":
    sys.exit(main())
