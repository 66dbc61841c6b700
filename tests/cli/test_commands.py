"""The command line against a real node: what it prints where, and how it ends."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from structlog.testing import capture_logs
from tests.cli.shed import ALICE, PASSPHRASES, VERBS, Shed, served

from commons_cli.main import run
from commons_cli.options import Options
from commons_cli.terminal import load_token, session_name
from commons_node.api.types import ExitCode
from commons_node.keystore import sealing
from commons_node.registry import File


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch passphrases little, and have no settings from outside."""
    monkeypatch.setattr(sealing, "MEMORY", 1 << 16)
    monkeypatch.setattr(sealing, "PASSES", 1)
    for name in ("COMMONS_HOME", "COMMONS_AS", "COMMONS_COMMUNITY", "COLUMNS", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.err == "", "nothing but data"
        (line,) = self.out.splitlines()
        assert line.startswith('{"v": 1, "ok": true')
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def error(self) -> dict[str, str]:
        assert self.out == "", "a failure puts nothing on stdout"
        last = json.loads(self.err.splitlines()[-1])
        assert {"v": last["v"], "ok": last["ok"]} == {"v": 1, "ok": False}
        assert {"code", "message", "hint"} <= last["error"].keys()
        error: dict[str, str] = last["error"]
        return error


class Terminal:
    """Somebody at a terminal of the node in ``home``; without a person to ask."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capsys = capsys
        self.started: list[list[str]] = []

    def __call__(self, *arguments: str, **environment: str) -> Ended:
        given = ["--home", str(self.home), *arguments]
        options = Options(environment=environment, start=self.started.append)
        code = run(given, VERBS, options)
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ended(code, captured.out, captured.err)

    def secret(self, name: str) -> str:
        """A file with a passphrase."""
        path = self.home / f"{name}.txt"
        path.touch(0o600)
        path.write_text(PASSPHRASES.get(name, name) + "\n")
        return str(path)

    def unlock(self, name: str) -> None:
        assert self("member", "unlock", name, "--passphrase-file", self.secret(name)).code == 0


@pytest.fixture
def alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal where no node runs."""
    return Terminal(tmp_path, capsys)


@pytest.fixture
def shed(tmp_path: Path) -> Iterator[Shed]:
    with served(tmp_path) as found:
        yield found


@pytest.fixture
def terminal(shed: Shed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal whose node runs."""
    return Terminal(tmp_path, capsys)


# -- exit codes --------------------------------------------------------------------------------


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


# -- options of every command ------------------------------------------------------------------


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


# -- values ------------------------------------------------------------------------------------


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


# -- unlocking ---------------------------------------------------------------------------------


def test_unlocking_is_kept_for_this_terminal_session(terminal: Terminal, tmp_path: Path) -> None:
    terminal.unlock("alice")
    token = load_token(tmp_path)
    assert token is not None
    kept = tmp_path / "run" / "sessions" / session_name()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert terminal("thing", "lend", "drill").code == 0
    terminal("member", "lock", "alice")
    assert terminal("thing", "lend", "drill").code == 4


def test_a_token_that_others_can_read_is_not_used(terminal: Terminal, tmp_path: Path) -> None:
    terminal.unlock("alice")
    (tmp_path / "run" / "sessions" / session_name()).chmod(0o644)
    assert load_token(tmp_path) is None
    assert terminal("thing", "lend", "drill").code == 4


def test_a_passphrase_file_unlocks_for_one_call(
    terminal: Terminal, shed: Shed, tmp_path: Path
) -> None:
    secret = terminal.secret("alice")
    found = terminal("thing", "lend", "drill", "--as", "alice", "--passphrase-file", secret)
    assert found.code == 0, found.err
    assert load_token(tmp_path) is None, "the terminal is as locked as before"
    assert terminal("thing", "lend", "drill").code == 4
    failed = terminal("thing", "lend", "kite", "--as", "alice", "--passphrase-file", secret)
    assert failed.code == 1
    assert all(not session.members() for session in shed.sessions._sessions.values()), (
        "locked again also after a failure"
    )
    whose = terminal("thing", "lend", "drill", "--passphrase-file", secret, "--json")
    assert whose.code == 2
    assert "--as" in whose.error["hint"]


def test_a_passphrase_from_standard_input(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    given = io.TextIOWrapper(io.BytesIO(PASSPHRASES["alice"].encode() + b"\r\nmore\n"))
    monkeypatch.setattr(sys, "stdin", given)
    assert terminal("member", "unlock", "alice", "--passphrase-file", "-").code == 0


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe\n"])
def test_a_useless_passphrase_file_is_a_usage_error(
    terminal: Terminal, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.touch(0o600)
        path.write_bytes(content)
    ended = terminal("member", "unlock", "alice", "--passphrase-file", str(path), "--json")
    assert ended.code == 2
    assert ended.error["code"] == "usage"


def test_a_passphrase_file_that_others_may_read_is_refused(terminal: Terminal) -> None:
    file = Path(terminal.secret("alice"))
    file.chmod(0o640)
    ended = terminal("member", "unlock", "alice", "--passphrase-file", str(file), "--json")
    assert (ended.code, ended.error["hint"]) == (2, f"chmod 600 {file}")
    file.chmod(0o600)
    assert terminal("member", "unlock", "alice", "--passphrase-file", str(file)).code == 0


def test_a_new_member_needs_a_passphrase_that_is_not_weak(
    terminal: Terminal, tmp_path: Path
) -> None:
    nobody = terminal("found", "Söder", "--json")
    assert nobody.code == 2
    assert "--passphrase-file" in nobody.error["hint"]
    weak = terminal("found", "Söder", "--passphrase-file", terminal.secret("1234567"), "--json")
    assert weak.code == 2
    assert weak.error["code"] == "weak_passphrase"
    good = terminal("found", "Söder", "--passphrase-file", terminal.secret("four random words"))
    assert good.code == 0
    assert good.out == "Söder is founded.\n"
    assert load_token(tmp_path), "who founds is unlocked"


def test_no_secret_is_an_option(terminal: Terminal) -> None:
    ended = terminal("found", "Söder", "--passphrase", "four random words", "--json")
    assert ended.code == 2


# -- for people --------------------------------------------------------------------------------


def test_a_sentence_with_local_time_and_short_ids(terminal: Terminal) -> None:
    terminal.unlock("alice")
    assert terminal("thing", "lend", "drill").out == "drill is lent to a1a1a1a1a1a1.\n"
    ended = terminal("thing", "lend", "drill", "--until", "2026-05-01T18:00Z")
    assert ended.out == "drill is lent until 2026-05-01 18:00.\n"
    assert terminal("thing", "lend", "drill", "-q").out == "", "-q says nothing that is no data"


def test_a_table(terminal: Terminal) -> None:
    assert terminal("thing", "list").out.splitlines() == [
        "Name           State  Id",
        "drill          in     000000000000",
        "ladder         in     000000000000",
        "Söder's spade  in     000000000000",
    ]
    assert terminal("thing", "list", "--query", "kite").out == "The shed is empty.\n"


def test_any_answer_can_be_shown_and_doubts_are_told(terminal: Terminal) -> None:
    ended = terminal("status")
    assert ended.out.splitlines() == [
        "version  0",
        "node     0f0f0f0f0f0f",
        "ready    yes",
        "peers",
        "  node  up",
        "  x     1",
    ]
    assert "1 known to be missing" in ended.err
    assert "1 contested" in ended.err
    assert terminal("status", "-q").err == ""


def test_names_cannot_drive_the_terminal(terminal: Terminal, shed: Shed) -> None:
    shed.things = {"\x1b[2Jevil\u202e\r\n\x9bname": "in"}
    ended = terminal("thing", "list")
    assert not set(ended.out) & set("\x1b\u202e\r\x9b")
    assert "evil" in ended.out
    assert json.loads(terminal("thing", "list", "--json").out)["things"][0]["name"].startswith(
        "\x1b[2J"
    ), "JSON holds it as it is, escaped"


def test_a_code_is_text_where_no_terminal_shows_it(terminal: Terminal) -> None:
    assert terminal("invite", "create").out.startswith("commons1")
    assert "█" not in terminal("invite", "create").out


# -- what is no verb ---------------------------------------------------------------------------


def test_run_and_demo_start_the_daemon_with_the_flags_given(alone: Terminal) -> None:
    alone("run", "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip6/::1/tcp/0", "--no-lan")
    alone("run", "--ready-file", "f")
    alone("--json", "demo")
    start = ["-m", "commons_node", "run", "--home", str(alone.home)]
    assert alone.started == [
        [*start, "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip6/::1/tcp/0", "--no-lan"],
        [*start, "--ready-file", "f"],
        ["-m", "commons_node", "demo", "--json"],
    ]


def test_paths_and_version(alone: Terminal) -> None:
    found = alone("paths", "--json").json
    assert found["home"] == str(alone.home)
    assert found["socket"] == str(alone.home / "run" / "api.sock")
    assert str(alone.home / "config.toml") in alone("paths").out
    assert alone("version", "--json").json["version"]
    assert alone("version").out.startswith("commons-node ")


def test_help_topics_and_commands(alone: Terminal) -> None:
    codes = alone("help", "exit-codes").out
    for code in ExitCode:
        assert f"{int(code):>4}  " in codes
    assert "COMMONS_HOME" in alone("help", "environment").out
    assert "--json" in alone("help", "formatting").out
    assert "Lend a thing." in alone("help", "thing", "lend").out
    assert alone("help", "thing", "lend").out == alone("thing", "lend", "--help").out
    assert "Lend a thing." in alone("thing", "--help").out
    assert "thing" in alone("help").out
    assert alone("help", "exit-codes", "--json").json["text"] == codes.rstrip("\n")


def test_a_noun_alone_shows_its_verbs_and_is_no_command(alone: Terminal) -> None:
    ended = alone("thing")
    assert ended.code == 2
    assert "lend" in ended.err
    assert alone("thing", "--json").error["code"] == "usage"


def test_a_near_word_is_suggested(alone: Terminal) -> None:
    ended = alone("thing", "lsit", "--json")
    assert ended.error["hint"] == "commons-node thing list"


def test_events_are_lines_of_json(terminal: Terminal, shed: Shed) -> None:
    import threading

    def tell() -> None:
        for _ in range(500):
            if len(shed.events):
                break
            threading.Event().wait(0.01)
        options = Options(home=str(terminal.home))
        run(["thing", "lend", "drill", "--json"], VERBS, options)
        run(["thing", "lend", "ladder", "--json"], VERBS, options)

    terminal.unlock("alice")
    teller = threading.Thread(target=tell)
    teller.start()
    ended = terminal("events", "--count", "2")
    teller.join()
    heard = [json.loads(line) for line in ended.out.splitlines() if '"event"' in line]
    assert heard == [
        {"v": 1, "event": "lent", "thing": "drill"},
        {"v": 1, "event": "lent", "thing": "ladder"},
    ]
    late = terminal("events", "--timeout", "0.3", "--json")
    assert late.code == 5, "a stream ends with its time"


def test_a_broken_pipe_is_no_drama(terminal: Terminal) -> None:
    import subprocess
    import sys

    script = (
        "import sys, json; from commons_cli.main import run;"
        "sys.exit(run(sys.argv[1:], json.load(open('verbs.json'))))"
    )
    (terminal.home / "verbs.json").write_text(json.dumps(VERBS))
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", script, "--home", str(terminal.home), "thing", "list"],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=terminal.home,
        check=False,
    )
    os.close(writer)
    assert ended.returncode == 1
    assert ended.stderr == b"", "no traceback, no complaint"


# -- completion --------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_for_each_shell(alone: Terminal, shell: str) -> None:
    ended = alone("completion", shell)
    assert ended.code == 0
    assert "_COMMONS_NODE_COMPLETE" in ended.out
    assert alone("completion", shell, "--json").json["shell"] == shell


def complete(words: str, verbs: dict[str, Any], home: Path) -> list[str]:
    from click.shell_completion import ShellComplete

    from commons_cli.build import build

    parts = ["--home", str(home), *words.split(" ")]
    found = ShellComplete(
        build(verbs), {}, "commons-node", "_COMMONS_NODE_COMPLETE"
    ).get_completions(parts[:-1], parts[-1])
    return [one.value for one in found]


def test_things_are_completed_from_the_running_node(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete("thing lend d", VERBS, tmp_path) == ["drill"]
    assert complete("thing lend S", VERBS, tmp_path) == ["Söder's spade"]
    assert complete("thing l", VERBS, tmp_path) == ["lend", "list"]
    assert complete("thing lend --state ", VERBS, tmp_path) == ["ok", "ticket"]
    assert "--days" in complete("thing lend --", VERBS, tmp_path)
    monkeypatch.setenv("_COMMONS_NODE_COMPLETE", "bash_complete")
    (quoted,) = complete("thing lend s", VERBS, tmp_path)
    assert " " not in quoted.replace("'\"'\"'", "").replace("'Söders spade'", "")


def test_completion_is_silent_without_a_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complete("thing lend d", VERBS, tmp_path) == []
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


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
