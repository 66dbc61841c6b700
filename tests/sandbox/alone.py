"""An attacker in native code, held by one layer and by nothing else: what gets through?

python -m tests.sandbox.alone LAYER KEY VICTIM: becomes an unprivileged user if it is root, puts on
the layer with the sandbox's own functions, tries everything, and prints what each try came to.
It does what code could do that has broken out of WebAssembly. ``plain`` is no layer at all: it
shows that the tries are real ones.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import platform
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from commons_node.sandbox import landlock, lock, seccomp

LIBRARY = ctypes.CDLL(None, use_errno=True)
COLUMN = 0 if platform.machine() == "x86_64" else 1
ATTACH, DETACH = 16, 17
USERS = 0x10000000
FOR_EVER = 2**64 - 1
MEMORY, CPU_S = 512 << 20, 60
"""Of the limits here: less memory than any worker is given."""
USER = 7


def system(number: int, *args: object) -> int:
    """A system call. Raises OSError."""
    ctypes.set_errno(0)
    found = int(LIBRARY.syscall(number, *args))
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return found


def write(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"x" * 4096)
        file.flush()


def send(kind: int, family: int, address: tuple[str, int] | str) -> None:
    with socket.socket(family, kind) as one:
        if kind == socket.SOCK_DGRAM:
            one.sendto(b"x", address)
        else:
            one.connect(address)


def trace(pid: int) -> None:
    number = (101, 117)[COLUMN]
    system(number, ATTACH, pid, 0, 0)
    os.waitpid(pid, 0x40000000)  # __WALL: it is nobody's child here
    system(number, DETACH, pid, 0, 0)


def read_memory(pid: int) -> None:
    """Of a word at an address that is in nobody's memory: EFAULT is through, EPERM is not."""
    held = ctypes.create_string_buffer(8)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(held), 8)
    there = (ctypes.c_void_p * 2)(8, 8)
    try:
        system((310, 270)[COLUMN], pid, vector, 1, there, 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def execute(path: Path) -> None:
    """A file that no system can run: ENOEXEC is through."""
    try:
        os.execv(path, ["x"])  # noqa: S606 - the attack
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise


def start_thread() -> None:
    one = threading.Thread(target=int)
    one.start()
    one.join()


def take_memory() -> None:
    mmap.mmap(-1, 10 << 30).close()


def raise_limit(which: int, *, old: bool = False) -> None:
    """Of its own, as far as it goes; ``old``: by setrlimit, which libraries do not use any more."""
    both = (ctypes.c_uint64 * 2)(FOR_EVER, FOR_EVER)
    if old:
        system((160, 164)[COLUMN], which, both)
    else:
        system((302, 261)[COLUMN], 0, which, both, None)


def raise_and_take_memory() -> None:
    for old in (False, True):
        with suppress(OSError):
            raise_limit(resource.RLIMIT_AS, old=old)
    take_memory()


def tries(folder: Path, victim: int, ports: tuple[int, int]) -> dict[str, Callable[[], object]]:
    tcp, udp = ports
    key = folder / "home" / "node.key"
    return {
        "key": key.read_bytes,
        "home": lambda: list((folder / "home").iterdir()),
        "link": (folder / "link").read_bytes,
        "environ": lambda: Path(f"/proc/{victim}/environ").read_bytes(),
        "write": lambda: write(folder / "written"),
        "shm": lambda: write(Path(f"/dev/shm/commons-{os.getpid()}")),  # noqa: S108 - the attack
        "tcp": lambda: send(socket.SOCK_STREAM, socket.AF_INET, ("127.0.0.1", tcp)),
        "udp": lambda: send(socket.SOCK_DGRAM, socket.AF_INET, ("127.0.0.1", udp)),
        "unix": lambda: send(socket.SOCK_STREAM, socket.AF_UNIX, f"\0commons-{tcp}"),
        "ptrace": lambda: trace(victim),
        "memory of another": lambda: read_memory(victim),
        "kill": lambda: os.kill(victim, 0),
        "fork": fork,
        "exec": lambda: execute(folder / "program"),
        "thread": start_thread,
        "10 GB": take_memory,
        "10 GB by leave": raise_and_take_memory,
        "more memory": lambda: raise_limit(resource.RLIMIT_AS),
        "more time": lambda: raise_limit(resource.RLIMIT_CPU),
        "more by an old way": lambda: raise_limit(resource.RLIMIT_AS, old=True),
        "more files": lambda: raise_limit(resource.RLIMIT_NOFILE),
        "userns": lambda: system((272, 97)[COLUMN], USERS),
        "io_uring": lambda: system(425, 1, ctypes.create_string_buffer(256)),
        "memfd": lambda: system((319, 279)[COLUMN], b"x", 0),
    }


STATUS = os.open("/proc/self/status", os.O_RDONLY)
"""Opened before anything is closed."""
LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE,
          resource.RLIMIT_NPROC)  # fmt: skip


def status() -> dict[str, str]:
    """What the kernel says of this process."""
    os.lseek(STATUS, 0, os.SEEK_SET)
    lines = os.read(STATUS, 8192).decode().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def makes_folder() -> bool | None:
    """Whether it may still make one where all may, which no limit counts; None: not even ask."""
    folder = f"/dev/shm/commons-folder-{os.getpid()}"  # noqa: S108 - the attack
    try:
        os.mkdir(folder)  # noqa: PTH102 - a system call
    except OSError as error:
        return False if error.errno == errno.EACCES else None
    os.rmdir(folder)  # noqa: PTH106 - likewise
    return True


class Layers:
    """Which layers this process has on, by what the kernel says of it and does."""

    def __init__(self, victim: int) -> None:
        """As it is before any is put on."""
        self._user = Path(f"/proc/{victim}").stat().st_uid
        self._limits = {which: resource.getrlimit(which)[1] for which in LIMITS}
        self._files = makes_folder()

    def on(self) -> set[str]:
        """Their names. Landlock cannot be asked any more where the filter is: it is as before."""
        now, found = status(), set()
        if any(resource.getrlimit(which)[1] != held for which, held in self._limits.items()):
            found.add("limits")
        if now["Seccomp"] != "0":
            found.add("seccomp")
        files = makes_folder()
        if (self._files if files is None else files) is not True:
            found.add("landlock")
        if int(now["Uid"].split()[0]) != self._user:
            found.add("user")
        return found


def put_on(layer: str) -> tuple[str, ...]:
    """The layer, with the sandbox's own functions; what the whole lock says that it has."""
    if layer == "limits":
        lock.limits(MEMORY, CPU_S)
    if layer in {"landlock", "seccomp"}:
        lock.no_privileges()
        {"landlock": landlock.restrict, "seccomp": seccomp.restrict}[layer]()
    if layer == "all":
        return lock.lock(lambda: None, MEMORY, CPU_S, USER)
    return ()


def main() -> None:
    """See above."""
    layer, folder, victim, user, tcp, udp = sys.argv[1:]
    attacks = tries(Path(folder), int(victim), (int(tcp), int(udp)))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if os.geteuid() == 0 and layer not in {"user", "all"}:
        number = int(user)
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    if layer == "user":
        lock.other_user(USER)
    root, uid = os.geteuid() == 0, os.geteuid()
    layers = Layers(int(victim))
    assert not root or layer == "all", "it is unprivileged, or will be in a moment"
    names = put_on(layer)
    if root:
        assert "user" in names, "the sandbox has made it unprivileged"
        uid = lock.FIRST_USER + USER
    if layer == "x32":
        lock.no_privileges()
        seccomp.restrict()
        system(0x40000000 + 39)  # getpid of the x32 table
    found: dict[str, str] = {"uid": str(uid), "on": " ".join(sorted(layers.on()))}
    for name, attack in attacks.items():
        try:
            attack()
            found[name] = "through"
        except (OSError, RuntimeError, MemoryError) as error:
            code = error.errno if isinstance(error, OSError) else None
            found[name] = errno.errorcode.get(code or 0, type(error).__name__)
    with suppress(OSError):
        os.unlink(f"/dev/shm/commons-{os.getpid()}")  # noqa: PTH108, S108 - what it wrote
    os.write(1, json.dumps(found).encode())


if __name__ == "__main__":
    main()
