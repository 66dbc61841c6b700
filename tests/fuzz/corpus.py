"""The committed inputs to begin with: `python -m tests.fuzz.corpus` writes those of the targets.

One folder for each target, one file for each input, as libFuzzer takes them. Files that begin with
`found-` were findings: they stay for ever and are never written here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target

FOLDER = Path(__file__).parent / "corpus"
FOUND = "found-"


def slug(name: str) -> str:
    """A seed's name as a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def seeds(target: Target) -> dict[str, bytes]:
    """The files that the target's folder holds, besides findings."""
    named = {slug(name): data for name, data in target.seeds().items()}
    if len(named) < len(target.seeds()):
        raise ValueError(f"two seeds of {target.name} have the same name")
    return named


def committed(target: Target) -> dict[str, bytes]:
    """The files that are there."""
    folder = FOLDER / target.name
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


def findings() -> Iterator[tuple[Target, str, bytes]]:
    """(target, file, bytes) of everything that was ever found."""
    for target in TARGETS.values():
        for name, data in committed(target).items():
            if name.startswith(FOUND):
                yield target, name, data


def main() -> None:
    """Write what is not there, remove what is no seed any more."""
    for target in TARGETS.values():
        folder = FOLDER / target.name
        folder.mkdir(parents=True, exist_ok=True)
        wanted = seeds(target)
        for name in committed(target).keys() - wanted.keys():
            if not name.startswith(FOUND):
                (folder / name).unlink()
        for name, data in wanted.items():
            (folder / name).write_bytes(data)
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    sys.stdout.write(f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes\n")


if __name__ == "__main__":
    main()
