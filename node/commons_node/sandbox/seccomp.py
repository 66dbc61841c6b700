"""A filter of system calls: a list of those that a locked worker needs, everything else refused.

Assembled by hand for x86-64 and aarch64, so that no library of the system is needed. Calls of
another architecture or of the x32 table end the process; all others that are not listed fail with
EPERM. Source: seccomp(2), linux/seccomp.h, linux/filter.h, and the tables of system calls.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import Final

_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _THIRD = 0, 4, 16, 32
"""Where struct seccomp_data has them; of an argument the low half, all of it for an int."""
_HALF: Final = 4
ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050001
"""Fail with EPERM."""
KILL: Final = 0x80000000
_X32: Final = 0x40000000
_SET_FILTER: Final = 1
_ALL_THREADS: Final = 1

_CALLS: Final = {
    # x86-64, aarch64
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sched_yield": (24, 124),
    "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101), "getpid": (39, 172),
    "exit": (60, 93), "gettimeofday": (96, 169), "getrusage": (98, 165),
    "sigaltstack": (131, 132), "gettid": (186, 178), "futex": (202, 98),
    "restart_syscall": (219, 128), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "getrandom": (318, 278),
    "membarrier": (324, 283), "rseq": (334, 293),
}  # fmt: skip
"""With any arguments: memory, time, its own threads' locks, signals and end, open pipes."""
_OWN: Final = {"tgkill": (234, 131), "prlimit64": (302, 261)}
"""Only on itself: the first argument is its own process, or 0 for the limits, which it reads and
never sets: its third argument is no address."""
CALLS: Final = tuple(_CALLS)
ON_ITSELF: Final = tuple(_OWN)
"""Names of all that is not refused."""
_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the tables above, and the name of the architecture in the kernel."""


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def program(machine: str, pid: int) -> bytes:
    """The filter for a machine's architecture. Raises KeyError for one that it has not."""
    column, architecture = _MACHINES[machine]
    steps = [_step(_LOAD, _ARCHITECTURE), _step(_EQUAL, architecture, 1), _step(_RETURN, KILL)]
    steps += [_step(_LOAD, _NUMBER)]
    if machine == "x86_64":
        steps += [_step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, KILL)]
    for row in _CALLS.values():
        steps += [_step(_EQUAL, row[column], 0, 1), _step(_RETURN, ALLOW)]
    steps += _own(_OWN["tgkill"][column], (_FIRST, pid))
    steps += _own(_OWN["prlimit64"][column], (_FIRST, 0), (_THIRD, 0), (_THIRD + _HALF, 0))
    return b"".join([*steps, _step(_RETURN, REFUSE)])


def _own(number: int, *wanted: tuple[int, int]) -> list[bytes]:
    """Allow a call where each of these places holds its value."""
    checks = []
    for place, value in wanted:
        checks += [_step(_LOAD, place), _step(_EQUAL, value, 1, 0), _step(_RETURN, REFUSE)]
    return [_step(_EQUAL, number, 0, len(checks) + 1), *checks, _step(_RETURN, ALLOW)]


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]


def restrict() -> None:
    """For all threads of this process, for ever. Raises OSError, KeyError."""
    install(program(platform.machine(), os.getpid()))


def install(steps: bytes) -> None:
    """Put a filter before every system call of this process. Raises OSError, KeyError."""
    held = ctypes.create_string_buffer(steps, len(steps))
    made = _Filter(len(steps) // 8, ctypes.cast(held, ctypes.c_void_p))
    number = {"x86_64": 317, "aarch64": 277}[platform.machine()]
    library = ctypes.CDLL(None, use_errno=True)
    done = library.syscall(number, _SET_FILTER, _ALL_THREADS, ctypes.byref(made))
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def there() -> bool:
    """Whether this kernel has filters and this program one for the machine."""
    if platform.machine() not in _MACHINES:
        return False
    library = ctypes.CDLL(None, use_errno=True)
    # PR_GET_SECCOMP: an error where the kernel has none
    return int(library.prctl(21, 0, 0, 0, 0)) >= 0
