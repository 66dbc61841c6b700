"""Unlocking at a terminal: a passphrase is asked for, read from a file, and never an option."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.cli.shed import PASSPHRASES, Shed
from tests.cli.terminals import Terminal

from commons_cli.terminal import load_token, session_name


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
