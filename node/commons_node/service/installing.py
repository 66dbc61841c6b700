"""``service install``, ``uninstall`` and ``show``: the unit's file, and what systemd is told."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.api.paths import MAX_SOCKET_BYTES, home_path
from commons_node.config import load
from commons_node.service.needs import needs_of
from commons_node.service.unit import HOMES, NAME, Service, Told, told, unit

_SYSTEM: Final = Path("/etc/systemd/system")
SYSTEM_USER: Final = "commons"
SYSTEM_HOME: Final = Path("/var/lib/commons-node")
_SECONDS: Final = 330.0
"""The unit's own TimeoutStartSec, and a little more."""
BOOTED: Final = Path("/run/systemd/system")
"""There while systemd runs this machine; see sd_booted(3)."""


class NoSystemd(CommonsError):
    """This system has no systemd to install a service with."""

    code: ClassVar[str] = "no_systemd"
    hint: ClassVar[str] = "run commons-node run from whatever starts programs here (launchd, runit)"
    status = "failed"


class NotRoot(CommonsError):
    """A service for the whole system can be installed by root only."""

    code: ClassVar[str] = "not_root"
    hint: ClassVar[str] = "sudo {program} service install --system, or leave out --system"
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


class BadFolder(CommonsError):
    """The folder {folder} cannot be one that a service writes in: {why}."""

    code: ClassVar[str] = "bad_folder"
    hint: ClassVar[str] = "--also FOLDER names one that is there, by its whole path"
    status = "usage"


class BadProgram(CommonsError):
    """The program {python} cannot run as a service of this machine: {why}."""

    code: ClassVar[str] = "bad_program"
    hint: ClassVar[str] = (
        "sudo sh packaging/install.sh /opt/commons-node, then:"
        " sudo /opt/commons-node/bin/commons-node service install --system"
    )
    status = "usage"


class NotStopped(CommonsError):
    """The service could not be stopped, so its unit stays: {why}."""

    code: ClassVar[str] = "not_stopped"
    hint: ClassVar[str] = "{stop}, then again; as its own user, logged in, if it is that user's"
    status = "failed"


def described(
    home: Path,
    *,
    user: str = "",
    unlock: Mapping[str, Path] | None = None,
    also: Sequence[Path] = (),
    before: Told | None = None,
    python: Path | None = None,
) -> Service:
    """The service that is meant, checked; ``before``: what it is now, whose choices stay.

    Raises NoUser, NoPassphrase, BadHome, BadFolder, BadProgram, and BadConfig of the settings that
    it would start with.
    """
    if user:
        user_id(user)
    if not str(home).isprintable():
        raise BadHome(home=ascii(str(home)), why=_("its name has line breaks or worse in it"))
    if len(os.fsencode(home / "run" / "api.sock")) > MAX_SOCKET_BYTES:
        why = _("its name is too long for a socket in it, and a service has a /tmp of its own")
        raise BadHome(home=home, why=why)
    files = []
    for member, file in (dict(before.unlock if before else ()) | dict(unlock or {})).items():
        whole = file.absolute()
        if not whole.is_file() or whole.stat().st_mode & 0o077:
            raise NoPassphrase(file=whole)
        files.append((member, whole))
    folders = [_folder(one) for one in (*(before.also if before else ()), *also)]
    found = Service(
        python or Path(sys.executable),
        home,
        user,
        tuple(files),
        tuple(dict.fromkeys(folders)),
        needs_of(load(home, {})),  # as the service starts: without this shell's environment
        namespaces=bool(user) or has_namespaces(),
    )
    if user:
        _check_program(found)
    return found


def user_id(user: str) -> int:
    """A user's number. Raises NoUser."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise NoUser(user=user) from None


def _folder(given: Path) -> Path:
    folder = Path(os.path.normpath(given.absolute()))
    if not str(folder).isprintable():
        raise BadFolder(folder=ascii(str(folder)), why=_("its name has line breaks or worse in it"))
    if not folder.is_dir():
        raise BadFolder(folder=folder, why=_("there is no such folder"))
    return folder


def _check_program(service: Service) -> None:
    """Refuse a Python that the service's own user would not find, or may not run."""
    parts = {service.python, service.python.resolve(), Path(sys.prefix), Path(sys.base_prefix)}
    homes = [one for one in sorted(parts) if any(one.is_relative_to(home) for home in HOMES)]
    if homes and service.hides_homes:
        why = _("{path} lies in somebody's home, which the service does not see")
        raise BadProgram(python=service.python, why=why.format(path=homes[0]))
    if os.geteuid() == 0:
        failed = _failing([str(service.python), "-c", "import commons_node"], service.user)
        if failed is not None:
            why = _("{user} may not run it, or not read all of it: {failed}")
            why = why.format(user=service.user, failed=failed.splitlines()[-1] if failed else "?")
            raise BadProgram(python=service.python, why=why)


def has_namespaces() -> bool:
    """Whether this machine lets a user make the namespaces that protect files."""
    return _failing(["unshare", "--user", "--map-current-user", "--mount", "true"]) is None


def place(environment: Mapping[str, str], *, system: bool) -> Path:
    """Where the unit's file goes."""
    if system:
        return _SYSTEM / NAME
    given = environment.get("XDG_CONFIG_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".config"
    return base / "systemd" / "user" / NAME


def installed(file: Path, home: Path) -> Told | None:
    """What the unit in ``file`` says of itself, if it is there and runs ``home``."""
    try:
        found = told(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found if found is not None and found.home == home else None


def runs(file: Path, home: Path) -> bool:
    """Whether the unit in ``file`` runs ``home``; one of before it said so counts."""
    try:
        found = told(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
    return found is None or found.home == home


def home_of(file: Path) -> Path | None:
    """The home that the unit in ``file`` runs, if it says so."""
    try:
        found = told(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found.home if found is not None else None


def again(unit: Told) -> str:
    """The command that installs this service anew, with what its settings say now."""
    words = ["sudo", str(program())] if unit.user else ["commons-node"]
    words += ["service", "install"]
    if unit.user:
        words += ["--system", *(["--user", unit.user] if unit.user != SYSTEM_USER else [])]
    usual = SYSTEM_HOME if unit.user else home_path(None, os.environ)
    words += ["--home", str(unit.home)] if unit.home != usual else []
    return shlex.join(words)


def install(service: Service, file: Path, *, start: bool) -> dict[str, object]:
    """Write the unit and start it anew; ``started`` is False where no systemd answers.

    ``next``: what is left to do by hand, one command a line. Raises NoSystemd, NotRoot, OSError.
    """
    system = bool(service.user)
    _check(system)
    _make(service.home, service.user, parents=True)
    left = []
    for folder in service.folders:
        if folder.parent.is_dir():
            _make(folder, service.user, parents=False)
        if system and _failing(["test", "-w", str(folder)], service.user) is not None:
            left.append(f"chown {service.user} {shlex.quote(str(folder))}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(unit(service), encoding="utf-8")
    file.chmod(0o644)
    manager = _manager(system)
    left += [] if system else [f"loginctl enable-linger {_me()}"]
    commands = [[*manager, "daemon-reload"]]
    starting = [[*manager, "enable", NAME], [*manager, "restart", NAME]]
    commands += starting if start else []
    left = left if start else [" ".join(one) for one in starting] + left
    failed = next((one for one in commands if _failing(one) is not None), None)
    if failed is not None:
        left = [" ".join(one) for one in commands[commands.index(failed) :]] + left
        if failed == starting[-1]:  # a start that failed says why in its log alone
            log = "journalctl" if system else "journalctl --user"
            left.insert(0, f"{log} -u {NAME} -n 20")
    return {"unit": str(file), "started": start and failed is None, "next": left}


def uninstall(file: Path, *, system: bool) -> dict[str, object]:
    """Stop the service and remove its unit; the node's folder stays.

    Raises as ``install``, and NotStopped: then it may run on, and the unit stays.
    """
    _check(system)
    there = file.exists()
    manager = _manager(system)
    left = []
    if there:
        failed = _failing([*manager, "disable", "--now", NAME])
        if failed is not None and BOOTED.exists():
            raise NotStopped(why=failed or "?", stop=" ".join([*manager, "stop", NAME]))
        for wanted in file.parent.glob(f"*.wants/{NAME}"):
            wanted.unlink()  # where no systemd runs nobody else does
        file.unlink()
        if failed is None and _failing([*manager, "daemon-reload"]) is not None:
            left = [" ".join([*manager, "daemon-reload"])]
    return {"unit": str(file), "removed": there, "next": left}


@contextmanager
def resting(*, system: bool, again: bool = False) -> Iterator[None]:
    """Stop the service while something is done; it is started again if that fails, or ``again``.

    Raises as ``install``.
    """
    _check(system)
    manager = _manager(system)
    ran = _failing([*manager, "is-active", NAME]) is None
    _failing([*manager, "stop", NAME])
    try:
        yield
    except BaseException:
        again = True
        raise
    finally:
        if ran and again:
            _failing([*manager, "start", NAME])


def _make(folder: Path, user: str, *, parents: bool) -> None:
    """The unit may write there only if it is there; it is its user's, and nobody else's."""
    if folder.exists():
        return
    folder.mkdir(mode=0o700, parents=parents)
    if user:
        shutil.chown(folder, user, user)


def _check(system: bool) -> None:
    if sys.platform != "linux" or shutil.which("systemctl") is None:
        raise NoSystemd
    if system and os.geteuid() != 0:
        raise NotRoot(program=program())


def program() -> Path:
    """The command as sudo finds it, which looks in the system's folders alone."""
    return Path(sys.executable).with_name("commons-node")


def _manager(system: bool) -> list[str]:
    return ["systemctl"] if system else ["systemctl", "--user"]


def _failing(command: list[str], user: str = "") -> str | None:
    """None if a command works, else what it says; ``user``: run as that one, as root can."""
    who: dict[str, Any] = {}
    if user and os.geteuid() == 0:
        found = pwd.getpwnam(user)
        groups = os.getgrouplist(user, found.pw_gid)
        who = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": groups}
    try:
        ended = subprocess.run(  # noqa: S603 - words of this module alone
            command, capture_output=True, timeout=_SECONDS, check=False, cwd="/", **who
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None if ended.returncode == 0 else ended.stderr.decode("utf-8", "replace").strip()


def _me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
