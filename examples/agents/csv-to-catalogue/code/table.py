"""A table of things, read into the arguments of ``resource add``, row by row.

Our fields and their usual columns are those of ``resource import``. A row with a fault is told of
and hides no other; a cell that says nothing is left out.
"""

import csv
import io

COLUMNS = {
    "number": "number", "name": "name", "other_names": "other_names", "brand": "brand",
    "model": "model", "serial": "serial", "size": "size", "strength": "strength",
    "quantity": "quantity", "state": "status", "policy": "policy", "loan_days": "loan_days",
    "needs_approval": "needs_approval", "categories": "categories", "notice": "checkout_notice",
    "price_cents": "purchase_price_cents", "acquired": "created_at",
}  # fmt: skip
"""Our field: their column."""
NUMBERS = {"quantity", "loan_days", "price_cents"}
STATES = {"active", "maintenance", "pending", "retired"}
TRUE, FALSE = {"true", "yes", "y", "1", "x", "ja"}, {"false", "no", "n", "0", "nej"}


def read(text, wanted=""):
    """Every row: ``{row, number, key, args, faults}``; ``row`` counts as a spreadsheet does."""
    text = text.removeprefix("\ufeff")
    first = text.split("\n", 1)[0]
    # of the usual signs the one that the first line has most of
    records = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    header = [cell.strip().casefold() for cell in next(records, [])]
    places = {
        ours: header.index(theirs) for ours, theirs in columns(wanted).items() if theirs in header
    }
    if "name" not in places:
        raise ValueError("no column holds the names: say which one in the setting map")
    found, seen = [], {}
    for number, cells in enumerate(records, 2):
        if any(cell.strip() for cell in cells):
            row = of_row(number, [cell.strip() for cell in cells], places, len(header))
            if seen.setdefault(row["key"], number) != number and row["number"]:
                row["faults"].append(f"number {row['number']} is in row {seen[row['key']]} already")
            found.append(row)
    return found


def columns(wanted):
    """Where each field stands: the usual columns, or those of ``name=Item; number=No``."""
    if not wanted.strip():
        return COLUMNS
    pairs = [part.partition("=") for part in wanted.split(";") if part.strip()]
    found = {ours.strip(): theirs.strip().casefold() for ours, _equals, theirs in pairs}
    unknown = sorted(found.keys() - COLUMNS.keys())
    if unknown:
        raise ValueError(f"map: {', '.join(unknown)}: the fields are {', '.join(COLUMNS)}")
    return found


def of_row(number, cells, places, width):
    """One row."""
    faults, args = [], {}
    if len(cells) != width:
        faults.append(f"it has {len(cells)} cells, the header has {width}")
        cells = []
    for name, place in places.items():
        if place < len(cells) and cells[place]:
            value, fault = of_cell(name, cells[place])
            if fault:
                faults.append(fault)
            else:
                args[name] = value
    if not faults and not args.get("name"):
        faults.append("the name is empty")
    if "policy" in args:
        # things like nails are lent without counting them
        args["uncounted"] = "yes" if args["policy"] == "Uncounted" else "no"
    told = args.get("number", "")
    key = f"number {told}" if told else " ".join(
        ["kind", *(str(args.get(name, "")) for name in ("name", "brand", "model"))]
    )  # fmt: skip
    return {"row": number, "number": told or None, "key": key, "args": args, "faults": faults}


def of_cell(name, cell):
    """The value of a cell, and what is wrong with it."""
    if name in NUMBERS:
        return (int(cell), "") if cell.isdecimal() and len(cell) < 16 else (
            None, f"{name} must be a whole number, not {cell[:40]!r}"
        )  # fmt: skip
    if name == "needs_approval":
        word = cell.casefold()
        known = word in TRUE | FALSE
        return ("yes" if word in TRUE else "no"), (
            "" if known else f"{name} must be yes or no, not {cell[:40]!r}"
        )
    if name == "state":
        known = cell.casefold() in STATES
        return cell.casefold(), "" if known else f"state: {cell[:40]!r} is none of ours"
    return cell, ""
