"""A run as a picture: one row a node, time to the right. Plain SVG, no library, no script."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from commons_node.testing.town import Town
from commons_node.testing.trace import Moment

_ROW, _LEFT, _TOP = 22, 90, 40
_WIDTH = 1100
_MARKS = {
    "write": ("#4a7", 2.5), "lie": ("#c33", 5), "crash": ("#000", 5), "restart": ("#36c", 4),
    "clock": ("#c80", 4), "mute": ("#a6c", 4), "joined": ("#36c", 5), "leave": ("#888", 5),
}  # fmt: skip
"""Colour and size; each has its word as a tooltip, so that colour is never alone."""


def svg(town: Town) -> str:
    """The picture."""
    return "\n".join(_lines(town))


def _lines(town: Town) -> Iterator[str]:
    moments = town.trace.moments
    end = max((m.seconds for m in moments), default=1.0)
    rows = {node.name: _TOP + n * _ROW for n, node in enumerate(town.nodes)}
    height = _TOP + _ROW * len(rows) + 30

    def x(seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 20) * seconds / end

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        ' font-family="sans-serif" font-size="11">'
    )
    caption = f"seed {town.seed}: {len(town.arrivals)} operations, {end:.0f} s"
    yield f'<text x="8" y="18">{caption}</text>'
    for n, (what, (colour, size)) in enumerate(_MARKS.items()):
        at = _LEFT + 240 + 80 * n
        yield f'<circle cx="{at}" cy="14" r="{size}" fill="{colour}"/>'
        yield f'<text x="{at + 8}" y="18" fill="#666">{what}</text>'
    apart = [m.seconds for m in moments if m.what == "split"]
    healed = [m.seconds for m in moments if m.what == "heal"]
    for begin, stop in zip(apart, healed, strict=False):
        yield (
            f'<rect x="{x(begin):.1f}" y="{_TOP - 12}" width="{x(stop) - x(begin):.1f}"'
            f' height="{_ROW * len(rows)}" fill="#fdf3d8"><title>islands</title></rect>'
        )
    for node in town.nodes:
        y = rows[node.name]
        liar = " (lies)" if node.liar else ""
        yield f'<text x="8" y="{y + 4}">{escape(node.name + liar)}</text>'
        yield f'<line x1="{_LEFT}" y1="{y}" x2="{x(end):.1f}" y2="{y}" stroke="#ddd"/>'
        for begin, stop, word in _down(moments, node.name, end):
            yield (
                f'<line x1="{x(begin):.1f}" y1="{y}" x2="{x(stop):.1f}" y2="{y}"'
                f' stroke="#333" stroke-width="5"><title>{word}</title></line>'
            )
    for moment in moments:
        if moment.what in _MARKS and moment.node in rows:
            colour, size = _MARKS[moment.what]
            title = escape(f"{moment.seconds:.2f} s {moment.what} {moment.detail}")
            yield (
                f'<circle cx="{x(moment.seconds):.1f}" cy="{rows[moment.node]}" r="{size}"'
                f' fill="{colour}"><title>{title}</title></circle>'
            )
    for second in range(0, int(end) + 1, max(10, int(end / 12) // 10 * 10)):
        yield f'<text x="{x(second):.1f}" y="{height - 8}" fill="#666">{second} s</text>'
    yield "</svg>"


def _down(moments: list[Moment], name: str, end: float) -> Iterator[tuple[float, float, str]]:
    """When a node did not run, and why."""
    since: float | None = None
    word = ""
    for moment in moments:
        if moment.node != name:
            continue
        if moment.what in {"crash", "leave"}:
            since = moment.seconds
            word = "without power" if moment.what == "crash" else "has left"
        elif moment.what == "restart" and since is not None:
            yield since, moment.seconds, word
            since = None
    if since is not None:
        yield since, end, word
