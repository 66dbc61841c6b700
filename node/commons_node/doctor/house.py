"""The home: ours alone, its keys readable by nobody else, its configuration understood."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _, ngettext
from commons_node.backup.state import NAME as BACKUP
from commons_node.backup.state import BackupState, decode
from commons_node.config import Config, load
from commons_node.doctor.check import Check
from commons_node.drivers.driver import Around
from commons_node.drivers.held import Drivers
from commons_node.home import Home
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.store import Keystore
from commons_node.web import Web

_OTHERS = 0o077
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
    writable = os.access(path, os.W_OK | os.X_OK)
    facts = {"there": True, "ours": owner == os.getuid(), "writable": writable}
    if owner != os.getuid():
        fix = _("chown -R {getuid} {path}, or run this as the user that owns it").format(
            getuid=os.getuid(), path=path
        )
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
    if home.moved():
        fix = _(
            "the node waits before it signs until it has met a node that knew it: that is right"
        )
        return Check(
            "home",
            "warn",
            _("{path} was copied, or moved.").format(path=path),
            fix,
            {**facts, "moved": True},
        )
    return Check("home", "ok", _("{path} is yours to write.").format(path=path), "", facts)


def backup(home: Home, config: Config, now_ms: int) -> Check:
    """Whether there is a backup, how old it is, and whether it was read back."""
    found = _backups(home)
    days = (now_ms - found.last_ms) // _DAY_MS if found.last_ms else -1
    facts = {
        "days": days,
        "by_itself": bool(config.backup_to and config.backup_every_hours),
        "verified": found.verified_ms >= found.last_ms > 0,
        "failed": bool(found.failed),
    }
    create = "commons-node backup create FOLDER"
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


def modes(home: Home) -> Check:
    """Whether anybody else may read what must be private."""
    open_ones = [path for path in _private(home) if path.lstat().st_mode & _OTHERS]
    linked = [path for path in _private(home) if stat.S_ISLNK(path.lstat().st_mode)]
    facts = {"open": len(open_ones), "linked": len(linked)}
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


def _private(home: Home) -> Iterator[Path]:
    for path in (home.path, home.run, home.keys, home.node_key):
        if os.path.lexists(path):
            yield path
    yield from sorted(home.keys.glob("*"))
    yield from sorted(home.path.glob("*.db*"))
    yield from sorted((home.path / "realms").glob("*.db*"))


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
