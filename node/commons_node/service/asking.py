"""The verbs of the service as a process: arguments in, a sentence or one JSON object out."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_, _
from commons_node.api.paths import home_path
from commons_node.api.types import API_VERSION, HTTP_STATUS
from commons_node.config import load
from commons_node.doctor.network import kept_port, port_in
from commons_node.home import Home
from commons_node.service.firewall import opening
from commons_node.service.handing import hand_over, owned_by, take_over, undo
from commons_node.service.installing import described, install, place, uninstall
from commons_node.service.unit import unit
from commons_node.telling import tell_error, tell_failure

_FAILED: Final = N_("nothing was changed")
_CREDENTIAL: Final = re.compile(r"[ !-.0-9;-~]{1,200}")
"""What systemd takes as the name of a credential."""
_SYSTEM_USER: Final = "commons"
_SYSTEM_HOME: Final = "/var/lib/commons-node"


class BadUnlock(CommonsError):
    """{given} does not say whose passphrase is where."""

    code: ClassVar[str] = "usage"
    hint: ClassVar[str] = "--unlock NAME=FILE"
    status = "usage"


class NoFile(CommonsError):
    """It is not said which file."""

    code: ClassVar[str] = "usage"
    hint: ClassVar[str] = "commons-node service hand-over FILE"
    status = "usage"


def declare(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The verb ``service`` among those of ``python -m commons_node``."""
    parser = verbs.add_parser("service")
    parser.add_argument("act", choices=("hand-over", "install", "show", "take-over", "uninstall"))
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--undo", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--home")
    parser.add_argument("--system", action="store_true")
    parser.add_argument("--user", default="")
    parser.add_argument("--unlock", action="append", default=[])
    parser.add_argument("--no-start", action="store_true")
    parser.add_argument("--json", action="store_true")


def ask(given: argparse.Namespace) -> int:
    """Do it and say what was done; the exit code."""
    try:
        done, words = _do(given)
    except CommonsError as error:
        return tell_error(_(_FAILED), error, as_json=given.json)
    except OSError as error:
        hint = _("check that the folder of units is yours to write")
        status = HTTP_STATUS["failed"]
        return tell_failure(_(_FAILED), "failed", str(error), hint, status, as_json=given.json)
    sys.stdout.write(
        json.dumps({"v": API_VERSION, "ok": True, **done}) + "\n" if given.json else words
    )
    return 0


def _do(given: argparse.Namespace) -> tuple[Mapping[str, object], str]:
    home = (
        Path(_SYSTEM_HOME) if given.system and not given.home else home_path(given.home, os.environ)
    )
    file = place(os.environ, system=given.system)
    if given.act in {"hand-over", "take-over"}:
        return _moving(given, Home(home), file)
    if given.act == "uninstall":
        done = uninstall(file, system=given.system)
        words = (
            _("The service is gone; the node's folder {home} stays as it is.")
            if done["removed"]
            else _("No service was installed; the node's folder {home} stays as it is.")
        )
        return done, _said(words.format(home=home), done["next"])
    user = given.user if given.system else ""
    service = described(home, user=user, unlock=dict(map(_unlock, given.unlock)))
    if given.act == "show":
        text = unit(service)
        return {"unit": str(file), "text": text}, text
    done = install(service, file, start=not given.no_start)
    words = (
        _("The unit is in {file}, and the node runs.")
        if done["started"]
        else _("The unit is in {file}.")
    )
    words = words.format(file=file)
    port = _port_of(home)
    done["firewall"] = opening(port) if port else None
    if port:
        told = _("Neighbours come in at TCP port {port}; if a firewall is up: {line}")
        words += "\n" + told.format(port=port, line=opening(port))
    return done, _said(words, done["next"])


def _port_of(home: Path) -> int | None:
    """The port that neighbours come in at, once it is known: as configured, or as it was kept."""
    try:
        listen = load(home, os.environ).listen
    except CommonsError:
        listen = ()
    found = port_in(listen)
    kept = kept_port(home / "node.db") if found is None else None
    return int(kept) if kept else found


def _moving(
    given: argparse.Namespace, home: Home, unit_file: Path
) -> tuple[Mapping[str, object], str]:
    if given.act == "hand-over" and given.undo:
        done = undo(home)
        return done, _said(_("The node in {home} may run here again.").format(**done), [])
    if given.file is None:
        raise NoFile
    file = given.file.absolute()
    if given.act == "take-over":
        done = take_over(file, home, alone=given.alone)
        if given.system:
            owned_by(home.path, given.user or _SYSTEM_USER)
        install_it = "commons-node service install" + (" --system" if given.system else "")
        done["next"] = [install_it, f"rm {file}"]
        words = (
            _("The node is in {home}.")
            if given.alone
            else _("The node is in {home}. It waits before it signs until it has met another one.")
        )
        return done, _said(words.format(**done), done["next"])
    if unit_file.exists():
        uninstall(unit_file, system=given.system)
    done = hand_over(home, file)
    done["next"] = [f"commons-node service take-over {file.name}", f"rm -r {home.path}"]
    words = _(
        "The node is in {file}, for nobody else to read, and runs here no more. Carry the file to"
        " the new host yourself; there the first of these, and when it runs there the second here:"
    )
    return done, _said(words.format(**done), done["next"])


def _unlock(given: str) -> tuple[str, Path]:
    member, equals, file = given.partition("=")
    if not (member and equals and file) or not _CREDENTIAL.fullmatch(member):
        raise BadUnlock(given=given)
    return member, Path(file)


def _said(words: str, left: object) -> str:
    assert isinstance(left, list)
    more = "".join(f"  {command}\n" for command in left)
    return f"{words}\n" + (_("Left to do:\n{more}").format(more=more) if more else "")
