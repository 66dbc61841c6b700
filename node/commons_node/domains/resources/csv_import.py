"""Reads an inventory file into rows: what each says of a thing and its kind, or what is wrong.

Pure and bounded. A bad row never hides a good one, and no byte of a file raises anything but
``BadFile``, which is about the file as a whole. What is here already is not looked at.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from commons_crdt.document.schema import DocumentSchema
from commons_crdt.document.values import Value
from commons_crdt.errors import CommonsError
from commons_crdt.texts import _, either
from commons_node.domains.resources.facts import (
    ITEM_SCHEMA,
    SPECIFICATION_SCHEMA,
    STATES,
)

MAX_BYTES = 16 * 1024 * 1024
MAX_ROWS = 100_000
_MAX_MAP = 65_536

COLUMNS: Mapping[str, str] = {
    "number": "number",
    "name": "name",
    "other_names": "other_names",
    "brand": "brand",
    "model": "model",
    "serial": "serial",
    "size": "size",
    "strength": "strength",
    "quantity": "quantity",
    "state": "status",
    "policy": "policy",
    "loan_days": "loan_days",
    "renewal_limit": "renewal_limit",
    "needs_approval": "needs_approval",
    "consumable": "consumable",
    "categories": "categories",
    "notice": "checkout_notice",
    "price_cents": "purchase_price_cents",
    "acquired": "created_at",
}
"""Our field: the column of the tool libraries' usual export."""

_REQUIRED = ("number", "name")
_FIELDS = dict.fromkeys(SPECIFICATION_SCHEMA.fields, SPECIFICATION_SCHEMA) | {
    name: ITEM_SCHEMA for name in ITEM_SCHEMA.fields if name != "specification"
}
_TRUE = frozenset({"true", "yes", "y", "1", "x"})
_FALSE = frozenset({"false", "no", "n", "0"})


class BadFile(CommonsError):
    """The file cannot be imported: {why}."""

    code = "import_file"
    hint = "commons-node resource import FILE --dry-run shows what is wrong, row by row"


class BadMap(CommonsError):
    """The column map cannot be used: {why}."""

    code = "import_map"
    hint = 'one line a field, such as name = "Item"; our fields: {fields}'
    status = "usage"

    def __init__(self, why: str) -> None:
        """``why`` completes the sentence."""
        super().__init__(why=why, fields=", ".join(_FIELDS))


@dataclass(slots=True)
class Row:
    """One row. ``row`` counts as a spreadsheet does: the header is 1. ``faults``: what is wrong.

    ``item`` and ``kind`` hold the fields whose cells say something; an empty cell says nothing.
    """

    row: int
    number: str = ""
    item: dict[str, Value] = field(default_factory=dict)
    kind: dict[str, Value] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def fault(self) -> str:
        """What is wrong, in one line."""
        return "; ".join(self.faults)


def read_map(name: str, data: bytes) -> dict[str, str]:
    """A column map from TOML or JSON: our field to their column. Raises ``BadMap``."""
    if len(data) > _MAX_MAP:
        raise BadMap(_("it is too long"))
    try:
        text = data.decode("utf-8-sig")
        if name.lower().endswith(".json") or text.lstrip().startswith("{"):
            found = msgspec.json.decode(text, type=dict[str, str])
        else:
            found = msgspec.convert(tomllib.loads(text), dict[str, str])
    except (ValueError, RecursionError):  # of UTF-8, of msgspec, and numbers without end in TOML
        raise BadMap(_("it is not a TOML or JSON table of field names and column names")) from None
    for ours in found:
        if ours not in _FIELDS:
            raise BadMap(_("{ours!r} is not one of our fields").format(ours=ours))
    if "name" not in found:
        raise BadMap(_("it does not say which column holds the name"))
    return found


def read_rows(data: bytes, columns: Mapping[str, str] | None = None) -> list[Row]:
    """Every row of a CSV file, good or bad. ``columns`` None: ``COLUMNS``. Raises ``BadFile``.

    UTF-8 with or without a mark; commas, semicolons or tabs. With the usual columns only number
    and name must be there; of a map, all of it.
    """
    text = _decode(data)
    lines = _records(text)
    header_row, header, fault = next(lines, (0, [], ""))
    if not header_row:
        raise BadFile(why=_("it is empty"))
    if fault or not _readable(header):
        raise BadFile(why=fault or _("its first line is not UTF-8 text"))
    places, missing = _places(header, columns)
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for at, cells, fault in lines:
        if not fault and not any(cells):
            continue
        if len(rows) == MAX_ROWS:
            raise BadFile(why=_("it has more than {max_rows} rows").format(max_rows=MAX_ROWS))
        row = Row(at)
        rows.append(row)
        if fault:
            row.faults.append(fault)
            continue
        _read(row, cells, places, len(header))
        row.faults.extend(
            _("the file has no column {name!r}").format(name=name) for name in missing
        )
        if row.number and (first := seen.setdefault(row.number, at)) != at:
            row.faults.append(
                _("number {number} is in row {first} already").format(
                    number=row.number, first=first
                )
            )
    if not rows:
        raise BadFile(why=_("it has a header and no rows"))
    return rows


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise BadFile(why=_("it is larger than {max_bytes} MiB").format(max_bytes=MAX_BYTES >> 20))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadFile(why=_("it is UTF-16; save it as UTF-8"))
    return data.decode("utf-8-sig", "surrogateescape")


def _records(text: str) -> Iterator[tuple[int, list[str], str]]:
    """(row as in a spreadsheet, stripped cells, what is wrong with the row)."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    at = 0
    while True:
        at += 1
        before = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines = reader.line_num - before
            what = "its quotes"
            if "field limit" in str(error):
                what = _("a cell in it is far too long")
            else:
                what = _("its quotes do not match")
            if lines > 1:
                what += _(
                    ", and the {lines} lines after it could not be told apart from it"
                ).format(lines=lines - 1)
            yield at, [], what
            continue
        yield at, [cell.strip() for cell in cells], ""


def _places(
    header: Sequence[str], columns: Mapping[str, str] | None
) -> tuple[dict[str, int], list[str]]:
    """Where each field stands, and the columns that are missing. Case does not matter."""
    titles = [title.casefold() for title in header]
    wanted = COLUMNS if columns is None else columns
    required = _REQUIRED if columns is None else tuple(columns)
    places: dict[str, int] = {}
    missing: list[str] = []
    for ours, theirs in wanted.items():
        title = theirs.strip().casefold()
        if titles.count(title) > 1:
            raise BadFile(why=_("it has two columns {theirs!r}").format(theirs=theirs))
        if title in titles:
            places[ours] = titles.index(title)
        elif ours in required:
            missing.append(theirs)
    return places, missing


def _read(row: Row, cells: Sequence[str], places: Mapping[str, int], width: int) -> None:
    """Read the cells of one row into it."""
    if not _readable(cells):
        row.faults.append(_("it is not UTF-8 text"))
    if any("\0" in cell for cell in cells):
        row.faults.append(_("it holds a NUL byte"))
    place = places.get("number")
    number = cells[place] if place is not None and place < len(cells) else ""
    row.number = "".join(one if one.isprintable() else "\ufffd" for one in number)[:40]
    if len(cells) != width:
        row.faults.append(
            _("it has {count} cells, the header has {width}").format(count=len(cells), width=width)
        )
    if row.faults:
        return
    for name, place in places.items():
        cell = cells[place]
        if cell:
            _cell(row, name, cell)
    if "name" in places and not row.kind.get("name") and not row.faults:
        row.faults.append(_("the name is empty"))
    if row.kind.get("policy") == "Uncounted":
        row.item["uncounted"] = True
    elif "policy" in row.kind:
        row.item.setdefault("uncounted", False)


def _cell(row: Row, name: str, cell: str) -> None:
    schema: DocumentSchema = _FIELDS[name]
    value: Value = cell
    kind = schema.fields[name].type
    if kind == "integer":
        digits = cell.removeprefix("-")
        value = int(cell) if digits.isascii() and digits.isdecimal() and len(digits) < 16 else cell
    elif kind == "boolean":
        word = cell.casefold()
        value = word in _TRUE if word in _TRUE | _FALSE else cell
    elif name == "state":
        value = cell.casefold()
    problem = schema.problem(name, value)
    if name == "state" and value not in STATES:
        problem = _("must be {states}").format(states=either(STATES))
    if problem:
        shown = cell if len(cell) <= 40 else cell[:40] + "…"
        row.faults.append(
            _("{field} {problem}, not {shown!r}").format(
                field=name.replace("_", " "), problem=_(problem), shown=shown
            )
        )
    else:
        (row.kind if schema is SPECIFICATION_SCHEMA else row.item)[name] = value


def _readable(cells: Sequence[str]) -> bool:
    """False if a cell holds a byte that was no UTF-8."""
    return not any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell)
