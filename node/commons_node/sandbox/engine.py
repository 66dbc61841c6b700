"""The engine: wasmtime with the settings of ``kind``."""

from __future__ import annotations

from wasmtime import Config, Engine

from commons_node.sandbox.kind import SETTINGS


def engine(*, parallel: bool = False, alone: bool = False) -> Engine:
    """An engine. ``parallel``: compile in threads of its own, which a locked process cannot.

    ``alone``: for code that is compiled and run in one process, without files: a memory's first
    contents are copied then, not mapped.
    """
    config = Config()
    for name, value in SETTINGS.items():
        setattr(config, name, value)
    config.parallel_compilation = parallel
    config.memory_init_cow = not alone
    return Engine(config)
