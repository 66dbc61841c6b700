"""The verbs of the service as a process: arguments in, a sentence or one JSON object out."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import nullcontext, suppress
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
from commons_node.service.handing import hand_over, met_nobody, owned_by, stay, take_over, undo
from commons_node.service.installing import (
    BOOTED,
    SYSTEM_HOME,
    SYSTEM_USER,
    described,
    home_of,
    install,
    installed,
    place,
    program,
    resting,
    runs,
    uninstall,
    user_id,
)
from commons_node.service.needs import needs_of
from commons_node.service.unit import Told, unit
from commons_node.telling import tell_error, tell_failure
from commons_node.whole_file import CannotWrite

_NAME: Final = "commons-node"
_FAILED: Final = N_("nothing was changed")
_UNPROTECTED: Final = N_(
    "This machine lets no user make namespaces: the unit for you does without what keeps a service"
    " away from the files of the system. The machine's own, with --system, has it."
)
_CREDENTIAL: Final = re.compile(r"[ !-.0-9;-~]{1,200}")
"""What systemd takes as the name of a credential."""


class BadUnlock(CommonsError):
    """{given} does not say whose passphrase is where."""

    code: ClassVar[str] = "usage"
    hint: ClassVar[str] = "--unlock NAME=FILE"
    status = "usage"


class NoFile(CommonsError):
    """It is not said which file."""

    code: ClassVar[str] = "usage"
    hint: ClassVar[str] = "commons-node service {act} FILE"
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
    parser.add_argument("--also", action="append", default=[], type=Path)
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
    home = SYSTEM_HOME if given.system and not given.home else home_path(given.home, os.environ)
    file = place(os.environ, system=given.system)
    if given.act in {"hand-over", "take-over"}:
        return _moving(given, home, file)
    if given.act == "uninstall":
        home = home_of(file) or home  # what stays is the folder of the unit that goes
        done = uninstall(file, system=given.system)
        words = (
            _("The service is gone; the node's folder {home} stays as it is.")
            if done["removed"]
            else _("No service was installed; the node's folder {home} stays as it is.")
        )
        return done, _said(words.format(home=home), done["next"])
    user = (given.user or SYSTEM_USER) if given.system else ""
    unlock = dict(map(_unlock, given.unlock))
    before = installed(file, home)
    service = described(home, user=user, unlock=unlock, also=given.also, before=before)
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
    done["folders"] = [str(one) for one in service.folders]
    if not (done["started"] or given.no_start or BOOTED.exists()):
        words += "\n" + _("Nothing was started: systemd does not run this machine now.")
    if service.folders:
        told = _("Besides its own folder it may write in {folders}.")
        words += "\n" + told.format(folders=", ".join(map(str, service.folders)))
    if not service.namespaces:
        words += "\n" + _(_UNPROTECTED)
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
    given: argparse.Namespace, place_of: Path, unit_file: Path
) -> tuple[Mapping[str, object], str]:
    home = _whole(place_of, by_root=given.system and os.geteuid() == 0)
    if given.act == "hand-over" and given.undo:
        done = undo(home)
        return done, _said(_("The node in {home} may run here again.").format(**done), [])
    if given.file is None and given.act == "take-over" and given.alone:
        ours = runs(unit_file, place_of)
        with resting(system=given.system, again=True) if ours else nullcontext():
            done = stay(home)
        done["next"] = [] if ours else ["commons-node run"]
        words = _("The node in {home} waits for no other one before it signs.")
        return done, _said(words.format(**done), done["next"])
    if given.file is None:
        raise NoFile(act=given.act)
    file = given.file.absolute()
    if given.act == "take-over":
        if given.system:
            user_id(given.user or SYSTEM_USER)
        done = take_over(file, home, alone=given.alone)
        if given.system:
            owned_by(home.path, given.user or SYSTEM_USER)
        install_it = [str(program()), "service", "install", *_on_system(given)]
        done["next"] = [shlex.join(install_it), f"rm {shlex.quote(str(file))}"]
        words = (
            _("The node is in {home}.")
            if given.alone
            else _("The node is in {home}. It waits before it signs until it has met another one.")
        )
        return done, _said(words.format(**done), done["next"])
    before = installed(unit_file, place_of)
    outside = _outside(place_of, before)
    ours = runs(unit_file, place_of)
    alone = ["--alone"] if met_nobody(home) else []
    with resting(system=given.system) if ours else nullcontext():
        try:
            done = hand_over(home, file)
        except OSError as error:
            raise CannotWrite(file=file, why=error.strerror or error) from error
    left = _gone(unit_file, system=given.system) if ours else []
    system = _on_system(given, before)
    take = [_NAME, "service", "take-over", file.name, *system, *alone]
    again = [_NAME, "service", "install", *system]
    for member, secret in before.unlock if before else ():
        again += ["--unlock", f"{member}={secret}"]
    for folder in before.also if before else ():
        again += ["--also", str(folder)]
    remove = f"rm -r {shlex.quote(str(home.path))}"
    done["next"] = [*left, shlex.join(take), shlex.join(again), remove]
    done["outside"] = [str(one) for one in outside]
    words = _(
        "The node is in {file}, for nobody else to read, and runs here no more. Carry the file to"
        " the new host yourself; there the commands below, and here the last one, when it runs"
        " there."
    )
    if alone:
        words += "\n" + _("It has never met another node, so --alone: it would wait for one.")
    if outside:
        words += "\n" + _("Not in it, and to be set up there: {outside}")
    return done, _said(words.format(**{**done, "outside": ", ".join(map(str, outside))}),
                       done["next"])  # fmt: skip


def _on_system(given: argparse.Namespace, before: Told | None = None) -> list[str]:
    if not given.system:
        return []
    user = before.user if before else given.user
    return ["--system", *(["--user", user] if user not in {"", SYSTEM_USER} else [])]


def _whole(path: Path, *, by_root: bool) -> Home:
    """The home, also where root works on one that is its service's."""
    return Home(path, owner=path.stat().st_uid if by_root and path.is_dir() else None)


def _gone(unit_file: Path, *, system: bool) -> list[str]:
    """Remove the service of a home that is handed over; what could not be done, as commands."""
    try:
        left = uninstall(unit_file, system=system)["next"]
    except (CommonsError, OSError):  # the home itself refuses to start from now on
        words = [str(program()), "service", "uninstall"]
        return [shlex.join([*words, *(["--system"] if system else [])])]
    assert isinstance(left, list)
    return left


def _outside(home: Path, before: Told | None) -> list[Path]:
    """What the node uses and does not carry along: outside of its home."""
    named = [file for _who, file in before.unlock] if before else []
    named += before.also if before else ()
    with suppress(CommonsError):
        named += [one.path for one in needs_of(load(home, {}))]
    return [one for one in dict.fromkeys(named) if not one.is_relative_to(home)]


def _unlock(given: str) -> tuple[str, Path]:
    member, equals, file = given.partition("=")
    if not (member and equals and file) or not _CREDENTIAL.fullmatch(member):
        raise BadUnlock(given=given)
    return member, Path(file)


def _said(words: str, left: object) -> str:
    assert isinstance(left, list)
    more = "".join(f"  {command}\n" for command in left)
    return f"{words}\n" + (_("Left to do:\n{more}").format(more=more) if more else "")
