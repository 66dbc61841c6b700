"""The small files of a home as a backup holds them: each as it is now, databases of one moment.

What ends with a machine is not among them: tokens of its programs, who did what on it, what can be
made again. See docs/host/backup.md.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from commons_crdt.texts import N_, _
from commons_node.agents.store import FOLDER as AGENTS
from commons_node.home import Home
from commons_node.jobs.carrying import carried
from commons_node.said import Said, said
from commons_node.store.database import Damaged, is_damage
from commons_node.whole_file import CannotWrite

MOST: Final = 128 << 20
"""Bytes of one of them."""


def home_files(home: Home, now_ms: int, left_out: list[Said]) -> Iterator[tuple[str, bytes]]:
    """(path below the home, contents); what is damaged is left out, and said.

    Raises ``Damaged`` of the node's own databases, ``CannotWrite``.
    """
    names = ["config.toml", "node.key"]
    names += [f"keys/{one.name}" for one in sorted(home.keys.glob("*")) if _is_key(one)]
    for name in names:
        path = home.path / name
        if path.exists() and (data := path.read_bytes()):
            yield name, data
    for path in sorted((home.path / AGENTS).glob("*.agent")):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == path.stem:
            yield f"{AGENTS}/{path.name}", data
        else:
            left_out.append(
                said(N_("the package {file} of an agent is damaged"), file=path.name[:8])
            )
    with tempfile.TemporaryDirectory(prefix="backup-", dir=home.run) as temporary:
        copy = Path(temporary) / "node.db"
        own = home.path / "node.db"
        with _reading(own), closing(sqlite3.connect(own, timeout=10)) as file:
            file.execute("VACUUM INTO ?", (str(copy),))
        yield "node.db", _of(copy)
        if (jobs := home.path / "jobs.db").exists():
            copy = Path(temporary) / "jobs.db"
            with _reading(jobs):
                carried(jobs, copy, now_ms)
            yield "jobs.db", _of(copy)


def _of(copy: Path) -> bytes:
    if copy.stat().st_size > MOST:
        raise CannotWrite(file=copy.name, why=_("it is larger than a backup takes"))
    return copy.read_bytes()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            raise Damaged(why=error) from error
        raise CannotWrite(file=path.name, why=error) from error


def _is_key(path: Path) -> bool:
    return path.suffix in {".key", ".old"} and not path.name.startswith(".")
