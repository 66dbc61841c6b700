"""Plain text for people: aligned columns that fit the terminal, and nothing that can drive it.

Pure: strings in, strings out. Control and direction characters in data are shown as a mark, so a
name that a stranger chose cannot move the cursor or turn a line around.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

from commons_cli.texts import _

_ID: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)")
_UNSAFE: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_RTL: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
CODES: Final = frozenset({
    "condition", "field", "now", "outcome", "role", "standing", "state", "sync", "type", "verdict",
    "way",
})  # fmt: skip
"""Fields of answers that hold codes, which people read as words."""
_GAP: Final = "  "
_SHORTEST: Final = 6
_NARROW: Final = 60
"""Below so many columns a table whose words would be cut is shown row by row."""
SHORT_ID: Final = 12

Columns = Sequence[tuple[str, str, str]]
"""``(field, title, kind)`` of each column."""


def clean(text: str) -> str:
    """``text`` without anything that drives a terminal."""
    return _UNSAFE.sub("\ufffd", text)


def isolated(text: str) -> str:
    """``text`` so that letters from right to left turn nothing round it about (UAX #9, §2.4)."""
    return f"\u2068{text}\u2069" if _RTL.search(text) else text


def word(code: object) -> str:
    """A code in the reader's language; in English, and where nobody translated it, as it is."""
    plain = str(code).replace("_", " ")
    said = _(plain)
    return clean(str(code)) if said == plain else said


def shown(value: object, kind: str = "text") -> str:
    """A value as text of one line."""
    match value:
        case None:
            return "-"
        case bool():
            return _("yes") if value else _("no")
        case float():
            return f"{value:g}" if kind != "number" else f"{value:.1f}"
        case list() | tuple():
            return ", ".join(shown(one, kind) for one in value)
        case dict():
            return ", ".join(f"{clean(str(key))} {shown(one)}" for key, one in value.items())
    if kind == "word":
        return word(value)
    if kind == "lines":
        return clean(str(value)).rstrip("\n")
    text = clean(str(value)).replace("\n", " ")
    if _ID.fullmatch(text):
        return text[:SHORT_ID]
    if kind == "id":
        return text[:SHORT_ID]
    if kind == "time" or _TIME.fullmatch(text):
        return _local(text)
    return text


def _local(text: str) -> str:
    """An RFC 3339 time as a clock on the wall here shows it."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return text


def day_shown(day: object, row: Mapping[str, Any]) -> str:
    """A day, with the ``zone`` of its row where clocks show another time than here at its end."""
    zone, end = row.get("zone"), row.get("due")
    text = shown(day)
    return f"{text} ({clean(zone)})" if day and is_elsewhere(zone, end) else text


def is_elsewhere(zone: object, end: object) -> TypeGuard[str]:
    """True if the clocks of ``zone`` and of here differ at ``end`` (RFC 3339)."""
    if not isinstance(zone, str) or not isinstance(end, str):
        return False
    from datetime import datetime
    from zoneinfo import ZoneInfo

    try:
        moment = datetime.fromisoformat(end)
        return moment.astimezone(ZoneInfo(zone)).utcoffset() != moment.astimezone().utcoffset()
    except (ValueError, OverflowError, OSError, LookupError):
        return True


def width(text: str) -> int:
    """Columns that ``text`` takes in a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import category, combining, east_asian_width

    return sum(
        0 if combining(one) or category(one) == "Cf" else 2 if east_asian_width(one) in "WF" else 1
        for one in text
    )


def table(columns: Columns, rows: Sequence[Mapping[str, Any]], wide: int) -> list[str]:
    """Lines with a title and one row each, wrapped within its column at ``wide``.

    On a narrow terminal that would cut words, each row stands for itself, one field a line.
    """
    kinds = [kind_of(field, kind) for field, _title, kind in columns]
    cells = [[_(title) for _field, title, _kind in columns]]
    cells += [
        [
            day_shown(row.get(field), row) if kind == "day" else shown(row.get(field), kind)
            for (field, _title, _kind), kind in zip(columns, kinds, strict=True)
        ]
        for row in rows
    ]
    widths = [max(width(row[at]) for row in cells) for at in range(len(columns))]
    _shrink(widths, wide - len(_GAP) * (len(columns) - 1))
    if wide < _NARROW and rows and _cuts(cells, widths):
        return _one_by_one(cells, wide)
    lines: list[str] = []
    for row in cells:
        wrapped = [wrap(cell, at) for cell, at in zip(row, widths, strict=True)]
        for number in range(max(len(parts) for parts in wrapped)):
            padded = [
                _pad(parts[number] if number < len(parts) else "", at, right=kind == "number")
                for parts, at, kind in zip(wrapped, widths, kinds, strict=True)
            ]
            lines.append(_GAP.join(padded).rstrip())
    return lines


def kind_of(field: str, kind: str) -> str:
    """How a field is shown: codes as words, everything else as its description says."""
    return "word" if kind == "text" and field in CODES else kind


def _shrink(widths: list[int], wide: int) -> None:
    """Take from the widest column until all fit, or none can give any more."""
    while sum(widths) > wide and max(widths) > _SHORTEST:
        widths[widths.index(max(widths))] -= 1


def _cuts(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> bool:
    """Whether any word is longer than its column is wide."""
    return any(
        width(word) > wide
        for row in cells
        for cell, wide in zip(row, widths, strict=True)
        for word in cell.split(" ")
    )


def _one_by_one(cells: Sequence[Sequence[str]], wide: int) -> list[str]:
    """Each row with the titles (the first of ``cells``) in front, an empty line between two."""
    titles, *rows = cells
    longest = max(map(width, titles))
    room = max(wide - longest - len(_GAP), _SHORTEST)
    lines: list[str] = []
    for row in rows:
        lines += [""] * bool(lines)
        for title, cell in zip(titles, row, strict=True):
            for number, part in enumerate(wrap(cell, room)):
                name = _pad("" if number else title, longest, right=False)
                lines.append(f"{name}{_GAP}{isolated(part)}".rstrip())
    return lines


def wrap(text: str, wide: int) -> list[str]:
    """``text`` in lines of at most ``wide`` columns, broken at spaces where there are any."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        rest = word
        while True:
            joined = f"{line} {rest}" if line else rest
            if width(joined) <= wide:
                line = joined
                break
            if line:
                lines.append(line)
                line = ""
                continue
            head = _fit(rest, wide)
            lines.append(head)
            rest = rest[len(head) :]
    return [*lines, line] if line or not lines else lines


def _fit(text: str, wide: int) -> str:
    """The longest beginning of ``text`` within ``wide`` columns; at least one character."""
    taken = 0
    for at, one in enumerate(text):
        taken += width(one)
        if taken > wide and at:
            return text[:at]
    return text


def _pad(text: str, wide: int, *, right: bool) -> str:
    space = " " * (wide - width(text))
    text = isolated(text)
    return space + text if right else text + space


def details(value: Mapping[str, Any], wide: int, indent: str = "") -> list[str]:
    """Any JSON object: its plain fields aligned, lists of objects as tables below."""
    plain = {key: one for key, one in value.items() if not _nested(one)}
    longest = max((len(key) for key in plain), default=0)
    lines: list[str] = []
    for key, one in plain.items():
        name = f"{indent}{clean(key).replace('_', ' '):<{longest}}{_GAP}"
        parts = wrap(shown(one), max(wide - len(name), 20))
        lines.append((name + parts[0]).rstrip())
        lines += [" " * len(name) + part for part in parts[1:]]
    for key, one in value.items():
        if _nested(one):
            lines.append(f"{indent}{clean(key).replace('_', ' ')}")
            lines += _below(one, wide, indent + _GAP)
    return lines


def _nested(value: object) -> bool:
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


def _below(value: Any, wide: int, indent: str) -> list[str]:
    if isinstance(value, dict):
        return details(value, wide, indent)
    rows = [one for one in value if isinstance(one, dict)]
    fields = list(dict.fromkeys(field for row in rows for field in row))
    if not fields:
        return []
    columns = [(field, field.replace("_", " "), "text") for field in fields]
    return [indent + line for line in table(columns, rows, wide - len(indent))]
