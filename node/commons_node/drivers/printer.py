"""Labels on paper: by CUPS, or as PDF files in a folder that somebody prints from."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from commons_crdt.texts import N_, _
from commons_node.drivers.desktop import run
from commons_node.drivers.driver import Around, Kind, Silent, Undelivered
from commons_node.drivers.file_drop import name_of, whole_file
from commons_node.printing.label_pdf import label_pdf


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the two: ``queue``, a printer of CUPS (`lpstat -p` lists them), or ``folder``.

    ``width_mm`` and ``height_mm``: of a label.
    """

    queue: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,127}\Z")] = ""
    folder: Annotated[str, Meta(pattern=r"^(/[^\x00-\x1f]{1,4000})?\Z")] = ""
    width_mm: Annotated[int, Meta(ge=20, le=300)] = 62
    height_mm: Annotated[int, Meta(ge=15, le=300)] = 29

    def __post_init__(self) -> None:
        """Say where to."""
        if bool(self.queue) == bool(self.folder):
            raise ValueError("either queue or folder")


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``code``: what its QR code says, if it has one. ``lines``: below the title, smaller."""

    title: Annotated[str, Meta(min_length=1, max_length=60)]
    code: Annotated[str, Meta(max_length=200)] = ""
    lines: Annotated[tuple[Annotated[str, Meta(max_length=80)], ...], Meta(max_length=6)] = ()


def _lacking(settings: Settings) -> tuple[str, str] | None:
    if settings.queue and shutil.which("lp") is None:
        return _("there is no program lp"), _("install CUPS (cups-client), or set folder")
    if settings.folder and not Path(settings.folder).is_dir():
        why = _("there is no folder {folder}").format(folder=settings.folder)
        return why, _("make it, writable by this user")
    return None


class Printer(Silent):
    """One label, one page. A folder gets it once; CUPS may print what comes twice."""

    def __init__(self, settings: Settings) -> None:
        """Touches nothing."""
        self._settings = settings

    async def send(self, key: str, message: Label) -> None:
        """One label. Raises ``Undelivered``."""
        one = self._settings
        size = (one.width_mm, one.height_mm)
        page = label_pdf(message.title, message.lines, message.code, size)
        name = re.sub(r"[^A-Za-z0-9]+", "-", message.title).strip("-")[:40] or "label"
        if one.folder:
            path = Path(one.folder) / name_of(key, f"{name}.pdf")
            try:
                await asyncio.to_thread(whole_file, path, page)
            except OSError as error:
                raise Undelivered(why=error) from None
            return
        program = shutil.which("lp")
        if program is None:
            raise Undelivered(why="there is no program lp")
        await run(program, "-d", one.queue, "-t", name_of(key, name), "-", data=page)


def _make(settings: Settings, _around: Around) -> Printer:
    return Printer(settings)


KIND: Final = Kind(
    "printer", N_("prints labels, by CUPS or as PDF files"), Settings, _make, Label,
    lacking=_lacking,
)  # fmt: skip
