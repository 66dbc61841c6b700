"""The sheet on the wall by which neighbours join: what it is, the code, the two ways to use it."""

from __future__ import annotations

from typing import Final

from commons_crdt.texts import N_, _, ngettext
from commons_node.printing.page import page, qr, text

_STYLE: Final = """
main { max-width: 170mm; margin: 0 auto; }
h1 { font-size: 26pt; margin: 6mm 0 2mm; }
.qr { margin: 8mm auto; width: 90mm; }
code { display: block; font: 12pt/1.5 monospace; overflow-wrap: anywhere; border: 0.3mm solid #000;
  padding: 3mm; }
ol { padding-left: 6mm; } li { margin: 2mm 0; } .until { font-weight: 700; }
"""
TITLE: Final = N_("Join {community}")
WHAT: Final = N_("We share things on this street. Everything stays on our own computers.")
STEPS: Final = (
    N_("Install commons-node, or sit down at a neighbour's computer that has it."),
    N_("Be in the same house network as one of us, or have internet."),
    N_("Scan the code with the terminal interface, or type:"),
)
COMMAND: Final = "commons-node join {code} --member YOUR-NAME"


def join_sheet(community: str, code: str, uses: int, until: str) -> bytes:
    """The HTML file of one invite; it carries the invite's secret, as the code on paper does."""
    title = _(TITLE).format(community=community)
    limits = ngettext(
        "Good for {uses} person, until {until} (UTC). Whoever reads this code can join.",
        "Good for {uses} people, until {until} (UTC). Whoever reads this code can join.",
        uses,
    )
    body = [
        "<main>",
        f"<h1>{text(title)}</h1>",
        f"<p>{text(_(WHAT))}</p>",
        f'<div class="qr">{qr(code, 90, title)}</div>',
        "<ol>",
        *(f"<li>{text(_(step))}</li>" for step in STEPS),
        "</ol>",
        f"<code>{text(COMMAND.format(code=code))}</code>",
        f'<p class="until">{text(limits.format(uses=uses, until=until))}</p>',
        "</main>",
    ]
    return page(title, _STYLE, body)
