"""The folder that is a node: private, used by one daemon at a time, recognised after a copy.

Knows nothing of what the daemon stores in it. The lock is the operating system's (``flock``): it
ends with the process, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.api.paths import NotYoursError, socket_path
from commons_node.api.types import API_VERSION
from commons_node.keystore.disk import private_folder, write_private

_MACHINE_ID: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


class AlreadyRunning(CommonsError):
    """A node already runs for {home}, as process {pid}."""

    code: ClassVar[str] = "already_running"
    hint: ClassVar[str] = "commons-node status, or stop it with: kill {pid}"
    status = "failed"


class NoHome(CommonsError):
    """The folder {home} cannot be used: {why}."""

    code: ClassVar[str] = "no_home"
    hint: ClassVar[str] = "choose another with --home DIR, or give this one to your user"
    status = "failed"


class Home:
    """One node's folder. Use as a context manager: entered, it is locked for this process."""

    def __init__(self, path: Path, *, owner: int | None = None) -> None:
        """Touches nothing yet. ``owner``: the user whose it is, where root works on it for them."""
        self.path = path.absolute()
        self._owner = os.getuid() if owner is None else owner
        self._lock: int | None = None

    @property
    def run(self) -> Path:
        """What only concerns the running daemon: lock, socket, sessions."""
        return self.path / "run"

    @property
    def keys(self) -> Path:
        """Members' sealed key files."""
        return self.path / "keys"

    @property
    def node_key(self) -> Path:
        """The node's own, unsealed keys."""
        return self.path / "node.key"

    @property
    def place(self) -> Path:
        """Where this home was when it last ran."""
        return self.run / "place"

    def socket(self, environment: Mapping[str, str]) -> Path:
        """The API's socket; short enough for every system. Raises NoHome."""
        try:
            return socket_path(self.path, environment, make=True)
        except (NotYoursError, OSError) as error:
            raise NoHome(home=self.path, why=error) from None

    def create(self) -> None:
        """Make the folder and ``run`` with mode 0700. Raises NoHome."""
        try:
            private_folder(self.path)
            private_folder(self.run)
        except OSError as error:
            raise NoHome(home=self.path, why=error.strerror or error) from None
        if self.path.stat().st_uid != self._owner:
            raise NoHome(home=self.path, why=_("it belongs to another user"))

    def give_back(self, *made: Path) -> None:
        """What root has made in here belongs to the home's owner; links are not followed."""
        if self._owner != os.getuid():
            for path in made:
                os.chown(path, self._owner, self.path.stat().st_gid, follow_symlinks=False)

    def lock(self) -> None:
        """Take the home for this process. Raises NoHome, AlreadyRunning naming the other one."""
        self.create()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.run / "lock", flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.read(handle, 32).decode("ascii", "replace").strip()
            os.close(handle)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise NoHome(home=self.path, why=error.strerror or error) from None
            raise AlreadyRunning(home=self.path, pid=pid or "unknown") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._lock = handle
        self.give_back(self.run, self.run / "lock")

    def unlock(self) -> None:
        """Give the home free. The lock file stays: removing it would let two hold it."""
        if self._lock is not None:
            with suppress(OSError):  # a disk that fails keeps nobody: the lock itself is in memory
                os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        """Lock it."""
        self.lock()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Give it free."""
        self.unlock()

    def moved(self) -> bool:
        """Whether this folder is a copy: last run on another machine, or as another folder.

        A copied node would sign with the same keys as the original. False when it never ran; a
        damaged note may say anything, so that it counts as another place.
        """
        try:
            recorded = self.place.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return False
        return recorded != self._place()

    def settle(self) -> None:
        """Remember that it runs here. Call after ``moved`` was answered and acted upon."""
        write_private(self.place, f"{self._place()}\n".encode())

    def unsettle(self) -> None:
        """Count as a copy from now on, over restarts too, until ``settle``."""
        write_private(self.place, b"unsure\n")

    def _place(self) -> str:
        # A file system's own id outlives a reboot; device numbers may not.
        system = os.statvfs(self.path).f_fsid or self.path.stat().st_dev
        return f"{_machine()} {system:x} {self.path.stat().st_ino}"


def _machine() -> str:
    """A hash of the machine's id, so that a copied home does not tell where it came from.

    A container often has none; its name would change with each start, so nothing stands for it.
    """
    for path in _MACHINE_ID:
        with suppress(OSError):
            if machine := path.read_bytes().strip():
                return hashlib.blake2b(machine, digest_size=16).hexdigest()
    return "none"


def ready_line(*, node: str, pid: int, socket: Path, addresses: Sequence[str]) -> str:
    """What ``run`` prints when the node answers: one JSON object, as CONTRACT.md says."""
    return json.dumps(
        {
            "v": API_VERSION,
            "ok": True,
            "event": "ready",
            "node": node,
            "pid": pid,
            "socket": str(socket),
            "addresses": list(addresses),
        }
    )


def write_ready(file: Path, line: str) -> None:
    """Write the ready line where somebody waits for it; whole or not at all."""
    write_private(file, line.encode() + b"\n")
