"""What of a photo is signed: its picture and nothing else.

A photo from a phone says where and when it was taken, with which machine, and often holds a small
copy of what was cut away. All of that is taken out before anybody signs it: what is not needed to
decode the picture goes, known or not. Of EXIF only the orientation stays, or photos would lie on
their side. Nothing is decoded or encoded again, so nothing is lost and no image library is needed.

Sources: ITU-T T.81 annex B (JPEG), JFIF 1.02, Exif 2.3 §4.5 and §4.6, RFC 9649 (WebP), W3C PNG 3rd
edition §5.
"""

from __future__ import annotations

import zlib
from typing import ClassVar, Final, Literal, NamedTuple

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _

Media = Literal["jpeg", "png", "webp"]
MEDIA_TYPES: Final[dict[str, str]] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}
MAX_PHOTO: Final = 5 * 1024 * 1024
"""Bytes of a photo as it is signed."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB"}
)
_WEBP_KEPT: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH"})
_WEBP_FLAGS: Final = 0b0001_0000
"""Of the flags of VP8X: alpha. ICC, Exif, XMP and animation are taken out."""
_ADOBE: Final = b"Adobe"
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""JPEG markers without a length: TEM and RST."""
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_TABLES: Final = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF})
_ORIENTATION: Final = 0x0112
_MOST_ENTRIES: Final = 512


class BadPhoto(CommonsError):
    """{file} cannot be taken as a photo: {why}."""

    code: ClassVar[str] = "bad_photo"
    hint: ClassVar[str] = (
        "give a JPEG, PNG or WebP of at most 5 MiB; make a large one smaller first"
    )
    status = "usage"


class Photo(NamedTuple):
    """A photo as it is signed."""

    media: Media
    data: bytes


def strip(name: str, data: bytes) -> Photo:
    """The picture in a file without all that says more than the picture. Raises ``BadPhoto``."""
    try:
        photo = _strip(data)
    except _Damaged as error:
        raise BadPhoto(file=name, why=error) from None
    if len(photo.data) > MAX_PHOTO:
        size = _("{count:.1f} MiB").format(count=len(photo.data) / (1 << 20))
        raise BadPhoto(
            file=name, why=_("it is too large, {size} of picture alone").format(size=size)
        )
    return photo


class _Damaged(ValueError):
    """Says what is wrong."""


def _strip(data: bytes) -> Photo:
    if data.startswith(b"\xff\xd8\xff"):
        return Photo("jpeg", _jpeg(data))
    if data.startswith(_PNG):
        return Photo("png", _png(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Photo("webp", _webp(data))
    raise _Damaged(_("it is no JPEG, PNG or WebP"))


# --- JPEG ---


def _jpeg(data: bytes) -> bytes:
    out = [b"\xff\xd8"]
    at, orientation, seen_frame, seen_scan = 2, 0, False, False
    while True:
        marker, at = _marker(data, at)
        if marker == 0xD9:
            break
        if marker in _ALONE:
            continue
        segment, at = _segment(data, at)
        whole = bytes([0xFF, marker]) + (len(segment) + 2).to_bytes(2) + segment
        if marker == 0xDA:
            seen_scan = True
            end = _end_of_scan(data, at)
            out += [whole, data[at:end]]
            at = end
        elif marker in _FRAMES or marker in _TABLES:
            seen_frame = seen_frame or marker in _FRAMES
            out.append(whole)
        elif marker == 0xE0 and segment[:5] == b"JFIF\0" and len(segment) >= 14:
            # without its thumbnail: that may show what was cut away
            out.append(b"\xff\xe0\x00\x10" + segment[:12] + b"\0\0")
        elif marker == 0xEE and segment[:5] == _ADOBE and len(segment) == 12:
            out.append(whole)  # how its colours are to be read
        elif marker == 0xE1 and segment[:6] == b"Exif\0\0":
            orientation = orientation or _orientation(segment[6:])
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            raise _Damaged(_("it has a part that no JPEG has"))
    if not (seen_frame and seen_scan):
        raise _Damaged(_("there is no picture in it"))
    if orientation > 1:
        out.insert(1, _exif_of(orientation))
    return b"".join([*out, b"\xff\xd9"])  # what follows the end is dropped: films, second pictures


def _marker(data: bytes, at: int) -> tuple[int, int]:
    if at + 2 > len(data) or data[at] != 0xFF:
        raise _Damaged(_("it is cut off or damaged"))
    while at < len(data) and data[at] == 0xFF:
        at += 1
    if at >= len(data) or data[at] == 0:
        raise _Damaged(_("it is cut off or damaged"))
    return data[at], at + 1


def _segment(data: bytes, at: int) -> tuple[bytes, int]:
    length = int.from_bytes(data[at : at + 2])
    if length < 2 or at + length > len(data):
        raise _Damaged(_("it is cut off or damaged"))
    return data[at + 2 : at + length], at + length


def _end_of_scan(data: bytes, at: int) -> int:
    """Where the next marker behind coded data begins that is no part of it."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise _Damaged(_("it is cut off"))
        following = data[at + 1]
        if following == 0xFF:
            at += 1
        elif following == 0 or following in _ALONE:
            at += 2
        else:
            return at


def _orientation(tiff: bytes) -> int:
    """The orientation in the first directory of an Exif block, 1 to 8; 0 where it says none."""
    order: Literal["little", "big"]
    match tiff[:4]:
        case b"II*\0":
            order = "little"
        case b"MM\0*":
            order = "big"
        case _:
            return 0
    at = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[at : at + 2], order)
    for n in range(min(count, _MOST_ENTRIES)):
        entry = tiff[at + 2 + 12 * n : at + 14 + 12 * n]
        if len(entry) == 12 and int.from_bytes(entry[:2], order) == _ORIENTATION:
            value = int.from_bytes(entry[8:10], order)
            return value if 1 <= value <= 8 else 0
    return 0


def _exif_of(orientation: int) -> bytes:
    """A segment that says which side is up, and nothing else."""
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01"
    body = b"Exif\0\0" + tiff + orientation.to_bytes(2) + b"\0\0" + b"\0\0\0\0"
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body


# --- PNG ---


def _png(data: bytes) -> bytes:
    out, at, kinds = [_PNG], len(_PNG), set[bytes]()
    while b"IEND" not in kinds:
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 12 + length
        if len(kind) < 4 or end > len(data):
            raise _Damaged(_("it is cut off"))
        if int.from_bytes(data[end - 4 : end]) != zlib.crc32(data[at + 4 : end - 4]):
            raise _Damaged(_("a part of it is damaged"))
        if not kinds and kind != b"IHDR":
            raise _Damaged(_("it does not begin as a PNG does"))
        if kind in _PNG_KEPT:
            out.append(data[at:end])
        elif not kind[0] & 0x20:
            raise _Damaged(_("it has a part that no PNG has"))
        kinds.add(kind)
        at = end
    if b"IDAT" not in kinds:
        raise _Damaged(_("there is no picture in it"))
    return b"".join(out)


# --- WebP ---


def _webp(data: bytes) -> bytes:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _Damaged(_("it is cut off"))
    out, at, kinds = list[bytes](), 12, set[bytes]()
    while at < end:
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        following = at + 8 + length + length % 2
        if at + 8 > end or at + 8 + length > end:
            raise _Damaged(_("it is cut off or damaged"))
        payload = data[at + 8 : at + 8 + length]
        if kind in {b"ANIM", b"ANMF"}:
            raise _Damaged(_("it moves; give a still picture"))
        if kind in _WEBP_KEPT and kind not in kinds:
            if kind == b"VP8X":
                if length != 10:
                    raise _Damaged(_("it is cut off or damaged"))
                payload = bytes([payload[0] & _WEBP_FLAGS, 0, 0, 0]) + payload[4:]
            out.append(kind + length.to_bytes(4, "little") + payload + bytes(length % 2))
            kinds.add(kind)
        at = following
    if not kinds & {b"VP8 ", b"VP8L"}:
        raise _Damaged(_("there is no picture in it"))
    body = b"WEBP" + b"".join(out)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
