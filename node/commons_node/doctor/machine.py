"""What the node needs of its machine: time, room, memory, randomness, files.

Asks the system, never the network.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sqlite3
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from commons_crdt.texts import _
from commons_node.doctor.check import Check, State

_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000
_MIB: Final = 1 << 20
_LEAST_DISK: Final = 64 * _MIB
_GOOD_DISK: Final = 512 * _MIB
_LEAST_MEMORY: Final = 128 * _MIB
_GOOD_MEMORY: Final = 512 * _MIB
"""A daemon with its workers needs some 250 MiB (docs/BENCHMARKS.md)."""
_GOOD_FILES: Final = 1024


def program() -> Check:
    """Which program, on what."""
    facts = {
        "commons-node": version("commons-node"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libp2p": version("libp2p"),
        "automerge": version("automerge"),
        "system": f"{platform.system()} {platform.machine()}",
    }
    words = ", ".join(f"{name} {one}" for name, one in facts.items() if name != "system")
    return Check("program", "ok", f"{words}; {facts['system']}.", facts=facts)


def clock(now_ms: int, newest_ms: int | None) -> Check:
    """Whether the clock is behind what was written here, or ahead of what can be.

    ``newest_ms``: the newest time that an operation of this node's own devices claims.
    """
    shown = _moment(now_ms)
    if newest_ms is None:
        return Check(
            "clock",
            "ok",
            _("It is {shown}; nothing was written here yet to compare with.").format(shown=shown),
        )
    behind = newest_ms - now_ms
    facts = {"behind_own_s": max(0, behind // 1000)}
    if behind > _HOUR_MS:
        return Check(
            "clock",
            "fail",
            _("The clock says {shown}, but this node wrote something at {moment}.").format(
                shown=shown, moment=_moment(newest_ms)
            ),
            _(
                "set the clock: timedatectl set-ntp true, or date -s; until then others hold "
                "back nothing of yours, but what you write claims the later time"
            ),
            facts,
        )
    if now_ms - newest_ms > 366 * _DAY_MS:
        return Check(
            "clock",
            "warn",
            _("The clock says {shown}; the newest that was written here is of {moment}.").format(
                shown=shown, moment=_moment(newest_ms)
            ),
            _(
                "check the year: what a clock that runs ahead signs is held back by every other "
                "node"
            ),
            facts,
        )
    return Check(
        "clock",
        "ok",
        _("It is {shown}, later than all that was written here.").format(shown=shown),
        "",
        facts,
    )


def zone(names: list[str]) -> Check:
    """Whether the zones of the communities are known here; due dates are computed in them."""
    unknown = []
    for name in names:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            unknown.append(name)
    facts = {"zones": len(names), "unknown": len(unknown)}
    if unknown:
        told = ", ".join(unknown)
        fix = _("install the zone files: pip install tzdata, or apt-get install tzdata")
        return Check(
            "zone",
            "fail",
            _("This machine does not know the zone {told}.").format(told=told),
            fix,
            facts,
        )
    detail = (
        _("Known here: {names}.").format(names=", ".join(names))
        if names
        else _("In no community yet.")
    )
    return Check("zone", "ok", detail, "", facts)


def disk(home: Path) -> Check:
    """Whether there is room where the node writes."""
    free = shutil.disk_usage(home).free
    facts = {"free_mib": free // _MIB}
    detail = _("{free} MiB are free where the node writes.").format(free=free // _MIB)
    fix = _("make room: the node refuses to write when the disk is full, and loses nothing by it")
    state = _enough(free, _LEAST_DISK, _GOOD_DISK)
    return Check("disk", state, detail, fix if state != "ok" else "", facts)


def memory() -> Check:
    """Whether a daemon and its workers fit."""
    free = _available()
    if free is None:
        return Check("memory", "warn", _("This system does not say how much memory is free."), "")
    detail = _("{free} MiB of memory are available.").format(free=free // _MIB)
    fix = _("set verifier_workers = 1 in config.toml, or give the node at least 512 MiB")
    state = _enough(free, _LEAST_MEMORY, _GOOD_MEMORY)
    return Check(
        "memory", state, detail, fix if state != "ok" else "", {"available_mib": free // _MIB}
    )


def _enough(free: int, least: int, good: int) -> State:
    return "fail" if free < least else "warn" if free < good else "ok"


def _available() -> int | None:
    """Bytes that may still be taken: of the machine, or of the container if that is less."""
    found: list[int] = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(one.split()[1]) * 1024 for one in lines if one.startswith("MemAvailable:")]
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
        if limit != "max":
            found.append(max(0, int(limit) - int(used)))
    except (OSError, ValueError):
        pass
    return min(found, default=None)


def entropy() -> Check:
    """Whether the system gives randomness without waiting; keys are made of it."""
    try:
        ready = len(os.getrandom(32, os.GRND_NONBLOCK)) == 32 if sys.platform == "linux" else True
    except BlockingIOError:
        ready = False
    if ready:
        return Check("entropy", "ok", _("The system gives randomness."), "", {"ready": True})
    fix = _("wait after the start of the machine, or install rng-tools")
    return Check("entropy", "fail", _("The system has no randomness yet."), fix, {"ready": False})


def files() -> Check:
    """Whether enough files and sockets may be open at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = soft == resource.RLIM_INFINITY or soft >= _GOOD_FILES
    facts = {"soft": soft, "hard": hard}
    detail = _("{count} files may be open.").format(count=soft)
    if soft == resource.RLIM_INFINITY:
        detail = _("Any number of files may be open.")
    fix = _("ulimit -n 4096, or LimitNOFILE=4096 in the service's unit")
    return Check("files", "ok" if many else "warn", detail, "" if many else fix, facts)


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
