"""The duties, each with a host that answers as the node would."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from commons_node.jobs.duties import figures, integrity, overdue, tidy
from commons_node.jobs.handler import HANDLERS, Host
from commons_node.jobs.node import DUTIES
from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.store.upgrading import migrate

NOON = 1_780_000_000_000


class Desk:
    """A ``Host`` that notes what is wanted of it."""

    job, run, attempt, covers, dry = "duty", 7, 1, 1, False
    scheduled_ms = NOON

    def __init__(self, answers: Mapping[str, Any], **given: Any) -> None:
        self.given: Mapping[str, Any] = given
        self.event: Mapping[str, Any] = {}
        self.answers = answers
        self.lines: list[str] = []
        self.wanted: list[tuple[str, str, Mapping[str, Any]]] = []

    def log(self, text: str) -> None:
        self.lines.append(text)

    def call(self, method: str, **params: object) -> Any:
        assert method == "view"
        return self.answers[f"{params['name']} {params.get('community', '')}".rstrip()]

    def effect(self, kind: str, operation: str, **body: object) -> None:
        self.wanted.append((kind, operation, body))


def loan(number: int) -> dict[str, str]:
    return {"name": f"Thing {number}", "borrower_name": "Bo", "due_day": "2026-05-01"}


def test_every_duty_has_a_handler_that_is_there() -> None:
    assert {job.handler for job in DUTIES} == set(HANDLERS) - {"agent"}
    of_this: Host = Desk({})
    assert callable(of_this.log)


def test_overdue_says_for_each_community_what_is_late_and_nothing_where_nothing_is() -> None:
    communities = [{"community": c * 64, "name": n} for c, n in (("a", "Elm"), ("b", "Oak"))]
    answers = {
        "status": {"communities": [*communities, {"community": "c" * 64, "name": "Ash"}]},
        "loan.list " + "a" * 64: {"loans": [loan(1), loan(2)]},
        "loan.list " + "b" * 64: {"loans": []},
        "loan.list " + "c" * 64: {"loans": [loan(n) for n in range(12)]},
    }
    desk = Desk(answers)
    assert overdue.run(desk) == {"overdue": 14}
    told = [body["text"] for kind, _, body in desk.wanted if kind == "notice"]
    assert told[0] == "Elm: 2 overdue: Thing 1 (Bo, 2026-05-01); Thing 2 (Bo, 2026-05-01)"
    assert told[1].startswith("Ash: 12 overdue: ")
    assert told[1].endswith("; and 2 more")
    again = Desk(answers)
    overdue.run(again)
    assert [one[1] for one in again.wanted] == [one[1] for one in desk.wanted], "the same keys"
    assert not any("Bo" in line for line in desk.lines), "a log names nobody"


def made(folder: Path) -> Path:
    migrate(folder / "jobs.db", JOBS_SCHEMA)
    with closing(sqlite3.connect(folder / "jobs.db")) as file, file:
        rows = [(1, n, "x" * 500) for n in range(4_000)]
        file.executemany("INSERT INTO logs (run, at_ms, text) VALUES (?,?,?)", rows)
    return folder / "jobs.db"


def test_integrity_finds_a_damaged_file_and_says_what_to_do(tmp_path: Path) -> None:
    path = made(tmp_path)
    desk = Desk({}, home=str(tmp_path))
    assert integrity.run(desk) == {"files": 1, "damaged": 0}
    assert (desk.lines, desk.wanted) == (["database jobs: ok"], [])
    data = bytearray(path.read_bytes())
    data[40_960:1_000_000] = bytes(1_000_000 - 40_960)
    path.write_bytes(data)
    assert integrity.run(desk) == {"files": 1, "damaged": 1}
    (letter, _, asked), (kind, _, body) = desk.wanted
    assert (letter, asked["to"], asked["body"]["file"]) == ("outbox", "repair", "jobs")
    assert (kind, body["about"]["code"]) == ("notice", "damaged")
    assert "jobs.db is damaged" in body["text"]


def test_tidy_gives_back_what_is_free(tmp_path: Path) -> None:
    path = made(tmp_path)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DELETE FROM logs")
    before = path.stat().st_size
    found = tidy.run(Desk({}, home=str(tmp_path)))
    assert found["given_back"] > 0
    assert path.stat().st_size < before / 4


def test_figures_are_a_sample() -> None:
    desk = Desk({"metrics": {"text": "commons_store_bytes 5\ncommons_store_bytes 6\n"}})
    assert figures.run(desk) == {"values": 1}
    assert desk.wanted == [("sample", "7", {"values": {"commons_store_bytes": 11.0}})]
