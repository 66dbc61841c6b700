"""A node on a machine whose disk fails under it: from a moment on the kernel refuses every write.

Run as ``python -m tests.e2e.failing run …``, in place of ``python -m commons_node``. As soon as the
file that ``FAILS_WITH`` names is there, a filter of system calls answers in place of the file
system, as ext4 does after an error (``errors=remount-ro``): what is open for writing cannot be
written (EIO), and nothing can be opened for that, made or renamed (EROFS), wherever it is. It needs
neither root nor a device, and holds in every container. Pipes and sockets go on, and so does
deleting: a filter sees no names, and Python takes its locks out of memory by that call.

Source: seccomp(2), the tables of system calls, Documentation/admin-guide/ext4.rst.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from commons_node.sandbox import seccomp
from commons_node.sandbox.lock import no_privileges
from commons_node.starting import main

_LOAD, _EQUAL, _ANY_OF, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARGUMENTS = 0, 16
"""Where struct seccomp_data has them; each argument takes 8 bytes, the low half first."""
_REFUSE: Final = 0x00050000
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ABSENT: Final = -1
_WRITES: Final = {
    # x86-64, aarch64
    "pwrite64": (18, 68), "fsync": (74, 82), "fdatasync": (75, 83), "fallocate": (285, 47),
}  # fmt: skip
_CHANGES: Final = {
    "ftruncate": (77, 46), "rename": (82, _ABSENT), "renameat": (264, 38), "renameat2": (316, 276),
    "mkdir": (83, _ABSENT), "mkdirat": (258, 34), "link": (86, _ABSENT), "linkat": (265, 37),
    "creat": (85, _ABSENT),
}  # fmt: skip
_OPENS: Final = {"open": (2, _ABSENT, 1), "openat": (257, 56, 2)}
"""And which argument says what for."""


def program(machine: str) -> bytes:
    """The filter for a machine's architecture. Raises KeyError for another one."""
    step = seccomp._step
    column = {"x86_64": 0, "aarch64": 1}[machine]
    steps = [step(_LOAD, _NUMBER)]
    for calls, answer in ((_WRITES, errno.EIO), (_CHANGES, errno.EROFS)):
        for row in calls.values():
            if row[column] != _ABSENT:
                steps += [step(_EQUAL, row[column], 0, 1), step(_RETURN, _REFUSE | answer)]
    for *numbers, flags in _OPENS.values():
        if numbers[column] != _ABSENT:
            steps += [
                step(_EQUAL, numbers[column], 0, 4),
                step(_LOAD, _ARGUMENTS + 8 * flags),
                step(_ANY_OF, _WRITING, 0, 1),
                step(_RETURN, _REFUSE | errno.EROFS),
                step(_RETURN, seccomp.ALLOW),
            ]
    return b"".join([*steps, step(_RETURN, seccomp.ALLOW)])


def fails(pid: int) -> bool:
    """Whether every thread of a process has the filter."""
    found = []
    for one in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(OSError):  # a thread that has just ended
            found.append(one.read_text())
    return bool(found) and all("Seccomp:\t2" in one for one in found)


def _fail_with(file: Path) -> None:
    while not file.exists():
        time.sleep(0.02)
    no_privileges()
    seccomp.install(program(platform.machine()))


if __name__ == "__main__":
    told = Path(os.environ["FAILS_WITH"])
    if told.exists():
        _fail_with(told)
    else:
        threading.Thread(target=_fail_with, args=(told,), daemon=True).start()

    sys.exit(main(sys.argv[1:]))
