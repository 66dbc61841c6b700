"""What a command prints: data on stdout, everything else on stderr.

With ``--json`` exactly one object on stdout, and a failure's object as the last line on stderr.
Without it sentences and tables. No colour, and no character from data that drives a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from string import Formatter
from typing import Any, Final

import click

from commons_cli.options import Options
from commons_cli.tables import clean, day_shown, details, isolated, kind_of, shown, table, word
from commons_cli.texts import _, ngettext
from commons_node.api.types import API_VERSION, error_object

_NARROWEST: Final = 20
_NOT_FOR_PEOPLE: Final = frozenset(
    {"v", "ok", "as_of", "missing", "conflicts", "operation", "verdict", "reason", "session"}
)


class _Field:
    """A value inside a sentence: ``{due:time}`` names how it is shown."""

    def __init__(self, name: str, row: Mapping[str, Any]) -> None:
        self._name = name
        self._value = row[name]
        self._row = row

    def __format__(self, kind: str) -> str:
        if kind == "day":
            return isolated(day_shown(self._value, self._row))
        return isolated(shown(self._value, kind_of(self._name, kind or "text")))


def sentence(templates: list[str], result: Mapping[str, Any]) -> str | None:
    """The first template whose fields are all there, filled in; None when there is none."""
    for template in templates:
        names = [name for _text, name, _spec, _conversion in Formatter().parse(template) if name]
        if all(result.get(name) is not None for name in names):
            fields = {name: _Field(name, result) for name in names}
            return _(template).format_map(fields)
    return None


def terminal_width() -> int:
    """Columns of the terminal, 80 where there is none; ``COLUMNS`` wins."""
    import shutil

    return max(shutil.get_terminal_size((80, 24)).columns, _NARROWEST)


def print_result(verb: Mapping[str, Any], result: dict[str, Any], options: Options) -> None:
    """A verb's answer, as JSON or for people."""
    if options.json:
        print_json(result)
        return
    quiet = options.quiet and verb["kind"] == "command"
    for line in [] if quiet else lines_of(verb, result):
        click.echo(line)
    if not options.quiet:
        for text in doubts(result):
            click.echo(text, err=True)


def print_json(result: Mapping[str, Any]) -> None:
    """One object on one line. ASCII, so that it means the same in every locale."""
    ours = {"v": API_VERSION, "ok": True}
    click.echo(json.dumps({**ours, **result, **ours}))


def lines_of(verb: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """A verb's answer for people: its sentence, its table, or simply all fields."""
    lines: list[str] = []
    said = sentence(verb.get("says", []), result)
    if said is not None:
        lines += [part.rstrip() for part in said.split("\n")]
    described = verb.get("table")
    if described is not None:
        rows = [row for row in result.get(described["rows"]) or [] if isinstance(row, dict)]
        if rows:
            columns = [(field, title, kind) for field, title, kind in described["columns"]]
            lines += [*([""] if lines else []), *table(columns, rows, terminal_width())]
        elif described.get("empty"):
            lines.append(_(described["empty"]))
    if said is None and described is None:
        rest = {key: one for key, one in result.items() if key not in _NOT_FOR_PEOPLE}
        lines += details(rest, terminal_width())
    return lines


def doubts(result: Mapping[str, Any]) -> list[str]:
    """What a reader should know before relying on an answer."""
    found: list[str] = []
    verdict = result.get("verdict")
    if isinstance(verdict, str) and verdict != "accepted":
        reason = result.get("reason")
        found.append(
            _("Not settled: {verdict} ({reason}).").format(
                verdict=word(verdict), reason=clean(str(reason or _("no reason given")))
            )
        )
    missing, conflicts = result.get("missing"), result.get("conflicts")
    if missing:
        count = len(missing) if isinstance(missing, list) else missing
        found.append(_("Not complete: {count} known to be missing.").format(count=count))
    if isinstance(conflicts, list) and conflicts:
        count = len(conflicts)
        found.append(
            ngettext("{count} contested.", "{count} contested.", count).format(count=count)
        )
    return found


def print_error(
    what: str,
    code: str,
    message: str,
    hint: str,
    *,
    as_json: bool,
    report: Mapping[str, Any] | None = None,
) -> None:
    """A failure on stderr: what did not work, why, and what to run next; or its JSON object."""
    if as_json:
        click.echo(json.dumps(error_object(code, message, hint, report)), err=True)
        return
    # Never wrapped: a terminal does that, and commands and paths stay whole for who copies them.
    for title, text in ((_("error"), what), (_("  why"), message), (_("  try"), hint)):
        if text:
            click.echo(f"{title}: {clean(text).replace(chr(10), ' ')}", err=True)


def print_qr(text: str) -> None:
    """``text`` as a QR code, when stdout is a terminal that it fits in; otherwise nothing."""
    import os

    if not sys.stdout.isatty():
        return
    size = os.get_terminal_size(sys.stdout.fileno())  # of the terminal, whatever COLUMNS says
    lines = qr_lines(text)
    if len(lines[0]) > size.columns or len(lines) + 2 > size.lines:
        return
    try:
        for line in lines:
            click.echo(line)
    except UnicodeEncodeError:
        return


def qr_lines(text: str) -> list[str]:
    """``text`` as a QR code of half blocks, two rows a line.

    Light modules are drawn: most terminals are dark, and phones read the reverse as well.
    """
    import segno

    code = segno.make(text, micro=False, error="l")
    rows = [list(row) for row in code.matrix_iter(border=2)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    blocks = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
    return [
        "".join(blocks[int(a), int(b)] for a, b in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[0::2], rows[1::2], strict=True)
    ]
