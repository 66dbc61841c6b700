"""What the service manager has put between a service and the files of its machine.

A service has a /tmp of its own, sees nobody's home and writes in few folders. A file that a person
names is then another one for the node, or none: that is said, and never found out afterwards.

Source: proc_pid_mountinfo(5), systemd.exec(5).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Final, Literal

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _

Veil = Literal["", "own", "hidden", "read-only"]
_TABLE: Final = Path("/proc/self/mountinfo")
_ROOT, _PLACE, _OPTIONS = 3, 4, 5
"""Fields of a line of the table."""


class Veiled(CommonsError):
    """{file} is out of reach for the node, which runs as a service: {why}."""

    code: ClassVar[str] = "bad_file"
    hint: ClassVar[str] = (
        "choose a file in a folder that is open to it; commons-node service install --also FOLDER"
        " opens one (for the machine's service: sudo, and --system)"
    )
    status = "usage"


def refuse_veiled(path: Path, *, write: bool) -> None:
    """Refuse a file that would not be the one that its person means. Raises ``Veiled``."""
    try:
        table = _TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # no Linux: there is no such service
        return
    found = veil(Path(os.path.realpath(path.parent)) / path.name, table)
    if found == "own":
        raise Veiled(file=path, why=_("it has a folder of its own there, which nobody else sees"))
    if found == "hidden":
        raise Veiled(file=path, why=_("it sees nobody's home"))
    if found == "read-only" and write and _is_service():
        raise Veiled(file=path, why=_("it may write in its own folder only"))


def veil(path: Path, table: str) -> Veil:
    """What lies over an absolute path, by this process's table of mounts."""
    root, options, best = "/", "", -1
    for line in table.splitlines():
        fields = line.split(" ")
        place = Path(_plain(fields[_PLACE]))
        if path.is_relative_to(place) and len(place.parts) >= best:  # a later one lies above
            root, options, best = _plain(fields[_ROOT]), fields[_OPTIONS], len(place.parts)
    if any(part.startswith("systemd-private-") for part in Path(root).parts):
        return "own"
    if "/systemd/inaccessible/" in root:
        return "hidden"
    return "read-only" if "ro" in options.split(",") else ""


def _plain(field: str) -> str:
    """A path of the table: blanks and backslashes stand in it as octal digits."""
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, letter)
    return field


def _is_service() -> bool:
    """Whether systemd has started this very process."""
    return os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())
