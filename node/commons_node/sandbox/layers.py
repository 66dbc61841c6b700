"""Which layers of the sandbox this system gives, each with why and what to do.

A worker locks itself and says what it has; this looks without locking anything, for `doctor` and
for whoever wants to know before a run. The same list decides: an agent does not run where a needed
layer is missing.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from commons_crdt.texts import _
from commons_node.jobs.job import USERS
from commons_node.sandbox import landlock, seccomp
from commons_node.sandbox.lock import FIRST_USER

Name = Literal["wasm", "user", "landlock", "limits", "seccomp"]


@dataclass(frozen=True, slots=True)
class Layer:
    """``needed``: without it no agent runs here. ``why``: what it does, or why it is missing."""

    name: Name
    active: bool
    needed: bool
    why: str
    fix: str = ""


def layers() -> tuple[Layer, ...]:
    """From the inside out."""
    found = [_wasm(), _limits()]
    if sys.platform == "linux":
        found += [_user(), _landlock(), _seccomp()]
    return tuple(found)


def missing(found: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Those without which no agent runs."""
    return tuple(layer for layer in found if layer.needed and not layer.active)


def _wasm() -> Layer:
    if find_spec("wasmtime") is None:
        fix = _("install commons-node again")
        return Layer("wasm", False, True, _("The library that runs agents is missing."), fix)
    return Layer("wasm", True, True, _("An agent reaches nothing but what it is given."))


def _limits() -> Layer:
    if sys.platform != "linux":
        why = _("This system limits the memory of a process badly, or not at all.")
        return Layer("limits", True, True, why)
    return Layer("limits", True, True, _("Memory, time, files and processes are limited."))


def _user() -> Layer:
    if os.geteuid() != 0:
        why = _("Agents run as the user of the node, who is not root.")
        return Layer("user", False, False, why)
    if not _numbers():
        why = _("This runs as root, in a container that has no other users.")
        fix = _("run the node as a user of its own: useradd --system --create-home commons")
        return Layer("user", False, True, why, fix)
    return Layer("user", True, True, _("Agents run as users who own nothing."))


def _numbers() -> bool:
    """Whether the numbers of those users exist in here. Source: user_namespaces(7)."""
    try:
        lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
        rows = [[int(word) for word in line.split()] for line in lines]
    except (OSError, ValueError):
        return False
    last = FIRST_USER + USERS
    return any(first <= FIRST_USER and last <= first + count for first, _outside, count in rows)


def _landlock() -> Layer:
    number = landlock.version()
    if not number:
        fix = _("a kernel from 5.13 on with Landlock: add landlock to lsm= of its command line")
        return Layer("landlock", False, True, _("This kernel has no Landlock."), fix)
    if number >= landlock.NETWORK_FROM:
        why = _("Landlock (version {number}) closes files and network.")
    else:
        why = _("Landlock (version {number}) closes files; the network is for the filter to close.")
    return Layer("landlock", True, True, why.format(number=number))


def _seccomp() -> Layer:
    if not seccomp.there():
        fix = _("a kernel with seccomp filters, on x86-64 or aarch64")
        why = _("There is no filter of system calls for this machine.")
        return Layer("seccomp", False, True, why, fix)
    return Layer("seccomp", True, True, _("Only system calls that are listed work."))
