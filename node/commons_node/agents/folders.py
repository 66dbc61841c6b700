"""An author's folder: begun anew, read within bounds, and packed.

``agent.toml`` and ``code/`` make the package; what else lies there stays there. Links are not
followed, and nothing outside the folder is read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.agents.manifest import API, KEY, MAX_BYTES
from commons_node.agents.package import CODE, MAX_FILES, MAX_UNPACKED, TOML
from commons_node.agents.refusals import BadPackage
from commons_node.agents.template import TEMPLATE_CODE, TEMPLATE_TOML


class FolderThere(CommonsError):
    """{folder} is there already and holds something."""

    code: ClassVar[str] = "bad_file"
    hint: ClassVar[str] = "choose another name"
    status = "usage"


class CannotRead(CommonsError):
    """{file} cannot be read: {why}."""

    code: ClassVar[str] = "bad_file"
    hint: ClassVar[str] = "the folder of an agent holds agent.toml and code/"


class NoPackage(CommonsError):
    """{file} cannot be read: {why}."""

    code: ClassVar[str] = "bad_file"
    hint: ClassVar[str] = "commons-node agent pack FOLDER writes one"
    status = "usage"


def begin(folder: Path, publisher: str) -> list[Path]:
    """A folder with an agent that works. Raises ``FolderThere``, ``CannotRead``, ``BadPackage``."""
    toml = TEMPLATE_TOML.format(name=folder.name, api=API, key=KEY, publisher=publisher)
    files = {folder / TOML: toml, folder / CODE / "agent.py": TEMPLATE_CODE}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FolderThere(folder=folder)
        for path, text in files.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRead(file=folder, why=error.strerror or error) from error
    return list(files)


def read_folder(folder: Path) -> tuple[bytes, dict[str, bytes]]:
    """``agent.toml`` and the files of ``code/``. Raises ``CannotRead``, ``BadPackage``."""
    toml = _bytes(folder / TOML, MAX_BYTES)
    code: dict[str, bytes] = {}
    room = MAX_UNPACKED
    for path in _files(folder / CODE):
        if len(code) >= MAX_FILES:
            raise BadPackage(why=_("it has more than {most} files").format(most=MAX_FILES))
        data = _bytes(path, room)
        room -= len(data)
        code[path.relative_to(folder / CODE).as_posix()] = data
    return toml, code


def _files(folder: Path) -> list[Path]:
    """What belongs to the code: no caches, nothing hidden."""
    found = []
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(
            name for name in folders if name != "__pycache__" and not name.startswith(".")
        )
        found += [Path(where) / name for name in sorted(names) if not name.startswith(".")]
    return found


def _raise(error: OSError) -> None:
    raise CannotRead(file=error.filename, why=error.strerror or error)


def _bytes(path: Path, most: int) -> bytes:
    if path.is_symlink():
        raise BadPackage(why=_("{file} is a link").format(file=path.name))
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise CannotRead(file=path, why=error.strerror or error) from error
    if len(data) > most:
        raise BadPackage(why=_("{file} is too large").format(file=path.name))
    return data


def named(toml: bytes, publisher: str) -> bytes:
    """``agent.toml`` with the publisher written into it, where it names none."""
    line = f'publisher = "{KEY}{publisher}"\n'.encode()
    rows = toml.splitlines(keepends=True)
    for n, row in enumerate(rows):
        if row.split(b"#")[0].strip() == b"[agent]":
            end = b"" if row.endswith(b"\n") else b"\n"
            return b"".join([*rows[: n + 1], end, line, *rows[n + 1 :]])
    return toml
