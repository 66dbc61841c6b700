"""The systemd unit of a node, with a reason beside each line that keeps something away from it.

A *user* unit runs while its user is logged in (or lingers) and needs no root; a *system* unit runs
as a user of its own from the start of the machine. Both are locked in as far as a node lets itself.

Source: systemd.exec(5), systemd.service(5), sd_notify(3).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commons_node.service.needs import Need

NAME: Final = "commons-node.service"
WATCHDOG_S: Final = 120
CREDENTIAL: Final = "unlock."
"""Prefix of the credentials that hold a member's passphrase; the rest is the member's name."""


RUNTIME: Final = Path("/run/commons-node")
"""A folder that systemd makes for the system's unit."""
_TELLS: Final = "Told="
HOMES: Final = ("/home", "/root", "/run/user")
_TEMPORARY: Final = ("/tmp", "/var/tmp")  # noqa: S108 - what PrivateTmp= replaces
_LINES: Final = {"ttyUSB": "char-ttyUSB", "ttyACM": "char-ttyACM", "ttyAMA": "char-ttyAMA"}
"""Serial lines that come and go: allowed by their driver, so that one plugged in later counts."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is to run. ``user``: a system unit for this user; "" for a user unit.

    ``unlock``: (member, file with the passphrase) to be handed over as credentials. ``also``:
    folders that it may write in besides. ``needs``: what its settings name. ``namespaces``: whether
    this machine lets a user's manager make them, which hides and protects files.
    """

    python: Path
    home: Path
    user: str = ""
    unlock: tuple[tuple[str, Path], ...] = ()
    also: tuple[Path, ...] = ()
    needs: tuple[Need, ...] = ()
    namespaces: bool = True

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where it writes outside of its home, each once."""
        found = [*self.also, *(one.folder for one in self.needs if one.folder is not None)]
        own = (self.home, RUNTIME) if self.user else (self.home,)
        return tuple(dict.fromkeys(one for one in found if not _below(one, own)))

    @property
    def hides_homes(self) -> bool:
        """Whether nobody's home is there for it: nothing of what it uses lies in one."""
        used = [self.home, *self.folders, *(one.path for one in self.needs)]
        return bool(self.user) and not any(_below(one, HOMES) for one in used)


@dataclass(frozen=True, slots=True)
class Told:
    """What an installed unit was made from, as it says itself; see ``Service``."""

    home: Path
    user: str
    unlock: tuple[tuple[str, Path], ...]
    also: tuple[Path, ...]
    folders: tuple[Path, ...]


def unit(service: Service) -> str:
    """The text of the unit."""
    sections = [_UNIT, _service(service), _sandbox(service)]
    sections.append(f"[Install]\nWantedBy={'multi-user' if service.user else 'default'}.target\n")
    sections.append(_memory(service))
    return "\n".join(sections)


def told(text: str) -> Told | None:
    """What a unit of ``unit`` was made from; None if it is not one."""
    line = next((one for one in text.splitlines() if one.startswith(_TELLS)), "")
    try:
        found = json.loads(line.removeprefix(_TELLS))
        return Told(
            Path(found["home"]),
            str(found["user"]),
            tuple((str(who), Path(file)) for who, file in found["unlock"]),
            tuple(Path(one) for one in found["also"]),
            tuple(Path(one) for one in found["folders"]),
        )
    except (ValueError, LookupError, TypeError):
        return None


def _memory(service: Service) -> str:
    found = {
        "home": str(service.home),
        "user": service.user,
        "unlock": [[who, str(file)] for who, file in service.unlock],
        "also": [str(one) for one in service.also],
        "folders": [str(one) for one in service.folders],
    }
    note = "# Not for systemd: what the next install and a hand-over go on from."
    return f"[X-Commons-Node]\n{note}\n{_TELLS}{json.dumps(found)}\n"


_UNIT: Final = """\
[Unit]
Description=commons-node: what a neighbourhood shares
# Not network-online: it works without a network, and finds one that comes later by itself.
After=network.target
# Five faults within ten minutes are no accident: stop, and let the host look (commons-node doctor).
StartLimitIntervalSec=600
StartLimitBurst=5
"""


def _service(service: Service) -> str:
    lines = [
        "[Service]",
        "# It says itself when it answers, and each minute that it still does.",
        "Type=notify",
        "NotifyAccess=main",
        f"WatchdogSec={WATCHDOG_S}",
        f"ExecStart={_quoted(service.python)} -m commons_node run --home {_quoted(service.home)}",
        "Restart=on-failure",
        "RestartSec=5",
        "# 2: the configuration is wrong, 4: it may not; starting again mends neither.",
        "RestartPreventExitStatus=2 4",
        "TimeoutStartSec=300",
        "# Everything acknowledged is on the disk; a minute is for saying goodbye.",
        "TimeoutStopSec=60",
        "LimitNOFILE=4096",
    ]
    if service.user:
        lines += [
            f"User={service.user}",
            f"Group={service.user}",
            "# /run/commons-node, of its group: for a guests' socket (config.toml: guest_socket).",
            "RuntimeDirectory=commons-node",
            "RuntimeDirectoryMode=0750",
        ]
    if service.unlock:
        lines.append("# Read by this service alone; never in its arguments or its environment.")
        lines += [
            f"LoadCredential={CREDENTIAL}{who}:{_quoted(file)}" for who, file in service.unlock
        ]
    else:
        lines += [
            "# To unlock a coordinator at the start, so that keys are renewed and seals proposed:",
            f"#LoadCredential={CREDENTIAL}NAME:/path/of/a/passphrase",
        ]
    return "\n".join(lines) + "\n"


def _sandbox(service: Service) -> str:
    lines = [
        "# --- what it may not ---",
        "# Files that it makes are for its user alone.",
        "UMask=0077",
        "# No program that it starts can get more rights than it has.",
        "NoNewPrivileges=yes",
    ]
    if service.namespaces:
        lines += _files(service)
    lines += [
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "# Sockets: its own API, other nodes, and asking which addresses this machine has.",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "# What any service does, and nothing that only drivers and debuggers do.",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "# Agents lock themselves in by Landlock, which that list of older systemd leaves out.",
        "SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
        "SystemCallErrorNumber=EPERM",
        "# Not MemoryDenyWriteExecute: agents' jobs are compiled when they first run.",
    ]
    if service.user:
        lines += [
            "# Only the system's own manager can take these away.",
            "ProtectProc=invisible",
            *_devices(service),
            "CapabilityBoundingSet=",
            "AmbientCapabilities=",
            "RemoveIPC=yes",
        ]
        lines += ["# Nobody's home.", "ProtectHome=yes"] if service.hides_homes else [
            "# Homes can be read as far as their owners let it, for what lies in one.",
            "ProtectHome=read-only",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _files(service: Service) -> Iterator[str]:
    """What needs a view of its own on the files of the machine."""
    if not service.user:
        yield "# Without it systemd before 254 can give a user's service none of what follows."
        yield "PrivateUsers=yes"
    yield "# The system is read-only; it writes in its own folder, and where its settings say."
    yield "ProtectSystem=strict"
    yield f"ReadWritePaths={_quoted(service.home)}"
    # a disk that is not plugged in is no reason not to start
    yield from (f"ReadWritePaths={_quoted(one, '-')}" for one in service.folders)
    if any(_below(one, _TEMPORARY) for one in (service.home, *service.folders)):
        yield "# Not PrivateTmp: it writes in a folder of this machine's /tmp."
    else:
        yield "PrivateTmp=yes"
    yield "# Kernel, clock, modules, logs and control groups are none of its business."
    yield "ProtectKernelTunables=yes"
    yield "ProtectKernelModules=yes"
    yield "ProtectKernelLogs=yes"
    yield "ProtectControlGroups=yes"
    yield "ProtectClock=yes"
    yield "ProtectHostname=yes"


def _devices(service: Service) -> Iterator[str]:
    """None at all, or those that its settings name."""
    named = [one.path for one in service.needs if one.device]
    if not named:
        yield "PrivateDevices=yes"
        return
    yield "# Devices that config.toml names, and no others."
    yield "DevicePolicy=closed"
    for path in named:
        line = next((one for start, one in _LINES.items() if path.name.startswith(start)), "")
        yield f"DeviceAllow={line or _quoted(path)} rw"


def _below(path: Path, folders: tuple[Path, ...] | tuple[str, ...]) -> bool:
    return any(path.is_relative_to(one) for one in folders)


def _quoted(path: Path, before: str = "") -> str:
    """A path in a unit: percent signs would be specifiers, blanks would end it."""
    text = before + str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if any(letter in text for letter in " \"\\'") else text
