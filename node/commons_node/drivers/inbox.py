"""A folder of the host from which agents read: tables and notes that somebody put there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from commons_crdt.texts import N_, _
from commons_node.drivers.driver import Around, Kind, Silent, Undelivered

_KIB: Final = 1 << 10
_LISTED: Final = 200


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``folder``: an absolute path, for this alone; ``most_kib``: of one file, which is UTF-8."""

    folder: Annotated[str, Meta(pattern=r"^/[^\x00-\x1f]{1,4000}\Z")]
    most_kib: Annotated[int, Meta(ge=1, le=512)] = 512


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``name``: of a file, without folders; without one the answer is a list of them."""

    name: Annotated[str, Meta(pattern=r"^([^./\\\x00-\x1f][^/\\\x00-\x1f]{0,99})?\Z")] = ""


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file."""

    name: str
    bytes: int


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``files``, the newest first, where no name was said; otherwise ``name`` and ``text``."""

    files: list[Listed] | UnsetType = UNSET
    name: str | UnsetType = UNSET
    text: str | UnsetType = UNSET


def _lacking(settings: Settings) -> tuple[str, str] | None:
    if not Path(settings.folder).is_dir():
        why = _("there is no folder {folder}").format(folder=settings.folder)
        return why, _("make it, readable by this user")
    return None


class Inbox(Silent):
    """Reads one file at a time, and follows no link out of its folder."""

    def __init__(self, settings: Settings) -> None:
        """Touches nothing."""
        self._folder = Path(settings.folder)
        self._most = settings.most_kib * _KIB
        self._one = asyncio.Lock()

    async def read(self, ask: Ask) -> object:
        """``{files: [{name, bytes}]}``, the newest first, or ``{name, text}``; ``Undelivered``."""
        async with self._one:
            return await asyncio.to_thread(self._text if ask.name else self._list, ask.name)

    def _list(self, _name: str) -> object:
        there = [
            (one.name, one.stat())
            for one in (self._folder.iterdir() if self._folder.is_dir() else ())
            if one.is_file() and not one.is_symlink() and not one.name.startswith(".")
        ]
        there.sort(key=lambda one: (-one[1].st_mtime_ns, one[0]))
        files = [{"name": name, "bytes": found.st_size} for name, found in there[:_LISTED]]
        return {"files": files}

    def _text(self, name: str) -> object:
        path = self._folder / name
        # a pipe or a device would keep whoever opens it
        if path.is_symlink() or not path.is_file():
            raise Undelivered(why=f"there is no file {name}")
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor
                data = file.read(self._most + 1)
        except OSError as error:
            raise Undelivered(why=f"{name}: {error.strerror}") from None
        if len(data) > self._most:
            raise Undelivered(why=f"{name} is larger than {self._most} bytes")
        try:
            return {"name": name, "text": data.decode()}
        except UnicodeDecodeError:
            raise Undelivered(why=f"{name} is no text in UTF-8") from None


def _make(settings: Settings, _around: Around) -> Inbox:
    return Inbox(settings)


KIND: Final = Kind(
    "inbox", N_("reads files that somebody put into a folder"), Settings, _make, question=Ask,
    answer=Answer, lacking=_lacking, seen={"files": []},
)  # fmt: skip
