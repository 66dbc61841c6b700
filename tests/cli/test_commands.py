"""The command line for people: what it says, what is no verb, and what it completes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.cli.shed import VERBS, Shed
from tests.cli.terminals import Terminal

from commons_cli.main import run
from commons_cli.options import Options
from commons_node.api.types import ExitCode


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
