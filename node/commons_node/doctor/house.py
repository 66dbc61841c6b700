"""The home: ours alone, its keys readable by nobody else, its configuration understood."""

from __future__ import annotations

import errno
import glob
import ipaddress
import os
import pwd
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _, ngettext
from commons_node.agents.store import FOLDER as AGENTS
from commons_node.audit import NAME as AUDIT
from commons_node.backup.restored import FILE as RESTORED
from commons_node.backup.schedule import every_s
from commons_node.backup.state import NAME as BACKUP
from commons_node.backup.state import BackupState, decode
from commons_node.config import Config, load
from commons_node.doctor.check import Check
from commons_node.drivers.driver import Around
from commons_node.drivers.held import Drivers
from commons_node.home import Home
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.store import Keystore
from commons_node.sandbox.cache import FOLDER as RUNNER
from commons_node.service.handing import MARK as HANDED
from commons_node.service.handing import HandedOver, check
from commons_node.service.installing import program
from commons_node.web import Web

_OTHERS = 0o077
_FOLDERS = ("run", "keys", "realms", "own", AGENTS, RUNNER)
_FILES = ("node.key", "*.db*", "tokens.json", f"{AUDIT}*", RESTORED, HANDED)
_DAY_MS = 86_400_000
_OLD_DAYS = 14


def folder(home: Home) -> Check:
    """Whether the home is there, ours, and writable."""
    path = home.path
    if not path.is_dir():
        fix = _("commons-node run makes it; --home or COMMONS_HOME says where")
        return Check(
            "home", "fail", _("There is no folder {path}.").format(path=path), fix, {"there": False}
        )
    owner = path.stat().st_uid
    writable = _writable(path)
    facts = {"there": True, "ours": owner == os.getuid(), "writable": writable}
    if owner != os.getuid():
        fix = _(
            "ask as the user that owns it: sudo -u {owner} {program} --home {path} doctor; or if it"
            " should be yours: sudo chown -R {getuid} {path}"
        ).format(owner=_name(owner), program=program(), getuid=os.getuid(), path=path)
        return Check(
            "home", "fail", _("{path} belongs to another user.").format(path=path), fix, facts
        )
    if not writable:
        fix = _("chmod u+rwx {path}; or remount the disk if it is mounted read-only").format(
            path=path
        )
        return Check(
            "home", "fail", _("Nothing can be written in {path}.").format(path=path), fix, facts
        )
    try:
        check(home)
    except HandedOver as error:
        told = {**facts, "handed_over": True}
        return Check("home", "fail", str(error), _(HandedOver.hint), told)
    if home.moved():
        fix = _(
            "the node waits before it signs until it has met a node that knew it: that is right;"
            " only if there is none: commons-node service take-over --alone"
        )
        return Check(
            "home",
            "warn",
            _("{path} was copied, or moved.").format(path=path),
            fix,
            {**facts, "moved": True},
        )
    return Check("home", "ok", _("{path} is yours to write.").format(path=path), "", facts)


def _writable(path: Path) -> bool:
    """Whether a file can be made there: tried with one that never has a name.

    After an error the kernel refuses all writes to a disk that is still mounted as writable.
    """
    if not os.access(path, os.W_OK | os.X_OK):
        return False
    try:
        os.close(os.open(path, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except OSError as error:
        return error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}
    return True


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"#{user}"


def backup(home: Home, config: Config, now_ms: int) -> Check:
    """Whether there is a backup, how old it is, and whether it was read back."""
    found = _backups(home)
    days = (now_ms - found.last_ms) // _DAY_MS if found.last_ms else -1
    facts = {
        "days": days,
        "by_itself": bool(every_s(config)),
        "verified": found.verified_ms >= found.last_ms > 0,
        "failed": bool(found.failed),
    }
    create = "commons-node backup create FOLDER"
    if every_s(config) and not config.jobs_workers:
        told = _("No backup is made by itself: the setting jobs_workers is 0.")
        fix = _("set jobs_workers to 1 or more in config.toml and start the node again")
        return Check("backup", "warn", told, fix, facts)
    if found.failed:
        told = _("The last try to make a backup failed: {why}").format(why=found.failed)
        return Check("backup", "fail" if days > _OLD_DAYS or days < 0 else "warn", told, create,
                     facts)  # fmt: skip
    if days < 0:
        return Check("backup", "warn", _("No backup was ever made of this node."), create, facts)
    told = ngettext(
        "The last backup is {days} day old; it went to {place}.",
        "The last backup is {days} days old; it went to {place}.",
        days,
    ).format(days=days, place=found.place)
    if days > _OLD_DAYS:
        return Check("backup", "warn", told, create, facts)
    if facts["by_itself"] and not facts["verified"]:
        fix = f"commons-node backup verify {found.place}"
        return Check(
            "backup", "warn", _("{told} It was not read back yet.").format(told=told), fix, facts
        )
    return Check("backup", "ok", told, "", facts)


def _backups(home: Home) -> BackupState:
    """What the node has noted; nothing where its file cannot be read."""
    uri = f"{(home.path / 'node.db').as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as file:
            query = "SELECT value FROM settings WHERE name = ?"
            rows = file.execute(query, (BACKUP,)).fetchall()
    except sqlite3.Error:
        rows = []
    return decode(rows[0][0] if rows else None)


def modes(home: Home, config: Config) -> Check:
    """Whether anybody else may read what must be private: all that the node itself has written."""
    found: dict[Path, int] = {}
    for path in _private(home, config):
        with suppress(FileNotFoundError):  # a running node has just done with it
            found[path] = path.lstat().st_mode
    linked = [path for path, mode in found.items() if stat.S_ISLNK(mode)]
    open_ones = [path for path, mode in found.items() if mode & _OTHERS and path not in linked]
    facts = {"open": len(open_ones), "linked": len(linked), "seen": len(found)}
    if linked:
        names = ", ".join(str(path) for path in linked)
        fix = _("put the file itself there: a link is replaced at the next write")
        return Check(
            "modes", "fail", _("These are links: {names}.").format(names=names), fix, facts
        )
    if open_ones:
        names = " ".join(str(path) for path in open_ones)
        fix = f"chmod go-rwx {names}"
        return Check("modes", "fail", _("Others may read {names}.").format(names=names), fix, facts)
    return Check("modes", "ok", _("Nobody else may read keys or data."), "", facts)


def _private(home: Home, config: Config) -> Iterator[Path]:
    """What the node writes; not the settings, nor what a person has put beside."""
    if os.path.lexists(home.path):
        yield home.path
    for name in _FOLDERS:
        folder = home.path / name
        if os.path.lexists(folder):
            yield folder
            yield from sorted(folder.rglob("*")) if not folder.is_symlink() else ()
    for pattern in _FILES:
        yield from sorted(home.path.glob(pattern))
    if config.log_file:
        log = Path(config.log_file).expanduser()
        yield from sorted(log.parent.glob(f"{glob.escape(log.name)}*"))


def keys(home: Home) -> Check:
    """Whether the node's own key and the members' key files are whole; opens none of them."""
    damaged: list[str] = []
    try:
        has_own = bool(NodeKey(home.node_key).load())
    except CommonsError:
        has_own, damaged = True, [home.node_key.name]
    keystore = Keystore(home.keys)
    members = keystore.members()
    damaged += [f"{one}.key" for one in keystore.damaged()]
    facts = {"members": len(members), "node_key": has_own, "damaged": len(damaged)}
    if damaged:
        fix = _("put back an unharmed copy; without one: commons-node help member recover")
        return Check(
            "keys", "fail", _("Damaged: {damaged}.").format(damaged=", ".join(damaged)), fix, facts
        )
    told = _("The node's own key is whole") if has_own else _("The node has no key of its own yet")
    return Check(
        "keys",
        "ok",
        _("{told}; member key files: {count}, all whole.").format(told=told, count=len(members)),
        "",
        facts,
    )


def forks(home: Home, forked: Sequence[str]) -> Check:
    """Whether somebody's device told two stories; worst if they live here, as where a copy runs."""
    here = sorted(set(forked) & set(Keystore(home.keys).members()))
    facts = {"forked": len(forked), "here": len(here)}
    if here:
        told = _(
            "A device of a member of this node wrote two different things at one place, and writes"
            " no more: this folder, or an older state of it, ran twice."
        )
        fix = _(
            "stop the other copy for good; then commons-node fork list, and docs/host.md, A machine"
            " told two stories"
        )
        return Check("forks", "fail", told, fix, facts)
    if forked:
        told = _("Members whose devices wrote two different things at one place: {count}.")
        fix = _(
            "commons-node fork list; a coordinator says which counts: commons-node fork resolve"
        )
        return Check("forks", "warn", told.format(count=len(forked)), fix, facts)
    return Check("forks", "ok", _("No device wrote two different things at one place."), "", facts)


def configuration(home: Home, environment: Mapping[str, str]) -> Check:
    """Whether config.toml and the environment are understood."""
    try:
        found = load(home.path, environment)
        Drivers(found.drivers, Around(Web(), home.path))  # who starts the node finds out as well
    except CommonsError as error:
        return Check("config", "fail", str(error), error.way_out, {"understood": False})
    there = (home.path / "config.toml").exists()
    detail = (
        _("config.toml is understood.")
        if there
        else _("No config.toml: every setting is standard.")
    )
    return Check("config", "ok", detail, "", {"understood": True, "file": there})


def doors(config: Config) -> Check:
    """Whether more people than meant can ask this node, or read what its settings name."""
    host = config.metrics_listen.rpartition(":")[0].strip("[]")
    open_port = bool(host) and not ipaddress.ip_address(host).is_loopback
    readable = [path for path in _named(config) if path.exists() and path.stat().st_mode & _OTHERS]
    guests = Path(config.guest_socket) if config.guest_socket else None
    everybody = guests is not None and guests.parent.exists() and bool(
        guests.parent.stat().st_mode & 0o007
    )  # fmt: skip
    facts = {
        "metrics": bool(host), "metrics_open": open_port, "guests": guests is not None,
        "guests_everybody": everybody, "readable": len(readable),
    }  # fmt: skip
    if readable:
        names = " ".join(str(path) for path in readable)
        told = _("Others may read {names}.").format(names=names)
        return Check("doors", "fail", told, f"chmod 600 {names}", facts)
    if open_port:
        told = _("Anybody who reaches {where} can read the node's figures.")
        fix = _('set metrics_listen = "127.0.0.1:9464", or let the firewall say who comes')
        return Check("doors", "warn", told.format(where=config.metrics_listen), fix, facts)
    if guests is not None and everybody:
        told = _(
            "Every user of this machine can come to the guests' socket, where a token is needed."
        )
        return Check("doors", "warn", told, f"chmod o= {guests.parent}", facts)
    if guests is not None and not guests.parent.exists():
        told = _("There is no folder for the guests' socket {path}.").format(path=guests)
        return Check("doors", "fail", told, f"mkdir -m 2750 {guests.parent}", facts)
    return Check("doors", "ok", _("Nobody but its owner asks this node, unless you said so."), "",
                 facts)  # fmt: skip


def _named(config: Config) -> list[Path]:
    """Files with a passphrase that the settings name."""
    return [Path(config.backup_passphrase_file)] if config.backup_passphrase_file else []
