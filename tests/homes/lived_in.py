"""Lives in a home with the program of the commit in whose checkout this is run, and keeps it.

``cd CHECKOUT && .venv/bin/python …/tests/homes/lived_in.py NAME OUT``: a home that the program of
that commit wrote, whole and stopped, as ``OUT/NAME.tar.xz``; what is in it as ``OUT/NAME.json``.
How such a checkout is made, says `tests/homes/README.md`. It needs nothing of this tree but itself:
verbs that the program did not have yet are left out.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import lzma
import random
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))

from tests.e2e import neighbourhood as there

from commons_node.api.client import ApiError

LEFT = {"log", "api.sock", "run", "sandbox", "passphrase", "config.toml"}
"""Of the daemon that ran, or of the test."""
SAFE = "two rivers meet in the old town"


def photo() -> bytes:
    """A picture, as far as the program looks at it."""
    noise = random.Random(7).randbytes(9_000).replace(b"\xff", b"\xfe")
    table = b"\xff\xdb\x00\x43\x00" + bytes(64)
    frame = b"\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    return b"\xff\xd8" + table + frame + scan + noise + b"\xff\xd9"


def tries(house: Any, verb: str, **arguments: Any) -> dict[str, Any] | None:
    """What a verb answers; None where that program has none of this name, or not so."""
    try:
        found: dict[str, Any] = house.do(verb, **arguments)
    except ApiError as error:
        sys.stderr.write(f"{verb}: {error}\n")
        return None
    return found


def lived(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Anna's home, and what it held when she stopped it."""
    with there.street() as elm_street:
        alice, bob = elm_street.community("alice", "bob")
        alice.do("resource.add", name="Drill", number="1")
        lamp = alice.do("resource.add", name="Lamp", number="2")["resource"]
        file = {"name": "d.jpg", "data": base64.b64encode(photo()).decode()}
        shown = tries(alice, "resource.photo.add", resource="1", file=file)
        there.agree(alice, bob)
        bob.do("loan.request", resource="1", days=3)
        alice.do("resource.erase", resource=lamp)
        tries(alice, "job.pause", job="tidy")
        tries(alice, "job.run", job="figures", wait=60)
        there.agree(alice, bob)
        safe = folder / "safe"
        backup = tries(alice, "backup.create", folder=str(safe), passphrase=SAFE)
        of_set, of_state = alice.hashes()
        verdicts = alice.verdicts()
        alice.stop()
        (realm,) = (alice.home / "realms").glob("*.db")
        kept = folder / "home"
        for one in sorted(alice.home.rglob("*")):
            below = one.relative_to(alice.home)
            if one.is_file() and below.parts[0] not in LEFT:
                (kept / below).parent.mkdir(parents=True, exist_ok=True)
                (kept / below).write_bytes(one.read_bytes())
        if safe.exists():
            safe.rename(kept / "safe")
        return kept, {
            "commit": _git("rev-parse", "HEAD"),
            "written": _git("log", "-1", "--format=%cI"),
            "schemas": {
                one.name if one.parent == kept else "realm": _schema(one)
                for one in sorted(kept.rglob("*.db"))
            },
            "realm": realm.stem, "set": of_set, "state": of_state, "member": alice.member,
            "peer": bob.node, "verdicts": verdicts, "photo": shown is not None,
            "backup": None if backup is None else _version(),
        }  # fmt: skip


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def _schema(file: Path) -> int:
    with closing(sqlite3.connect(file)) as opened:
        ((found,),) = opened.execute("PRAGMA user_version").fetchall()
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return int(found)


def _version() -> int:
    """The version of its lists of contents."""
    source = Path("node/commons_node/backup/manifest.py").read_text()
    for one in ast.parse(source).body:
        if isinstance(one, ast.AnnAssign) and getattr(one.target, "id", "") == "VERSION":
            return int(ast.literal_eval(one.value))  # type: ignore[arg-type]  # it has one
    raise AssertionError("a manifest has a version")


def main(name: str, out: Path) -> None:
    """Live there, and keep it."""
    with tempfile.TemporaryDirectory(prefix="old-") as temporary:
        home, known = lived(Path(temporary))
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w") as tar:
            for one in sorted(home.rglob("*")):
                if one.is_file() and one.suffix not in {".db-wal", ".db-shm"}:
                    tar.add(one, str(one.relative_to(home)), filter=_plain)
    (out / f"{name}.tar.xz").write_bytes(lzma.compress(held.getvalue(), preset=9))
    (out / f"{name}.json").write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nobody's file, of no time."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).absolute())
