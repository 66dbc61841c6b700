"""How WebAssembly is compiled here: one configuration, for those who compile and who load.

The reservations are small so that a limit of the address space can hold (decision 29): with
wasmtime's own, each memory takes 4 GiB of addresses. Nothing here loads wasmtime: the daemon looks.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_MIB: Final = 1 << 20
RESERVED_MIB: Final = 16
"""Room that a memory gets beside what it holds when it is moved to grow."""
STACK: Final = 2 << 20
"""Bytes of a guest's stack; the thread that runs it has 8 MiB."""
SETTINGS: Final = {
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
    """What runs it; fuel of two versions cannot be compared. Empty where nothing does."""
    try:
        return version("wasmtime")
    except PackageNotFoundError:
        return ""


@cache
def kind() -> str:
    """Of what compiled code is: the same only where it can be loaded."""
    words = [wasmtime_version(), platform.system(), platform.machine(), repr(SETTINGS)]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()
