"""A folder of the host into which agents put files, within a quota."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from commons_crdt.texts import N_, _
from commons_node.drivers.driver import Around, Kind, Silent, Undelivered

_MIB: Final = 1 << 20


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``folder``: an absolute path; ``quota_mib``: what all files of it may take."""

    folder: Annotated[str, Meta(pattern=r"^/[^\x00-\x1f]{1,4000}\Z")]
    quota_mib: Annotated[int, Meta(ge=1, le=1_048_576)] = 16


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``name``: of the file, without folders. ``text``, or ``base64`` of what is no text."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. -]{0,79}\Z")]
    text: str = ""
    base64: str = ""


def _lacking(settings: Settings) -> tuple[str, str] | None:
    if not Path(settings.folder).is_dir():
        why = _("there is no folder {folder}").format(folder=settings.folder)
        return why, _("make it, writable by this user")
    return None


class FileDrop(Silent):
    """Writes whole files; the same letter writes the same file again, and no other one."""

    def __init__(self, settings: Settings) -> None:
        """Touches nothing."""
        self._folder = Path(settings.folder)
        self._quota = settings.quota_mib * _MIB
        self._one = asyncio.Lock()

    async def send(self, key: str, message: File) -> None:
        """One file. Raises ``Undelivered``."""
        try:
            data = base64.b64decode(message.base64, validate=True) or message.text.encode()
        except (binascii.Error, ValueError):
            raise Undelivered(why="it is no base64") from None
        async with self._one:
            await asyncio.to_thread(self._write, name_of(key, message.name), data)

    def _write(self, name: str, data: bytes) -> None:
        if not self._folder.is_dir():
            raise Undelivered(why="the folder is gone")
        files = [one for one in self._folder.iterdir() if one.is_file() and not one.is_symlink()]
        held = sum(one.stat().st_size for one in files if one.name != name)
        if held + len(data) > self._quota:
            raise Undelivered(why=f"the folder holds {held} bytes, of {self._quota} at most")
        whole_file(self._folder / name, data)


def whole_file(path: Path, data: bytes) -> None:
    """All of it or none; a symbolic link of this name is replaced, never followed."""
    beside = path.with_name(f".{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(beside, flags, 0o644), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def name_of(key: str, name: str) -> str:
    """With some digits of the key before the ending, so that no letter overwrites another's."""
    told = hashlib.blake2b(key.encode(), digest_size=5).hexdigest()
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{told}.{ending}" if dot and stem else f"{name}-{told}"


def _make(settings: Settings, _around: Around) -> FileDrop:
    return FileDrop(settings)


KIND: Final = Kind(
    "file-drop", N_("puts files into a folder, within a quota"), Settings, _make, File,
    lacking=_lacking,
)  # fmt: skip
