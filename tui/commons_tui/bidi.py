"""Text from outside, safe to draw: nothing drives the terminal, and no name turns its line round.

Letters from right to left stand between FSI and PDI (UAX #9, §2.4), each run of them for itself, so
that a number or a column beside a Hebrew or Arabic name stays where it is. The two signs take no
room; they are put in when a text has its final length, for a cut must not take one of them. Where
a long text is wrapped within such a name, its isolate ends with the line.
"""

from __future__ import annotations

import re
from typing import Final

from commons_cli.tables import clean

_LETTERS: Final = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_RUN: Final = re.compile(f"[{_LETTERS}](?:[ \u00a0'\u2019\"-]*[{_LETTERS}])*")


def safe(text: str) -> str:
    """``text`` cleaned, its right-to-left runs isolated."""
    return isolate(clean(text))


def isolate(text: str) -> str:
    """The same for what is clean already."""
    return text if text.isascii() else _RUN.sub("\u2068\\g<0>\u2069", text)
