"""What stands around every place: whose node and who acts, where one is, what is wrong, the keys.

Each part is one line that fits itself to the width. Everything in it can be clicked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from commons_cli.tables import width
from commons_cli.texts import _
from commons_tui.bidi import safe
from commons_tui.place import place_key
from commons_tui.rows import fit

if TYPE_CHECKING:
    from commons_tui.app import CommonsApp

Part = tuple[str, str, Callable[[], Any] | None]
"""Text, style (``plain``, ``strong``, ``quiet``), what a click does."""


class Line(Widget):
    """One line made of parts; those that do not fit are left out from the end."""

    DEFAULT_CSS = """
    Line { height: 1; }
    Line > .line--strong { text-style: bold; color: $primary; }
    Line > .line--plain { color: $foreground; }
    Line > .line--quiet { color: $text-muted; }
    """
    COMPONENT_CLASSES = {"line--strong", "line--plain", "line--quiet"}  # noqa: RUF012 - textual's
    app: CommonsApp

    def __init__(self, ident: str) -> None:
        """Nothing stands there yet."""
        super().__init__(id=ident)
        self._left: list[Part] = []
        self._right: list[Part] = []
        self._spans: list[tuple[int, int, Callable[[], Any]]] = []

    def show(self, left: Sequence[Part], right: Sequence[Part] = ()) -> None:
        """Other parts; those at the right are kept before those at the left."""
        if (list(left), list(right)) != (self._left, self._right):
            self._left, self._right = list(left), list(right)
            self.refresh()

    def text(self) -> str:
        """All of it, for tests and for who looks on."""
        return " ".join(part[0] for part in (*self._left, *self._right))

    def render_line(self, y: int) -> Strip:
        """Left parts, a gap, right parts."""
        wide = self.size.width
        if y or not wide:
            return Strip.blank(wide, self.rich_style)
        right = self._right
        used = sum(width(part[0]) for part in right) + max(len(right) - 1, 0)
        while right and used > wide:
            used -= width(right[0][0]) + 1
            right = right[1:]
        segments: list[Segment] = []
        spans: list[tuple[int, int, Callable[[], Any]]] = []
        x = self._put(self._left, 0, wide - used - bool(right), segments, spans)
        if right:
            segments.append(Segment(" " * (wide - used - x), self.rich_style))
            self._put(right, wide - used, wide, segments, spans)
        self._spans = spans
        return Strip(segments).adjust_cell_length(wide, self.rich_style)

    def _put(
        self,
        parts: Sequence[Part],
        x: int,
        end: int,
        segments: list[Segment],
        spans: list[tuple[int, int, Callable[[], Any]]],
    ) -> int:
        for number, (raw, style, click) in enumerate(parts):
            text = safe(raw)
            if number:
                if x + 1 >= end:
                    break
                segments.append(Segment(" ", self.rich_style))
                x += 1
            if x + width(text) > end:
                if number:
                    break
                text = fit(raw, max(end - x, 0))
            segments.append(Segment(text, self._style(style)))
            if click is not None:
                spans.append((x, x + width(text), click))
            x += width(text)
        return x

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"line--{name}")

    def on_click(self, event: events.Click) -> None:
        """Whatever stands under the mouse."""
        for begin, end, click in self._spans:
            if begin <= event.x - self.styles.padding.left < end:
                click()
                return


def nav_parts(
    titles: Sequence[str], here: int, wide: int, go: Callable[[int], Callable[[], Any]]
) -> list[Part]:
    """The places by their keys; where not all titles fit, those next to the one that is seen."""
    told = [_(title) for title in titles]
    named = sorted(range(len(told)), key=lambda number: (abs(number - here), number))
    while len(named) > 1 and 2 * len(told) + 2 + sum(width(told[one]) + 1 for one in named) > wide:
        named.pop()
    parts: list[Part] = []
    for number, title in enumerate(told):
        text = f"{place_key(number)} {title}" if number in named else place_key(number)
        if number == here:
            parts.append((f"▸{text}", "strong", go(number)))
        else:
            parts.append((text, "quiet", go(number)))
    return parts
