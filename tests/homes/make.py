"""Whole homes that earlier programs wrote, at least one for each schema number of each file.

``NAME.tar.xz`` is a home as the program of a commit left it, with its members' keys; ``NAME.json``
says of which commit, and what is in it. Those of before were written by the commits themselves (see
README.md); ``make homes`` writes one with the program of today where a schema number has none yet.
Committed once, a home is never made again: the point is that today's program opens what stands
there.
"""

from __future__ import annotations

import io
import json
import lzma
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.store.node_store import NODE_SCHEMA
from commons_node.store.realm_schema import REALM_SCHEMA

SCHEMAS: Mapping[str, Sequence[str]] = {
    "realm": REALM_SCHEMA, "node": NODE_SCHEMA, "jobs": JOBS_SCHEMA,
}  # fmt: skip
HERE = Path(__file__).parent
_ROOT = HERE.parents[1]


def names() -> list[str]:
    """Of every home that is kept, the oldest program's first."""
    return sorted(
        (one.stem for one in HERE.glob("*.json")), key=lambda name: known(name)["written"]
    )


def known(name: str) -> dict[str, Any]:
    """What is in a home: see ``lived_in``."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


def schemas(name: str) -> dict[str, int]:
    """The schema number of each kind of file in a home."""
    return {one.removesuffix(".db"): number for one, number in known(name)["schemas"].items()}


def wanted() -> list[tuple[str, int]]:
    """Every schema number that today's program says it can open."""
    return [
        (kind, number)
        for kind, schema in SCHEMAS.items()
        for number in range(1, len(schema) + 1)
        if schema[number - 1]
    ]


def having(kind: str, number: int) -> str | None:
    """The first home whose ``realm``, ``node`` or ``jobs`` file has this schema number."""
    return next((name for name in names() if schemas(name).get(kind) == number), None)


def lacking() -> list[tuple[str, int]]:
    """Those of which no home is kept."""
    return [one for one in wanted() if having(*one) is None]


def of(kind: str, number: int) -> tuple[str, dict[str, Any]]:
    """The home for a schema number, and what is in it."""
    name = having(kind, number)
    assert name is not None, f"{kind} {number}: run make homes, and commit what it writes"
    return name, known(name)


def unpack(name: str, home: Path) -> dict[str, Any]:
    """A whole home, at ``home``; what is in it."""
    home.mkdir(mode=0o700, exist_ok=True)
    with _opened(name) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        tar.extractall(home)  # noqa: S202 - ours
    for one in (home, *(one for one in home.rglob("*") if one.is_dir())):
        one.chmod(0o700)
    return known(name)


def unpacked(kind: str, number: int, path: Path) -> Path:
    """One file of a home, at ``path``."""
    name, found = of(kind, number)
    member = f"realms/{found['realm']}.db" if kind == "realm" else f"{kind}.db"
    with _opened(name) as tar:
        data = tar.extractfile(member)
        assert data is not None
        path.write_bytes(data.read())
    return path


def _opened(name: str) -> tarfile.TarFile:
    data = lzma.decompress((HERE / f"{name}.tar.xz").read_bytes())
    return tarfile.open(fileobj=io.BytesIO(data))


def main() -> None:
    """Write a home with the program of today, if one lacks."""
    if not lacking():
        return
    name = "-".join(f"{kind}-{len(schema)}" for kind, schema in SCHEMAS.items())
    words = [sys.executable, str(HERE / "lived_in.py"), name, str(HERE)]
    subprocess.run(words, cwd=_ROOT, check=True)
    sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
