"""The systemd unit of a node, with a reason beside each line that keeps something away from it.

A *user* unit runs while its user is logged in (or lingers) and needs no root; a *system* unit runs
as a user of its own from the start of the machine. Both are locked in as far as a node lets itself.

Source: systemd.exec(5), systemd.service(5), sd_notify(3).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

NAME: Final = "commons-node.service"
WATCHDOG_S: Final = 120
CREDENTIAL: Final = "unlock."
"""Prefix of the credentials that hold a member's passphrase; the rest is the member's name."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is to run. ``user``: a system unit for this user; "" for a user unit.

    ``unlock``: (member, file with the passphrase) to be handed over as credentials.
    """

    python: Path
    home: Path
    user: str = ""
    unlock: tuple[tuple[str, Path], ...] = ()


def unit(service: Service) -> str:
    """The text of the unit."""
    sections = [_UNIT, _service(service), _sandbox(service)]
    sections.append(f"[Install]\nWantedBy={'multi-user' if service.user else 'default'}.target\n")
    return "\n".join(sections)


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
        "# The system is read-only; it writes in its own folder only.",
        "ProtectSystem=strict",
        f"ReadWritePaths={_quoted(service.home)}",
        "PrivateTmp=yes",
        "# Kernel, clock, modules, logs and control groups are none of its business.",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectControlGroups=yes",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "# Sockets: its own API, other nodes, and asking which addresses this machine has.",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "# What any service does, and nothing that only drivers and debuggers do.",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallErrorNumber=EPERM",
        "# Not MemoryDenyWriteExecute: agents' jobs are compiled when they first run.",
    ]
    if service.user:
        lines += [
            "# Only the system's own manager can take these away.",
            "ProtectProc=invisible",
            "PrivateDevices=yes",
            "CapabilityBoundingSet=",
            "AmbientCapabilities=",
            "RemoveIPC=yes",
        ]
        if not service.home.is_relative_to("/home") and not service.home.is_relative_to("/root"):
            lines += ["# Nobody's home.", "ProtectHome=yes"]
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    """A path in a unit: percent signs would be specifiers, blanks would end it."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if any(letter in text for letter in " \"\\'") else text
