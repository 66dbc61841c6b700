"""One label as a PDF page: a QR code drawn as squares, a title and a few lines beside it.

Written by hand (ISO 32000-1): two standard fonts and filled squares need no library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_POINTS: Final = 72 / 25.4
_MARGIN: Final = 2.0
"""Millimetres."""
_QUIET: Final = 2
"""Modules around a code: a scanner wants four on paper without an edge; labels are white."""


def label_pdf(title: str, lines: Sequence[str], code: str, size_mm: tuple[int, int]) -> bytes:
    """The file; ``size_mm`` is width and height. What the font lacks is a question mark."""
    width, height = (one * _POINTS for one in size_mm)
    margin = _MARGIN * _POINTS
    drawn: list[str] = []
    left = margin
    if code:
        side = min(height - 2 * margin, (width - 2 * margin) / 2)
        drawn += _squares(code, margin, height - margin - side, side)
        left += side + margin
    room = width - left - margin
    large = min(14.0, 1.7 * room / max(len(title), 1), height / 3)
    top = height - margin - large
    drawn.append(_text("F2", large, left, top, title))
    small = min(8.0, 0.6 * large + 2)
    for line in lines:
        top -= small * 1.25
        if top < margin:
            break
        fit = max(int(room / (small * 0.5)), 1)
        drawn.append(_text("F1", small, left, top, line[:fit]))
    return _file("\n".join(drawn).encode("cp1252", "replace"), width, height)


def _squares(code: str, x: float, y: float, side: float) -> list[str]:
    import segno

    matrix = segno.make(code, micro=False, error="m").matrix
    module = side / (len(matrix) + 2 * _QUIET)
    squares = []
    for row, modules in enumerate(matrix):
        below = y + side - (row + 1 + _QUIET) * module
        for column, dark in enumerate(modules):
            if dark:
                at = x + (column + _QUIET) * module
                squares.append(f"{at:.3f} {below:.3f} {module:.3f} {module:.3f} re")
    return [*squares, "f"]


def _text(font: str, size: float, x: float, y: float, words: str) -> str:
    shown = "".join(one if one.isprintable() else " " for one in words)
    for sign in ("\\", "(", ")"):
        shown = shown.replace(sign, f"\\{sign}")
    return f"BT /{font} {size:.2f} Tf {x:.2f} {y:.2f} Td ({shown}) Tj ET"


def _file(content: bytes, width: float, height: float) -> bytes:
    fonts = "/F1 4 0 R /F2 5 0 R"
    page = (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.2f} {height:.2f}]"
        f" /Resources << /Font << {fonts} >> >> /Contents 6 0 R >>"
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        page.encode(),
        _font("Helvetica"),
        _font("Helvetica-Bold"),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
    return bytes(out)


def _font(name: str) -> bytes:
    return (
        f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>".encode()
    )
