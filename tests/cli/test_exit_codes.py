"""How a command ends: each exit code, and what a fault of ours shows."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from tests.cli.shed import VERBS
from tests.cli.terminals import Terminal

from commons_cli.main import run
from commons_cli.options import Options
from commons_node.api.types import ExitCode


def test_0_when_it_worked(terminal: Terminal) -> None:
    assert terminal("status").code == int(ExitCode.OK) == 0


def test_1_when_it_did_not(terminal: Terminal) -> None:
    terminal.unlock("alice")
    ended = terminal("thing", "lend", "kite")
    assert ended.code == int(ExitCode.FAILED) == 1
    assert ended.err == (
        "error: commons-node thing lend did not work\n"
        "  why: There is no thing called kite.\n"
        "  try: commons-node thing list\n"
    ), "what, why, and the command to run next"


@pytest.mark.parametrize(
    "line",
    [
        "thnig list",
        "thing lsit",
        "thing lend",
        "thing lend drill ladder",
        "thing lend drill --dais 3",
        "thing lend drill --days",
        "thing lend drill --days three",
        "thing lend drill --days 0",
        "thing lend drill --keep soon",
        "thing lend drill --keep 7x",
        "thing lend drill --keep -5m",
        "thing lend drill --until someday",
        "thing lend drill --until 2026-13-01",
        "thing lend drill --state lost",
        "thing lend drill --score 4",
        "thing import /no/such/file",
        "thing export /no/such/folder/file",
        "--timeout 0 status",
        "--timeout never status",
        "completion tcsh",
        "help nothing",
    ],
)
def test_2_when_the_command_line_is_wrong(terminal: Terminal, line: str) -> None:
    plain = terminal(*line.split())
    assert plain.code == int(ExitCode.USAGE) == 2
    assert plain.out == ""
    assert plain.err.startswith("error: ")
    assert "  why: " in plain.err
    for words in (["--json", *line.split()], [*line.split(), "--json"]):
        if line.endswith("--days") and words[-1] == "--json":
            continue  # there it is what --days was given
        ended = terminal(*words)
        assert ended.code == 2, "with --json as without"
        assert ended.error["code"] == "usage"


def test_3_when_no_node_runs(alone: Terminal) -> None:
    usual = {"COMMONS_HOME": str(alone.home)}
    plain = alone("status", **usual)
    assert plain.code == int(ExitCode.NOT_RUNNING) == 3
    assert plain.err.endswith("  try: commons-node run\n")
    ended = alone("status", "--json", **usual)
    assert ended.code == 3
    assert ended.error["code"] == "not_running"
    assert ended.error["hint"] == "commons-node run"


def test_what_starts_a_node_in_an_unusual_place_says_where(alone: Terminal) -> None:
    line = f"commons-node --home {alone.home} run"
    assert alone("status").err.endswith(f"  try: {line}\n"), "not one that starts another node"
    assert alone("status", "--json").error["hint"] == line


def test_3_also_when_a_killed_node_left_its_socket(alone: Terminal) -> None:
    import socket

    (alone.home / "run").mkdir()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(alone.home / "run" / "api.sock"))
    left.close()
    assert alone("status").code == 3


def test_4_when_the_member_is_locked(terminal: Terminal) -> None:
    ended = terminal("thing", "lend", "drill", "--json")
    assert ended.code == int(ExitCode.LOCKED) == 4
    assert ended.error["code"] == "locked"
    wrong = terminal("member", "unlock", "alice", "--passphrase-file", terminal.secret("wrong one"))
    assert wrong.code == 4


def test_5_when_the_time_is_over(terminal: Terminal) -> None:
    ended = terminal("thing", "nap", "15", "--timeout", "0.3", "--json")
    assert ended.code == int(ExitCode.TIMEOUT) == 5
    assert ended.error["code"] == "timeout"


def test_5_when_a_verb_waited_in_vain(terminal: Terminal) -> None:
    ended = terminal("sync", "wait", "--timeout", "0.2", "--json")
    assert ended.code == 5
    assert ended.error["code"] == "not_converged", "the verb itself was told how long"
    assert "0.2 s" in ended.error["message"]


def test_130_when_stopped(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    from commons_node.api.client import Client

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "view", interrupt)
    assert terminal("status").code == int(ExitCode.INTERRUPTED) == 130
    ended = terminal("status", "--json")
    assert ended.code == 130
    assert ended.error["code"] == "interrupted"


def test_a_fault_of_ours_shows_no_traceback(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from commons_node.api.client import Client

    def stumble(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Client, "view", stumble)
    ended = terminal("status", "--json")
    assert ended.code == 1
    assert ended.error["code"] == "internal"
    assert run(["--home", str(terminal.home), "-v", "status"], VERBS, Options()) == 1
    assert "RuntimeError: a fault" in capsys.readouterr().err, "-v shows it"


def test_a_fault_of_the_node_shows_no_secret(terminal: Terminal) -> None:
    with capture_logs() as lines:
        ended = terminal("thing", "stumble", "--json")
    assert lines, "the log has it"
    assert ended.code == 1
    assert ended.error["code"] == "internal"
    assert "1234" not in ended.err
