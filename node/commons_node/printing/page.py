"""One HTML file that prints well and asks the network for nothing."""

from __future__ import annotations

import io
from collections.abc import Iterable
from html import escape
from typing import Final

from commons_crdt.texts import language

_HEAD: Final = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
@page {{ size: A4; margin: 12mm; }}
body {{ font: 11pt/1.35 system-ui, sans-serif; color: #000; background: #fff; margin: 0; }}
svg {{ display: block; }}
{style}
</style>
</head>
<body>
"""


def page(title: str, style: str, body: Iterable[str]) -> bytes:
    """The file. ``title`` is escaped here; ``body`` is markup whose texts ``text`` has escaped."""
    head = _HEAD.format(title=text(title), style=style, language=text(language()))
    return (head + "\n".join(body) + "\n</body>\n</html>\n").encode()


def text(words: object) -> str:
    """Words that people chose, safe between tags and in attributes."""
    return escape(str(words), quote=True)


def qr(data: str, millimetres: int, label: str) -> str:
    """A QR code as inline SVG, so many millimetres wide, with ``label`` for who cannot see it."""
    import segno

    drawn = io.BytesIO()
    code = segno.make(data, micro=False, error="m")
    code.save(drawn, kind="svg", xmldecl=False, svgns=False, border=4, omitsize=True)
    svg = drawn.getvalue().decode().strip()
    size = f'width="{millimetres}mm" height="{millimetres}mm" role="img" aria-label="{text(label)}"'
    return svg.replace("<svg", f"<svg {size}", 1)
