"""What must hold of each living worker of the sandbox, as /proc tells whoever started it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from commons_node.jobs.job import USERS
from commons_node.jobs.workers import Worker
from commons_node.sandbox.lock import FIRST_USER

NONE = ("Max open files", "Max processes", "Max file size", "Max core file size",
        "Max locked memory", "Max msgqueue size")  # fmt: skip
BOUNDED = ("Max address space", "Max cpu time")
NOBODY = range(FIRST_USER, FIRST_USER + USERS)
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def status_of(pid: int) -> dict[str, str]:
    """The lines of its status."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def limits_of(pid: int) -> dict[str, tuple[str, str]]:
    """Its limits by the kernel's names for them, (soft, hard)."""
    lines = Path(f"/proc/{pid}/limits").read_text(encoding="utf-8").splitlines()[1:]
    found = ((line[:26].strip(), line[26:].split()) for line in lines)
    return {name: (values[0], values[1]) for name, values in found}


def addresses(pid: int) -> int:
    """Bytes that it may have at most."""
    return int(limits_of(pid)["Max address space"][0])


def owner_of(pid: int) -> int:
    """Who may look into it: root alone, unless it can be dumped."""
    return Path(f"/proc/{pid}/environ").stat().st_uid


def uid_of(pid: int) -> int:
    """The user as whom it runs."""
    return int(status_of(pid)["Uid"].split()[0])


def gone(pid: int) -> bool:
    """Whether there is no such process any more."""
    return not Path(f"/proc/{pid}").exists()


def layers_under(uid: int) -> set[str]:
    """What a worker must say that it has, where this user has started it."""
    if sys.platform != "linux":
        return {"limits"}
    return {"limits", "landlock", "seccomp"} | ({"user"} if uid == 0 else set())


def faults_of_user(pid: int) -> list[str]:
    """What does not hold of as whom it runs: unprivileged always, and root's are somebody else.

    Empty elsewhere than on Linux.
    """
    if sys.platform != "linux":
        return []
    status = status_of(pid)
    parent = uid_of(int(status["PPid"]))
    users, groups = status["Uid"].split(), status["Gid"].split()
    faults = []
    if len(set(users)) != 1 or len(set(groups)) != 1:
        faults.append(f"it could change its user: {users}, {groups}")
    if "0" in users + groups:
        faults.append("it is root")
    if parent == 0 and status["Groups"].strip():
        faults.append(f"it has further groups: {status['Groups']}")
    if parent != 0 and int(users[0]) != parent:
        faults.append(f"it is {users[0]}, and was started by {parent}")
    held = {name: status[name] for name in CAPABILITIES if int(status[name], 16)}
    return [*faults, f"it has capabilities: {held}"] if held else faults


def faults_of(pid: int) -> list[str]:
    """What does not hold of a locked worker; it must live. Empty elsewhere than on Linux."""
    if sys.platform != "linux":
        return []
    faults, status, limits = faults_of_user(pid), status_of(pid), limits_of(pid)
    if status["NoNewPrivs"] != "1":
        faults.append("what it executes could give it rights")
    if status["Seccomp"] != "2":
        faults.append("it has no filter of system calls")
    faults += [f"{name}: {limits[name]}" for name in NONE if limits[name] != ("0", "0")]
    for name in BOUNDED:
        soft, hard = limits[name]
        if soft != hard or soft == "unlimited":
            faults.append(f"{name}: {limits[name]}, so it may have more")
    if uid_of(int(status["PPid"])) == 0 and owner_of(pid) != 0:
        faults.append("another process of its user may look into it")
    return faults


class Held:
    """Looks at each worker of a test as soon as it is ready, before it has seen any code."""

    def __init__(self) -> None:
        """Every layer that there is here is wanted; a test that turns some off says so."""
        self.wanted = layers_under(os.geteuid())
        self.seen = 0
        self.faults: list[str] = []
        self.said: tuple[str, ...] = ()
        """What the last one says that it has."""

    def look(self, worker: Worker) -> None:
        """Note what does not hold of it."""
        self.seen, self.said = self.seen + 1, worker.layers
        pid = worker.pid
        self.faults += faults_of(pid) if self.wanted else faults_of_user(pid)
        if "user" in self.wanted and uid_of(pid) not in NOBODY:
            self.faults.append(f"it is {uid_of(pid)}, who may be somebody")
        if self.wanted and set(self.said) != self.wanted:
            self.faults.append(f"it says that it has {self.said}")
