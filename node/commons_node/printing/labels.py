"""A sheet of labels: a code that any node finds the thing by, its number and its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from commons_node.domains.resources.things import Thing
from commons_node.printing.page import page, qr, text

_DIGITS: Final = 16
_STYLE: Final = """
.sheet { display: grid; grid-template-columns: repeat(3, 1fr); gap: 3mm; }
.label { display: flex; gap: 3mm; align-items: center; border: 0.2mm dashed #777;
  padding: 2mm; break-inside: avoid; min-height: 27mm; overflow: hidden; }
.number { font-size: 15pt; font-weight: 700; }
.words { font-size: 9pt; overflow-wrap: anywhere; }
.of { font-size: 7pt; }
"""


def code_of(thing: Thing) -> str:
    """What a label's code says: the beginning of the thing's id, as any verb takes it."""
    return thing.id.hex()[:_DIGITS].upper()


def labels(things: Sequence[Thing], community: str) -> bytes:
    """The HTML file, three labels in a row."""
    body = ['<div class="sheet">', *(_label(one, community) for one in things), "</div>"]
    return page(community, _STYLE, body)


def _label(thing: Thing, community: str) -> str:
    kind = thing.kind
    details = " ".join(str(kind[name]) for name in ("brand", "model", "size") if kind[name])
    return (
        f'<div class="label">{qr(code_of(thing), 23, thing.label)}<div>'
        f'<div class="number">{text(thing.number or thing.id.hex()[:8])}</div>'
        f'<div class="words">{text(thing.name)}<br>{text(details)}</div>'
        f'<div class="of">{text(community)}</div></div></div>'
    )
