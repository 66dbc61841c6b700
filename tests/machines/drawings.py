"""The drawings under `docs/state-machines/`, read back: what is drawn, and what is seldom seen.

A page has one or more `stateDiagram-v2` in the plainest syntax, each behind a heading, and may have
a table "Seldom seen" with the moves that a storm need not show, and why they are drawn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "state-machines"

OUTSIDE = "[*]"
"""Where a machine comes from and goes to."""

_BLOCK = re.compile(r"^#{1,2} (?P<title>[^\n]+)\n(?:(?!^#)[^\n]*\n)*?```mermaid\n(?P<body>.*?)```",
                    re.MULTILINE | re.DOTALL)  # fmt: skip
_MOVE = re.compile(r"(\[\*\]|[a-z_]+) --> (\[\*\]|[a-z_]+)(?:: [^:;#]+)?")
_SELDOM = re.compile(r"^\| `(\[\*\]|[a-z_]+)` \| `(\[\*\]|[a-z_]+)` \| ([^|]+) \|$", re.MULTILINE)

Move = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Drawing:
    """One machine as it is drawn."""

    page: str
    title: str
    moves: frozenset[Move]
    seldom: frozenset[Move]
    """Of all drawings of the page."""

    @property
    def states(self) -> frozenset[str]:
        """Every state, without the outside."""
        return frozenset(state for move in self.moves for state in move) - {OUTSIDE}


class NotPlain(ValueError):
    """A line of a drawing is not in the plain syntax."""


def read(file: Path) -> list[Drawing]:
    """The drawings of a page. Raises ``NotPlain``."""
    text = file.read_text(encoding="utf-8")
    seldom = frozenset((a, b) for a, b, _ in _SELDOM.findall(text))
    found = []
    for block in _BLOCK.finditer(text):
        first, *lines = block["body"].strip().splitlines()
        if first != "stateDiagram-v2":
            raise NotPlain(f"{file.name}: {first}")
        moves = []
        for line in lines:
            match = _MOVE.fullmatch(line.strip())
            if match is None:
                raise NotPlain(f"{file.name}: {line}")
            moves.append((match[1], match[2]))
        if len(moves) != len(set(moves)):
            raise NotPlain(f"{file.name} draws a move twice")
        found.append(Drawing(file.stem, block["title"].strip(), frozenset(moves), seldom))
    if len(found) != text.count("```mermaid"):
        raise NotPlain(f"{file.name}: a drawing stands behind its heading")
    return found


def all_drawings() -> dict[str, Drawing]:
    """Every drawing by ``page#title``."""
    return {
        f"{drawing.page}#{drawing.title}": drawing
        for file in sorted(PAGES.glob("*.md"))
        if file.stem != "README"
        for drawing in read(file)
    }
