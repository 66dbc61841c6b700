"""``service install``, ``uninstall`` and ``show``: the unit's file, and what systemd is told."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.api.paths import MAX_SOCKET_BYTES
from commons_node.service.unit import NAME, Service, unit

_SYSTEM: Final = Path("/etc/systemd/system")
_SECONDS: Final = 60.0


class NoSystemd(CommonsError):
    """This system has no systemd to install a service with."""

    code: ClassVar[str] = "no_systemd"
    hint: ClassVar[str] = "run commons-node run from whatever starts programs here (launchd, runit)"
    status = "failed"


class NotRoot(CommonsError):
    """A service for the whole system can be installed by root only."""

    code: ClassVar[str] = "not_root"
    hint: ClassVar[str] = "sudo commons-node service install --system, or leave out --system"
    status = "locked"


class NoUser(CommonsError):
    """There is no user {user} on this system."""

    code: ClassVar[str] = "no_user"
    hint: ClassVar[str] = "useradd --system --create-home {user}"
    status = "usage"


class NoPassphrase(CommonsError):
    """The passphrase file {file} must be a file that nobody else may read."""

    code: ClassVar[str] = "bad_file"
    hint: ClassVar[str] = "chmod 600 {file}"
    status = "usage"


class BadHome(CommonsError):
    """The home {home} cannot be that of a service: {why}."""

    code: ClassVar[str] = "no_home"
    hint: ClassVar[str] = "choose another with --home DIR, such as /var/lib/commons-node"
    status = "usage"


def described(home: Path, *, user: str = "", unlock: Mapping[str, Path] | None = None) -> Service:
    """The service that is meant, checked. Raises NoUser, NoPassphrase, BadHome."""
    if user:
        try:
            pwd.getpwnam(user)
        except KeyError:
            raise NoUser(user=user) from None
    if not str(home).isprintable():
        raise BadHome(home=ascii(str(home)), why=_("its name has line breaks or worse in it"))
    if len(os.fsencode(home / "run" / "api.sock")) > MAX_SOCKET_BYTES:
        why = _("its name is too long for a socket in it, and a service has a /tmp of its own")
        raise BadHome(home=home, why=why)
    files = []
    for member, file in (unlock or {}).items():
        whole = file.absolute()
        if not whole.is_file() or whole.stat().st_mode & 0o077:
            raise NoPassphrase(file=whole)
        files.append((member, whole))
    return Service(Path(sys.executable), home, user, tuple(files))


def place(environment: Mapping[str, str], *, system: bool) -> Path:
    """Where the unit's file goes."""
    if system:
        return _SYSTEM / NAME
    given = environment.get("XDG_CONFIG_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".config"
    return base / "systemd" / "user" / NAME


def install(service: Service, file: Path, *, start: bool) -> dict[str, object]:
    """Write the unit and start it; ``started`` is False where no systemd answers.

    ``next``: what is left to do by hand, one command a line. Raises NoSystemd, NotRoot, OSError.
    """
    system = bool(service.user)
    _check(system)
    _make_home(service)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(unit(service), encoding="utf-8")
    file.chmod(0o644)
    manager = _manager(system)
    left = [] if system else [f"loginctl enable-linger {_me()}"]
    commands = [[*manager, "daemon-reload"]]
    if start:
        commands.append([*manager, "enable", "--now", NAME])
    else:
        left.insert(0, " ".join([*manager, "enable", "--now", NAME]))
    failed = next((one for one in commands if not _works(one)), None)
    if failed is not None:
        left = [" ".join(one) for one in commands[commands.index(failed) :]] + left
    return {"unit": str(file), "started": start and failed is None, "next": left}


def uninstall(file: Path, *, system: bool) -> dict[str, object]:
    """Stop the service and remove its unit; the node's folder stays. Raises as ``install``."""
    _check(system)
    there = file.exists()
    manager = _manager(system)
    left = []
    if there:
        stopped = _works([*manager, "disable", "--now", NAME])
        file.unlink()
        if not (_works([*manager, "daemon-reload"]) and stopped):
            left = [" ".join([*manager, "daemon-reload"])]
    return {"unit": str(file), "removed": there, "next": left}


def _make_home(service: Service) -> None:
    """The unit may write there only if it is there; it is its user's, and nobody else's."""
    if service.home.exists():
        return
    service.home.mkdir(mode=0o700, parents=True)
    if service.user:
        shutil.chown(service.home, service.user)


def _check(system: bool) -> None:
    if sys.platform != "linux" or shutil.which("systemctl") is None:
        raise NoSystemd
    if system and os.geteuid() != 0:
        raise NotRoot


def _manager(system: bool) -> list[str]:
    return ["systemctl"] if system else ["systemctl", "--user"]


def _works(command: list[str]) -> bool:
    try:
        ended = subprocess.run(  # noqa: S603 - words of this module alone
            command, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def _me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
