"""Reading inventories: a real one, and every way in which a file can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_node.domains.resources.csv_import import (
    MAX_BYTES,
    MAX_ROWS,
    BadFile,
    BadMap,
    Row,
    read_map,
    read_rows,
)
from commons_node.domains.resources.import_plan import plan

INVENTORY = Path(__file__).parents[2] / "examples" / "tool_library_inventory.csv"
LONG = "x" * 40


def faults(data: bytes) -> list[tuple[int, str]]:
    """(row, what is wrong) of every bad row."""
    return [(row.row, row.fault) for row in read_rows(data) if row.fault]


def one(data: bytes) -> Row:
    (row,) = read_rows(data)
    return row


def test_the_real_inventory_has_200_things_of_196_kinds_and_no_fault() -> None:
    rows = read_rows(INVENTORY.read_bytes())
    assert [row.fault for row in rows if row.fault] == []
    made = plan(rows, [], {})
    assert (made.count("created"), len(made.kinds)) == (200, 196)
    (drill,) = [row for row in rows if row.number == "1622"]
    assert drill.kind["name"] == "Cordless Drill"
    assert drill.kind["size"] == '3/8" , 10mm', "inch marks and commas stay"
    assert drill.kind["categories"] == "Drills & Drivers; Electrical; Power Tools"
    assert drill.item["uncounted"] is False
    assert sum(row.item["uncounted"] is True for row in rows) == 34
    (_, _, fields) = next(item for item in made.items if item[0].row is drill)
    assert fields["quantity"] == 1, "an empty quantity is one"


def test_a_mark_at_the_beginning_semicolons_and_capitals_are_fine() -> None:
    row = one(b"\xef\xbb\xbfNumber;NAME;Quantity\r\n7;Ladder, long;3\r\n")
    assert (row.number, row.kind["name"], row.item["quantity"]) == ("7", "Ladder, long", 3)


def test_quotes_hold_commas_quotes_and_line_breaks() -> None:
    row = one(b'number,name,size\n7,"Ladder, ""long""\nand old",12"\n')
    assert row.kind == {"name": 'Ladder, "long"\nand old', "size": '12"'}


def test_blank_lines_are_passed_over_and_rows_count_as_a_spreadsheet_does() -> None:
    rows = read_rows(b"number,name\n1,Axe\n\n,\n2,Saw\n")
    assert [(row.row, row.number) for row in rows] == [(2, "1"), (5, "2")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"1,\xff\xfe,1", "it is not UTF-8 text"),
        (b"1,\xed\xa0\x80,1", "it is not UTF-8 text"),
        (b"1,A\0xe,1", "it holds a NUL byte"),
        (b"1,,1", "the name is empty"),
        (b"1,   ,1", "the name is empty"),
        (b"1,Axe", "it has 2 cells, the header has 3"),
        (b"1,Axe,1,2", "it has 4 cells, the header has 3"),
        (b"1,Axe,many", "quantity must be an integer, not 'many'"),
        (b"1,Axe,-1", "quantity must be 0 to 1000000, not '-1'"),
        (b"1,Axe,1.5", "quantity must be an integer, not '1.5'"),
        (b"1,Axe," + b"9" * 30, "quantity must be an integer, not '" + "9" * 30 + "'"),
        ("1,Axe,٣".encode(), "quantity must be an integer, not '٣'"),
        (
            b"1," + b"x" * 201 + b",1",
            "name must be at most 200 characters, not '" + "x" * 40 + "…'",
        ),
        (b"x" * 41 + b",Axe,1", "number must be at most 40 characters, not '" + "x" * 40 + "…'"),
        (b'1,"Axe"s,1', "its quotes do not match"),
        (b"1," + b"x" * 200_000 + b",1", "a cell in it is far too long"),
    ],
)
def test_a_bad_row_says_what_is_wrong_and_hides_no_good_one(line: bytes, why: str) -> None:
    data = b"number,name,quantity\n" + line + b"\n2,Saw,1\n"
    rows = read_rows(data)
    assert [row.fault for row in rows] == [why, ""]


def test_a_quote_that_is_never_closed_says_what_it_swallowed() -> None:
    found = faults(b'number,name\n1,Axe\n2,"Saw\n3,Plane\n4,File\n')
    why = "its quotes do not match, and the 2 lines after it could not be told apart from it"
    assert found == [(3, why)]


def test_a_number_counts_once_in_a_file() -> None:
    found = faults(b"number,name\n1,Axe\n2,Saw\n1,Plane\n,Nail\n,Screw\n")
    assert found == [(4, "number 1 is in row 2 already")], "no number is no number twice"


def test_unknown_states_and_answers_are_faults() -> None:
    header = b"number,name,status,needs_approval,loan_days\n"
    first, second = read_rows(header + b"1,Axe,lost,perhaps,soon\n2,Saw,Retired,YES,7\n")
    assert first.faults == [
        "state must be active, maintenance, pending or retired, not 'lost'",
        "loan days must be an integer, not 'soon'",
        "needs approval must be true or false, not 'perhaps'",
    ], "everything that is wrong with a row is said at once"
    assert (second.fault, second.item["state"]) == ("", "retired")
    assert second.kind["needs_approval"] is True


def test_missing_columns_are_a_fault_of_every_row() -> None:
    assert faults(b"number,title\n1,Axe\n2,Saw\n") == [
        (2, "the file has no column 'name'"),
        (3, "the file has no column 'name'"),
    ]
    assert faults(b"title\nAxe\n")[0][1].count("no column") == 2, (
        "number and name are both asked for"
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"number,name\n", "no rows"),
        (b"\xff\xfen\0u\0m\0", "UTF-16"),
        (b"number,na\xffme\n1,Axe\n", "first line"),
        (b"number,name,name\n1,Axe,Saw\n", "two columns 'name'"),
        (b"number,name\n" + b"1,Axe\n" * (MAX_ROWS + 1), "more than 100000 rows"),
        (b"x" * (MAX_BYTES + 1), "16 MiB"),
    ],
)
def test_files_that_are_no_inventory_are_refused_whole(data: bytes, why: str) -> None:
    with pytest.raises(BadFile, match=why):
        read_rows(data)


def test_a_map_says_which_column_holds_what() -> None:
    toml = read_map("map.toml", b'name = "Item"\nquantity = "Count"\n')
    assert read_map("map", b'{"name": "Item", "quantity": "Count"}') == toml
    rows = read_rows(b"Item,Count,number\nAxe,2,ignored\n", toml)
    assert (rows[0].fault, rows[0].kind, rows[0].item) == ("", {"name": "Axe"}, {"quantity": 2})
    short = read_rows(b"Item\nAxe\n", toml)
    assert short[0].fault == "the file has no column 'Count'", "what is mapped must be there"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"name = ", "TOML or JSON"),
        (b"\xff", "TOML or JSON"),
        (b'{"name": 3}', "TOML or JSON"),
        (b'name = "A"\ncolour = "B"', "'colour' is not one of our fields"),
        (b'number = "A"', "which column holds the name"),
        (b"[" * 70_000, "too long"),
    ],
)
def test_maps_that_say_nothing_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadMap, match=why):
        read_map("map", data)


@given(st.binary(max_size=400))
def test_no_bytes_bring_it_down(data: bytes) -> None:
    try:
        rows = read_rows(b"number,name,quantity\n" + data)
    except BadFile:
        return
    for row in rows:
        assert row.fault or row.kind["name"], "a row without a fault has a name"
        (row.number + row.fault).encode(), "and everything that is said can be written down"
