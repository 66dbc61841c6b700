"""What is given to a command arrives as it is meant: options, values, files."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import click
import pytest
from tests.cli.shed import ALICE, VERBS, Shed, served
from tests.cli.terminals import Terminal

from commons_cli.main import run
from commons_cli.options import Options
from commons_node.registry import File


@pytest.mark.parametrize(
    "line",
    [
        "--json thing list --query drill",
        "thing --json list --query drill",
        "thing list --json --query drill",
        "thing list --query drill --json",
        "--timeout 9 thing -q list --query drill --json -v",
    ],
)
def test_json_before_and_after_the_verb(terminal: Terminal, line: str) -> None:
    found = terminal(*line.split()).json
    assert [row["name"] for row in found["things"]] == ["drill"]
    assert found["as_of"] == "now"


def test_home_community_and_member_from_flags_or_environment(
    shed: Shed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(tmp_path, capsys)
    terminal.unlock("alice")
    terminal.unlock("bob")
    unclear = terminal("thing", "lend", "drill", "--json")
    assert unclear.code == 2
    assert unclear.error["code"] == "which_member"
    found = terminal("thing", "lend", "drill", "--as", "alice", "--community", "Söder", "--json")
    assert found.json["borrower"] == ALICE
    assert found.json["community"] == "Söder"
    environment = {"COMMONS_AS": "alice", "COMMONS_COMMUNITY": "Norr"}
    found = terminal("--json", "thing", "lend", "drill", **environment)
    assert found.json["community"] == "Norr"
    found = terminal("--community", "x", "thing", "lend", "drill", "--json", **environment)
    assert found.json["community"] == "x", "a flag wins"
    options = Options(environment={"COMMONS_HOME": str(tmp_path)})
    assert run(["status", "--json"], VERBS, options) == 0
    assert run(["status", "--home", "/nowhere"], VERBS, options) == 3, "a flag wins here too"


def test_a_home_too_long_for_a_socket_still_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / ("long" * 30)
    with served(home):
        assert Terminal(home, capsys)("status", "--json").code == 0


def test_values_arrive_as_they_are_meant(terminal: Terminal, shed: Shed) -> None:
    terminal.unlock("alice")
    found = terminal(
        *[
            "thing",
            "lend",
            "drill",
            "--days",
            "3",
            "--keep",
            "1h30m",
            "--tag",
            "a",
            "--tag",
            "b",
            "--score",
            "2",
            "--json",
        ],
        "--until",
        "2026-05-01T18:00:00+02:00",
    ).json
    assert found["days"] == 3
    assert found["keep"] == 5400
    assert found["tag"] == ["a", "b"]
    assert found["until"] == "2026-05-01T16:00:00Z", "times travel in UTC"
    found = terminal(
        *["thing", "lend", "drill", "--until", "2026-05-01", "--keep", "90", "--json"]
    ).json
    assert found["until"] == "2026-05-01T00:00:00Z", "a date is midnight here"
    assert found["keep"] == 90
    assert terminal("thing", "lend", "--json", "--", "drill").code == 0


def test_a_file_is_sent_with_its_name(terminal: Terminal, shed: Shed, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a b c\n")
    found = terminal("thing", "import", str(tmp_path / "list.txt"), "--json").json
    assert (found["read"], found["name"]) == (3, "list.txt"), "the name, never the folder"
    terminal.unlock("alice")
    terminal("thing", "lend", "drill", "--offer", str(tmp_path / "list.txt"))
    terminal("thing", "lend", "drill", "--offer", "CODE" * 200)
    offers = [getattr(call[1], "offer", None) for call in shed.calls]
    assert offers[0] == File("list.txt", b"a b c\n"), "what is a file is read"
    assert offers[1] == "CODE" * 200, "what is no file is a code"


def test_a_file_is_written_whole_and_never_over_another(terminal: Terminal, tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    found = terminal("thing", "export", str(out), "--json").json
    assert out.read_bytes() == b"\x00things\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "data" not in found, "what is in the file is not printed"
    assert found["name"] == "out.bin"
    again = terminal("thing", "export", str(out), "--json")
    assert again.code == 2
    assert "there already" in again.error["message"]
    assert terminal("thing", "export", str(out), "--yes").code == 0


def test_a_report_is_shown_with_its_refusal(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a ? c\n")
    plain = terminal("thing", "import", str(tmp_path / "list.txt"))
    assert plain.code == 1
    assert plain.out == "Row  Outcome\n1    failed\n"
    ended = terminal("thing", "import", str(tmp_path / "list.txt"), "--json")
    report: Any = ended.error["report"]
    assert report["rows"] == [{"row": 1, "outcome": "failed"}]


def test_a_file_that_is_too_large_is_not_sent(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from commons_cli import values

    monkeypatch.setattr(values, "_MAX_FILE", 10)
    (tmp_path / "big").write_bytes(bytes(11))
    assert terminal("thing", "import", str(tmp_path / "big")).code == 2


def test_what_destroys_asks_and_never_without_a_person(terminal: Terminal, shed: Shed) -> None:
    ended = terminal("thing", "remove", "drill", "--json")
    assert ended.code == 2
    assert ended.error["message"] == "Remove drill for ever?"
    assert "--yes" in ended.error["hint"]
    assert "drill" in shed.things
    ended = terminal("thing", "remove", "drill", "--yes")
    assert ended.code == 0
    assert "drill" not in shed.things
    assert ended.out == "drill is gone.\n"
    assert "pending (a steward is asked)" in ended.err, "what is not settled is said"


def test_base64_is_what_is_sent(tmp_path: Path) -> None:
    from commons_cli.values import FileIn

    (tmp_path / "f").write_bytes(bytes(range(256)))
    sent = FileIn().convert(str(tmp_path / "f"), None, None)
    assert base64.b64decode(sent["data"]) == bytes(range(256))


def test_a_missing_file_is_no_code(tmp_path: Path) -> None:
    from commons_cli.values import FileIn

    offer = FileIn(or_text=True)
    assert offer.convert("9F3K-QQ", None, None) == "9F3K-QQ", "a code is handed on"
    for missing in (str(tmp_path / "gone"), "offer.bin"):
        with pytest.raises(click.BadParameter, match="cannot be read"):
            offer.convert(missing, None, None)
