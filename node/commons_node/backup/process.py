"""``backup verify``, ``restore`` and ``rehearse``: processes of their own, which need no node."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_, _
from commons_node.api.paths import home_path, typed
from commons_node.api.types import HTTP_STATUS
from commons_node.logs import set_up
from commons_node.moments import moment
from commons_node.telling import tell_error, tell_failure

_FAILED: Mapping[str, str] = {
    "verify": N_("the backup was not verified"),
    "restore": N_("nothing was restored"),
    "rehearse": N_("the backup could not be restored"),
}
_SAYS: Mapping[str, str] = {
    "verify": N_(
        "The backup of {created} is whole: {operations} operations, every one checked and judged"
        " again, give the state that it names.\n{states}"
    ),
    "restore": N_(
        "The home {home} is made of the backup of {created}: {operations} operations, checked and"
        " judged again.\nIt is a new node, {node}. Start it: {start}\nEach member then"
        " unlocks once: that makes a new device and retires the old one."
    ),
    "rehearse": N_(
        "The backup of {created} can be restored: a home made of it shows the state that it names,"
        " of {operations} operations. Nothing of it was kept.\n{states}"
    ),
}
_MOST = 4096
_OTHERS = 0o077


class NoPassphrase(CommonsError):
    """The passphrase of the backups cannot be read: {why}."""

    code: ClassVar[str] = "usage"
    hint: ClassVar[str] = "give it with --passphrase-file F, or run this on a terminal"
    status = "usage"


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``python -m commons_node backup``."""
    parser.add_argument("what", choices=tuple(_SAYS))
    parser.add_argument("place", type=Path)
    parser.add_argument("--home")
    parser.add_argument("--passphrase-file")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--json", action="store_true")


def run(given: argparse.Namespace) -> int:
    """Do it and say what came out; the exit code as CONTRACT.md has it."""
    set_up("error", "json" if given.json else "auto")
    try:
        found = asyncio.run(_run(given))
    except CommonsError as error:
        return tell_error(_(_FAILED[given.what]), error, as_json=given.json)
    except OSError as error:
        hint = _("check the folder, and that the disk has room")
        what, status = _(_FAILED[given.what]), HTTP_STATUS["failed"]
        return tell_failure(what, "failed", str(error), hint, status, as_json=given.json)
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        states = found.get("states")
        start = typed("run", Path(str(found["home"])), os.environ) if "home" in found else ""
        lines = (
            [_("state {state}").format(state=state) for state in states.values()]
            if isinstance(states, dict)
            else []
        )
        sys.stdout.write(
            _(_SAYS[given.what]).format(**found | {"states": "\n".join(lines), "start": start})
            + "\n"
        )
    return 0


async def _run(given: argparse.Namespace) -> dict[str, object]:
    passphrase = _passphrase(given.passphrase_file)  # who types ahead of the rest would show it
    # The daemon's own process starts without these.
    from commons_node.backup.folder import chosen  # noqa: PLC0415
    from commons_node.backup.reading import verify  # noqa: PLC0415
    from commons_node.backup.rehearsing import rehearse  # noqa: PLC0415
    from commons_node.backup.restoring import restore  # noqa: PLC0415
    from commons_node.verifier.pool import VerifierPool  # noqa: PLC0415

    folder, path, manifest = await asyncio.to_thread(chosen, given.place.absolute(), passphrase)
    common = {"v": 1, "ok": True, "file": path.name, "created": moment(manifest.created_ms)}
    pool = VerifierPool(os.cpu_count() or 1)
    try:
        if given.what == "verify":
            verified = await verify(folder, manifest, pool)
            return {
                **common,
                "operations": verified.operations,
                "bytes": verified.bytes,
                **_one(verified.state_hash),
            }
        if given.what == "rehearse":
            made = await rehearse(folder, path, manifest, pool, time.time_ns() // 1_000_000)
            extra: dict[str, object] = {"kept": False}
        else:
            home = home_path(given.home, os.environ)
            made = await restore(folder, path, manifest, home, pool, alone=given.alone)
            extra = {
                "home": str(home),
                "node": made.node,
                "old_node": made.old_node,
                "member": made.members[0] if len(made.members) == 1 else None,
                "members": list(made.members),
                "device": None,
                "retired": [],
            }
    finally:
        await pool.stop()
    return {
        **common,
        "operations": made.operations,
        "parts": made.parts,
        "left_out": made.left_out,
        **_one(made.states),
        **extra,
    }


def _one(states: Mapping[str, str]) -> dict[str, object]:
    only = next(iter(states.values())) if len(states) == 1 else None
    return {"state_hash": only, "states": dict(states)}


def _passphrase(file: str | None) -> str:
    try:
        if file is None:
            if not sys.stdin.isatty():
                raise NoPassphrase(why=_("nobody can be asked here"))
            return getpass.getpass(_("Passphrase of the backups: "))
        if file == "-":
            data = sys.stdin.buffer.read(_MOST)
        else:
            path = Path(file)
            if path.is_file() and path.stat().st_mode & _OTHERS:
                raise NoPassphrase(why=_("others may read the file; chmod 600 {file}")
                                   .format(file=file))  # fmt: skip
            data = path.read_bytes()[:_MOST]
        found = data.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NoPassphrase(why=error) from None
    if not found:
        raise NoPassphrase(why=_("the file is empty"))
    return found
