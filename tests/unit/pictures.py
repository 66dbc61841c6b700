"""Pictures that tests make: JPEG, PNG and WebP in form, with what people do not mean to show."""

from __future__ import annotations

import random
import zlib

PLACE = b"GPS 59.3293 N 18.0686 E"
CAMERA = b"alice's phone, serial 1622"


def exif(orientation: int = 6) -> bytes:
    """An Exif block: which side is up, where it was taken, with what."""
    entry = b"\x01\x12\0\x03\0\0\0\x01" + orientation.to_bytes(2) + b"\0\0"
    tiff = b"MM\0*\0\0\0\x08\0\x01" + entry + b"\0\0\0\0" + PLACE + CAMERA
    return b"Exif\0\0" + tiff


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2) + payload


def jpeg(size: int = 3000, *, seed: int = 1, orientation: int = 6) -> bytes:
    """A JPEG in form, with about ``size`` bytes of coded data, which nobody decodes here."""
    coded = random.Random(seed).randbytes(size).replace(b"\xff", b"\xff\x00")
    return b"".join([
        b"\xff\xd8",
        _segment(0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\x02\x01" + b"thumbnail"),
        _segment(0xE1, exif(orientation)),
        _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PLACE),
        _segment(0xED, b"Photoshop 3.0\0" + CAMERA),
        _segment(0xFE, b"a comment: " + CAMERA),
        _segment(0xDB, bytes(65)),
        _segment(0xC0, b"\x08\0\x10\0\x10\x01\x01\x11\0"),
        _segment(0xC4, bytes(17)),
        _segment(0xDA, b"\x01\x01\0\0\x3f\0"),
        coded + b"\xff\xd0" + coded[:10],
        b"\xff\xd9",
        b"a film behind the picture: " + PLACE,
    ])  # fmt: skip


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return len(payload).to_bytes(4) + kind + payload + zlib.crc32(kind + payload).to_bytes(4)


def png(size: int = 300, *, seed: int = 1) -> bytes:
    """A PNG in form, with texts and Exif."""
    noise = random.Random(seed).randbytes(size)
    return b"".join([
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", b"\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0"),
        _chunk(b"tEXt", b"Author\0" + CAMERA),
        _chunk(b"eXIf", exif()[6:]),
        _chunk(b"tIME", bytes(7)),
        _chunk(b"IDAT", zlib.compress(noise)),
        _chunk(b"IEND", b""),
        PLACE,
    ])  # fmt: skip


def webp(size: int = 300, *, seed: int = 1) -> bytes:
    """An extended WebP in form, with Exif and XMP."""
    noise = random.Random(seed).randbytes(size)

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return kind + len(payload).to_bytes(4, "little") + payload + bytes(len(payload) % 2)

    body = b"".join([
        b"WEBP",
        chunk(b"VP8X", b"\x1c\0\0\0\x0f\0\0\x0f\0\0"),
        chunk(b"VP8 ", noise),
        chunk(b"EXIF", exif()[6:]),
        chunk(b"XMP ", PLACE),
    ])  # fmt: skip
    return b"RIFF" + len(body).to_bytes(4, "little") + body + PLACE
