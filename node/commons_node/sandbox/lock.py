"""A process locks itself: another user, limits, Landlock, a filter of system calls. No way back.

Each layer is a function, and ``lock`` calls all; one that fails makes the process useless for
agents, which is what ``NoLayer`` says. Nothing here is optional on Linux. Elsewhere the limits are
all there is, and WebAssembly is the wall (docs/THREATS.md).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_node.jobs.job import USERS
from commons_node.sandbox import landlock, seccomp

_SET_DEATH: Final = 1
_SET_DUMPABLE: Final = 4
_SET_NO_NEW_PRIVS: Final = 38
FIRST_USER: Final = 60_600
"""The first of ``USERS`` that no system gives to anybody (systemd: 60578 to 61183 are unused)."""


class NoLayer(CommonsError):
    """This worker may not run agents: the layer {layer} of the sandbox is missing: {why}."""

    code: ClassVar[str] = "no_layer"
    hint: ClassVar[str] = "commons-node doctor"
    status = "failed"


def other_user(which: int) -> int:
    """From root become one of the users that are nobody's; its number. Raises OSError."""
    number = FIRST_USER + which % USERS
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)
    with suppress(PermissionError):
        os.setuid(0)
        raise OSError(1, "it could become root again")
    return number


def die_with(parent: int) -> None:
    """End when the daemon ends: asked again after each change of user. Raises OSError."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    library.prctl(_SET_DEATH, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def limit(which: int, most: int) -> None:
    """A limit that it cannot raise again."""
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most))


def limits(addresses: int, cpu_s: int) -> None:
    """Nothing is started or opened any more, no file grows, no core, no queue, nothing pinned.

    ``addresses``: bytes that the process may have; ``cpu_s``: seconds of processor time, of its
    whole life. All are hard ones: a soft one would hold only whoever does not ask for more.
    """
    limit(resource.RLIMIT_CPU, cpu_s)
    if sys.platform == "linux":  # elsewhere it limits nothing, or too much
        limit(resource.RLIMIT_AS, addresses)
    for which in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_MEMLOCK,
                  resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):  # fmt: skip
        limit(which, 0)
    if sys.platform == "linux":
        limit(resource.RLIMIT_MSGQUEUE, 0)


def no_privileges() -> None:
    """What is executed later gives no rights; Landlock and filters want it. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def one_thread() -> None:
    """Landlock holds who calls it and what that starts: another thread would be free of it.

    Raises OSError.
    """
    found = sum(1 for _ in Path("/proc/self/task").iterdir())
    if found != 1:
        raise OSError(errno.EBUSY, f"{found - 1} more threads run already")


def _layer(name: str, *steps: Callable[[], object]) -> None:
    for step in steps:
        try:
            step()
        except (OSError, ValueError, KeyError) as error:
            raise NoLayer(layer=name, why=error) from None


def lock(start: Callable[[], object], addresses: int, cpu_s: int, user: int = 0) -> tuple[str, ...]:
    """Everything that this system has; the names of the layers. Raises ``NoLayer``.

    ``start``: what still needs a thread; called when files and network are gone already. ``user``:
    which of ``USERS``, where this is root. The rest as for ``limits``.
    """
    names = []
    if os.geteuid() == 0:
        parent = os.getppid()
        _layer("user", lambda: other_user(user), lambda: die_with(parent))
        names.append("user")
    if sys.platform == "linux":
        _layer("landlock", one_thread, no_privileges, landlock.restrict)
        names.append("landlock")
    start()
    _layer("limits", lambda: limits(addresses, cpu_s))
    names.append("limits")
    if sys.platform == "linux":
        _layer("seccomp", seccomp.restrict)
        names.append("seccomp")
    return tuple(names)
