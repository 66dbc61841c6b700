"""The engine: wasmtime with the settings of ``kind``."""

from __future__ import annotations

from wasmtime import Config, Engine

from commons_node.sandbox.kind import SETTINGS


def engine(*, parallel: bool = False) -> Engine:
    """An engine. ``parallel``: compile in threads of its own, which a locked process cannot."""
    config = Config()
    for name, value in SETTINGS.items():
        setattr(config, name, value)
    config.parallel_compilation = parallel
    return Engine(config)
