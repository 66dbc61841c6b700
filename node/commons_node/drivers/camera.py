"""What a camera has seen: the codes in a picture that stands in a folder of the host.

Whatever takes the picture (a webcam's program, a phone that syncs) writes it there. The decoder is
an extra (``commons-node[devices]``); it reads QR codes and the bar codes of things.
"""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from commons_crdt.texts import N_, _
from commons_node.drivers.driver import Around, Kind, Silent, Undelivered

_BYTES: Final = 20 << 20
_PIXELS: Final = 40_000_000
_CODES: Final = 32


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``folder``: where pictures (PNG, JPEG) are; agents name one, or get the newest."""

    folder: Annotated[str, Meta(pattern=r"^/[^\x00-\x1f]{1,4000}\Z")]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``name``: of a picture in the folder; without one the newest."""

    name: Annotated[str, Meta(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_. -]{0,79})?\Z")] = ""


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One code of a picture."""

    format: str
    text: str


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``name``: of the picture. ``codes``: all that are in it, 32 at most."""

    name: str
    codes: list[Code]


def _lacking(settings: Settings) -> tuple[str, str] | None:
    if importlib.util.find_spec("zxingcpp") is None or importlib.util.find_spec("PIL") is None:
        return _("zxing-cpp and pillow are not installed"), 'pip install "commons-node[devices]"'
    if not Path(settings.folder).is_dir():
        why = _("there is no folder {folder}").format(folder=settings.folder)
        return why, _("make it, readable by this user")
    return None


class Camera(Silent):
    """Looks at one picture at a time."""

    def __init__(self, settings: Settings) -> None:
        """Touches nothing."""
        self._folder = Path(settings.folder)
        self._one = asyncio.Lock()

    async def read(self, ask: Ask) -> object:
        """``{name, codes: [{format, text}]}``. Raises ``Undelivered``."""
        async with self._one:
            return await asyncio.to_thread(self._look, ask.name)

    def _look(self, name: str) -> object:
        endings = {".png", ".jpg", ".jpeg"}
        there = [
            one
            for one in (self._folder.iterdir() if self._folder.is_dir() else ())
            if one.suffix.lower() in endings and one.is_file() and not one.is_symlink()
        ]
        fit = [one for one in there if name in {"", one.name}]
        if not fit:
            raise Undelivered(why="there is no such picture" if name else "there is no picture")
        path = max(fit, key=lambda one: (one.stat().st_mtime_ns, one.name))
        if path.stat().st_size > _BYTES:
            raise Undelivered(why=f"{path.name} is larger than {_BYTES} bytes")
        return {"name": path.name, "codes": codes_in(path)}


def codes_in(path: Path) -> list[dict[str, str]]:
    """Every code in a picture. Raises ``Undelivered`` for what is no picture."""
    import zxingcpp  # noqa: PLC0415 - an extra
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - likewise

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            if picture.width * picture.height > _PIXELS:
                raise Undelivered(why=f"{path.name} has more than {_PIXELS} pixels")
            found: Any = zxingcpp.read_barcodes(picture.convert("L"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise Undelivered(why=f"{path.name}: {error}") from None
    return [{"format": one.format.name, "text": one.text[:4_096]} for one in found[:_CODES]]


def _make(settings: Settings, _around: Around) -> Camera:
    return Camera(settings)


KIND: Final = Kind(
    "camera", N_("reads QR and bar codes in pictures of a folder"), Settings, _make, question=Ask,
    answer=Answer, lacking=_lacking,
    seen={"name": "fake.png", "codes": [{"format": "QRCode", "text": "DR-1"}]},
)  # fmt: skip
