"""How WebAssembly is compiled and run here: one configuration, for those who compile and who load.

The reservations are small so that a limit of the address space can hold (decision 101): with
wasmtime's own, each memory takes 4 GiB of addresses.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from typing import Final

from wasmtime import Config, Engine

_MIB: Final = 1 << 20
RESERVED_MIB: Final = 16
"""Room that a memory gets beside what it holds when it is moved to grow."""
STACK: Final = 512 * 1024
"""Bytes of a guest's stack; the thread that runs it has 8 MiB."""
_SETTINGS: Final = {
    "consume_fuel": True,
    "epoch_interruption": True,
    "cranelift_nan_canonicalization": True,
    "memory_reservation": _MIB,
    "memory_reservation_for_growth": RESERVED_MIB * _MIB,
    "memory_guard_size": 65_536,
    "native_unwind_info": False,
    "max_wasm_stack": STACK,
    "shared_memory": False,
    "wasm_threads": False,
}


@cache  # asked by a locked process, too, which can look up nothing
def wasmtime_version() -> str:
    """What runs it; fuel of two versions cannot be compared."""
    return version("wasmtime")


def engine(*, parallel: bool = False) -> Engine:
    """An engine. ``parallel``: compile in threads of its own, which a locked process cannot."""
    config = Config()
    for name, value in _SETTINGS.items():
        setattr(config, name, value)
    config.parallel_compilation = parallel
    return Engine(config)


@cache
def kind() -> str:
    """Of what compiled code is: the same only where it can be loaded."""
    words = [wasmtime_version(), platform.system(), platform.machine(), repr(_SETTINGS)]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()
