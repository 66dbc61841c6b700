"""Inventories that are wrong in some rows: a report on each, and all or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import House, Said, street

HEADER = b"number,name,quantity,status,policy\n"


@pytest.fixture(scope="module")
def alice() -> Iterator[House]:
    with street() as elm_street:
        (house,) = elm_street.build("alice")
        house.found()
        yield house


def imports(alice: House, tmp_path: Path, data: bytes, *more: str) -> Said:
    file = tmp_path / "things.csv"
    file.write_bytes(data)
    who = ("--as", "alice", "--passphrase-file", str(alice.passphrase_file))
    return alice.cli("resource", "import", str(file), *more, *who)


def numbers(alice: House) -> set[str]:
    return {one["number"] for one in alice.see("resource.list")["resources"]}


def count(alice: House) -> int:
    return sum(alice.operations().values())


BAD = {
    "bad encoding": (
        HEADER + b"b1,Saw,1,active,\nb2,S\xe4ge,1,active,\nb3,Rake,1,active,\n",
        {3: "it is not UTF-8 text"},
    ),
    "a missing column": (
        b"name,quantity\nSaw,1\nRake,2\n",
        {2: "the file has no column 'number'", 3: "the file has no column 'number'"},
    ),
    "duplicate numbers": (
        HEADER + b"d1,Saw,1,active,\nd2,Rake,1,active,\nd1,Other saw,1,active,\n",
        {4: "number d1 is in row 2 already"},
    ),
    "cells that say nothing sensible": (
        HEADER
        + b"c1,Saw,many,active,\nc2,,1,active,\nc3,Rake,1,lost,\nc4,Hoe,1\nc5,Axe,-1,active,\n",
        {2: "quantity", 3: "the name is empty", 4: "state", 5: "3 cells", 6: "quantity"},
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_row_keeps_the_whole_file_out(alice: House, tmp_path: Path, name: str) -> None:
    data, faults = BAD[name]
    before, held = numbers(alice), count(alice)
    for more in ((), ("--dry-run",)):
        said = imports(alice, tmp_path, data, *more)
        if more:
            assert said.code == 0, "a dry run only tells"
            report = said.json
        else:
            assert (said.code, said.error["code"]) == (1, "import")
            report = json.loads(said.err.splitlines()[-1])["error"]["report"]
        assert report["failed"] == len(faults)
        assert report["read"] == len(report["rows"]), "there is a line on every row"
        for row in report["rows"]:
            assert set(row) >= {"row", "number", "outcome", "reason", "resource"}
            fault = faults.get(row["row"])
            assert (row["outcome"] == "failed") is (fault is not None), row
            assert fault is None or fault in row["reason"], row
        assert (numbers(alice), count(alice)) == (before, held), "nothing is half imported"


def test_with_partial_the_good_rows_come_in(alice: House, tmp_path: Path) -> None:
    data, faults = BAD["bad encoding"]
    before = numbers(alice)
    report = imports(alice, tmp_path, data, "--partial").json
    assert (report["created"], report["failed"]) == (2, len(faults))
    assert numbers(alice) - before == {"b1", "b3"}
    again = imports(alice, tmp_path, data, "--partial").json
    assert (again["created"], again["updated"], again["failed"]) == (0, 0, 1)


def test_a_file_in_another_shape(alice: House, tmp_path: Path) -> None:
    columns = tmp_path / "columns.toml"
    columns.write_text('name = "Artikel"\nnumber = "Nr"\nquantity = "Anzahl"\n')
    held = count(alice)
    for data in (b"", b"\xff\xfeN\x00r\x00", b"\0\0\0\0", b"Nr;Artikel\n", b'"' * 200_000):
        said = imports(alice, tmp_path, data)
        assert said.code == 1, data[:20]
        assert said.error["code"] in {"import_file", "import"}, data[:20]
    assert count(alice) == held
    fine = b"Nr;Artikel;Anzahl\nm1;Bohrer;\nm2;S\xc3\xa4ge;3\n"
    assert imports(alice, tmp_path, fine).code == 1, "its columns are not known"
    report = imports(alice, tmp_path, fine, "--map", str(columns)).json
    assert report["created"] == 2
    things = {one["number"]: one for one in alice.see("resource.list")["resources"]}
    assert things["m2"]["name"] == "Säge"
    assert (things["m1"]["quantity"], things["m2"]["quantity"]) == (1, 3), "an empty cell is one"
    columns.write_text('colour = "Farbe"\n')
    wrong = imports(alice, tmp_path, fine, "--map", str(columns))
    assert (wrong.code, wrong.error["code"]) == (2, "import_map")
    missing = alice.cli("resource", "import", str(tmp_path / "nowhere.csv"))
    assert missing.code == 2, "there is no such file"
