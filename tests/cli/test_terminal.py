"""Real processes on real terminals: who is asked what, and what one terminal keeps from another."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.cli.shed import ALICE, PASSPHRASES, VERBS, Shed, served

PROGRAM = """
import json, sys
from commons_cli.main import run
sys.exit(run(sys.argv[2:], json.load(open(sys.argv[1]))))
"""


@pytest.fixture
def shed(tmp_path: Path, light: None) -> Iterator[Shed]:
    (tmp_path / "verbs.json").write_text(json.dumps(VERBS))
    with served(tmp_path) as found:
        yield found


def line(home: Path, *words: str) -> list[str]:
    """The command line of our program for the shed's verbs."""
    program = [sys.executable, "-c", PROGRAM, str(home / "verbs.json")]
    return [*program, "--home", str(home), *words]


class Person:
    """Somebody who runs one command at a terminal of their own, reads and types."""

    def __init__(
        self,
        home: Path,
        *words: str,
        size: tuple[int, int] = (24, 80),
        program: list[str] | None = None,
    ) -> None:
        """``program``: another one than that of the shed."""
        self.seen = ""
        self._read_to = 0
        pid, self._terminal = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs the tests may ignore it
            argv = [*program, *words] if program else line(home, *words)
            os.execv(sys.executable, argv)  # noqa: S606 -- our own program
        self.pid = pid
        termios.tcsetwinsize(self._terminal, size)

    def sees(self, text: str, seconds: float = 15.0) -> None:
        """Wait until ``text`` stands on the screen, after what was waited for before."""
        until = time.monotonic() + seconds
        while (at := self.seen.find(text, self._read_to)) < 0:
            left = until - time.monotonic()
            assert left > 0, f"{text!r} is not in {self.seen!r}"
            assert self._read(left), f"{text!r} is not in {self.seen!r}"
        self._read_to = at + len(text)

    def types(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def ends(self) -> int:
        """Read on until the program ends; its exit code."""
        while self._read(15.0):
            pass
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(1)  # the terminal closes a moment before the end; whoever stays is ended
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # how a pty says that the other side is closed
            return False
        self.seen += data.decode().replace("\r\n", "\n")
        return bool(data)


def test_a_locked_member_is_asked_for_the_passphrase_once(shed: Shed, tmp_path: Path) -> None:
    alice = Person(tmp_path, "--as", "alice", "thing", "lend", "drill")
    alice.sees("Passphrase of alice: ")
    alice.types(PASSPHRASES["alice"] + "\n")
    assert alice.ends() == 0
    assert "drill is lent" in alice.seen
    assert PASSPHRASES["alice"] not in alice.seen, "what is typed is not shown"


def test_without_a_name_it_asks_who_acts(shed: Shed, tmp_path: Path) -> None:
    alice = Person(tmp_path, "thing", "lend", "drill")
    alice.sees("Who acts: ")
    alice.types("alice\n")
    alice.sees("Passphrase of alice: ")
    alice.types(PASSPHRASES["alice"] + "\n")
    assert alice.ends() == 0


def test_a_wrong_passphrase_is_not_asked_for_again(shed: Shed, tmp_path: Path) -> None:
    eve = Person(tmp_path, "--as", "alice", "thing", "lend", "drill")
    eve.sees("Passphrase of alice: ")
    eve.types("guess\n")
    assert eve.ends() == 4
    assert "does not open" in eve.seen


def test_a_new_passphrase_is_asked_twice(shed: Shed, tmp_path: Path) -> None:
    alice = Person(tmp_path, "found", "Söder")
    alice.sees("Passphrase (protects your keys): ")
    alice.types("four random words\n")
    alice.sees("The same again: ")
    alice.types("four other words\n")
    alice.sees("do not match")
    alice.sees("Passphrase (protects your keys): ")
    alice.types("four random words\n")
    alice.sees("The same again: ")
    alice.types("four random words\n")
    assert alice.ends() == 0


def test_a_weak_passphrase_is_not_asked_for_again(shed: Shed, tmp_path: Path) -> None:
    alice = Person(tmp_path, "found", "Söder")
    alice.sees("Passphrase (protects your keys): ")
    alice.types("anna\n")
    assert alice.ends() == 2
    assert "at least 8 characters" in alice.seen
    assert "The same again" not in alice.seen


def test_nobody_thinks_of_a_passphrase_for_a_node_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "verbs.json").write_text(json.dumps(VERBS))
    alice = Person(tmp_path, "found", "Söder")
    assert alice.ends() == 3
    assert "No node runs here" in alice.seen
    assert "Passphrase" not in alice.seen


@pytest.mark.long
def test_on_a_terminal_a_node_says_in_words_that_it_runs(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "commons_node", "run", "--home", str(tmp_path / "home"),
               "--no-lan", "--listen", "/ip4/127.0.0.1/tcp/0"]  # fmt: skip
    anna = Person(tmp_path, program=program)
    anna.sees(f"as process {anna.pid}. Ctrl-C stops it", 60)
    anna.sees("/ip4/127.0.0.1/tcp/", 60)
    anna.types("\x03")
    anna.sees("network: down", 60)
    assert anna.ends() == 0
    assert '"ready"' not in anna.seen, "that is for programs"


def test_what_destroys_asks_and_no_is_the_default(shed: Shed, tmp_path: Path) -> None:
    alice = Person(tmp_path, "thing", "remove", "drill")
    alice.sees("Remove drill for ever? [y/N]: ")
    alice.types("\n")
    assert alice.ends() == 1, "no is an answer, not an interruption"
    assert "Nothing was changed." in alice.seen
    assert "drill" in shed.things
    alice = Person(tmp_path, "thing", "remove", "drill")
    alice.sees("[y/N]: ")
    alice.types("y\n")
    assert alice.ends() == 0
    assert "drill" not in shed.things


def test_what_wants_to_be_agreed_to_is_shown_and_asked(shed: Shed, tmp_path: Path) -> None:
    alice = Person(tmp_path, "thing", "admit", "cat")
    alice.sees("cat wants:")
    alice.sees("to sleep under the roof")
    alice.sees("to use the saw")
    alice.sees("Agree to that? [y/N]: ")
    alice.types("\n")
    assert alice.ends() == 1
    assert "Nothing was changed." in alice.seen
    assert "cat" not in shed.things
    alice = Person(tmp_path, "thing", "admit", "cat")
    alice.sees("Agree to that? [y/N]: ")
    alice.types("y\n")
    alice.sees("cat is in.")
    assert alice.ends() == 0
    assert "cat" in shed.things


def test_a_script_agrees_in_advance_or_by_the_word_it_was_given(shed: Shed, tmp_path: Path) -> None:
    def runs(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            line(tmp_path, "thing", "admit", "owl", *words), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    refused = runs("--json")
    assert refused.returncode == 1
    error = json.loads(refused.stderr)["error"]
    assert error["code"] == "not_agreed"
    assert len(error["report"]["wishes"]) == 2, "what it asks for is there to be read"
    assert "owl" not in shed.things, "nobody was asked, so nobody agreed"
    assert runs("--agree", "something else").returncode == 1
    assert "owl" not in shed.things
    assert json.loads(runs("--json", "--agree", error["report"]["agree"]).stdout)["guest"] == "owl"
    del shed.things["owl"]
    ended = runs("--yes")
    assert (ended.returncode, "to use the saw" in ended.stdout) == (0, True), (
        "it is shown all the same"
    )
    assert json.loads(runs("--json", "--yes").stdout)["guest"] == "owl", "one object, as always"


def at_work(shed: Shed) -> None:
    """Wait until a call has come to the node."""
    deadline = time.monotonic() + 30
    while not shed.calls:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_at_a_question_and_during_a_call(shed: Shed, tmp_path: Path) -> None:
    alice = Person(tmp_path, "--as", "alice", "thing", "lend", "drill")
    alice.sees("Passphrase of alice: ")
    alice.types("\x03")
    assert alice.ends() == 130
    bob = Person(tmp_path, "thing", "nap", "15", "--json")
    at_work(shed)
    bob.types("\x03")
    assert bob.ends() == 130
    assert json.loads(bob.seen.splitlines()[-1])["error"]["code"] == "interrupted"


def test_a_code_is_shown_as_qr_where_it_fits(shed: Shed, tmp_path: Path) -> None:
    wide = Person(tmp_path, "invite", "create")
    assert wide.ends() == 0
    rows = [row for row in wide.seen.splitlines() if set(row) & set("█▀▄")]
    assert 15 < len(rows) <= 22, "88 bytes fit at 80x24 with the code as text"
    assert len({len(row) for row in rows}) == 1
    assert len(rows[0]) <= 80
    assert "\x1b" not in wide.seen, "no colour"
    small = Person(tmp_path, "invite", "create", size=(20, 40))
    assert small.ends() == 0
    assert "█" not in small.seen, "where it does not fit, the text will do"
    assert "commons1" in small.seen


def in_session(*commands: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Run commands one after the other in one new session, as one terminal window does."""
    script = (
        "import json, subprocess, sys\n"
        "done = [subprocess.run(c, capture_output=True, text=True) for c in json.load(sys.stdin)]\n"
        "json.dump([[d.returncode, d.stdout, d.stderr] for d in done], sys.stdout)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        start_new_session=True,
        check=True,
    )
    return [
        subprocess.CompletedProcess([], code, out, err) for code, out, err in json.loads(ran.stdout)
    ]


def test_two_terminals_do_not_share_an_unlock(shed: Shed, tmp_path: Path) -> None:
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text(PASSPHRASES["alice"])
    unlock = line(
        tmp_path, "member", "unlock", "alice", "--passphrase-file", str(tmp_path / "secret")
    )
    lend = line(tmp_path, "thing", "lend", "drill", "--json")
    unlocked, lent = in_session(unlock, lend)
    assert unlocked.returncode == 0, unlocked.stderr
    assert lent.returncode == 0, "in the same terminal she is unlocked"
    assert json.loads(lent.stdout)["borrower"] == ALICE
    (elsewhere,) = in_session(lend)
    assert elsewhere.returncode == 4, "another terminal of the same user is not"
    assert json.loads(elsewhere.stderr.splitlines()[-1])["error"]["code"] == "locked"


def test_without_a_terminal_nobody_is_asked(shed: Shed, tmp_path: Path) -> None:
    began = time.monotonic()
    ended = subprocess.run(
        line(tmp_path, "--as", "alice", "thing", "lend", "drill"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 4
    assert time.monotonic() - began < 10
    assert "member unlock" in ended.stderr


def test_a_signal_in_the_middle_is_130(shed: Shed, tmp_path: Path) -> None:
    process = subprocess.Popen(
        line(tmp_path, "thing", "nap", "15"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        at_work(shed)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


def test_a_verb_may_go_on_with_another_that_asks_for_what_it_needs(
    shed: Shed, tmp_path: Path
) -> None:
    alice = Person(tmp_path, "thing", "paper", "print")
    alice.sees("The label is abcd efgh.")
    alice.sees("The thing it is on: ")
    alice.types("drill\n")
    alice.sees("The groups of the label: ")
    alice.types("abcd efgh\n")
    assert alice.ends() == 0
    assert "It is right." in alice.seen
    ((thing, given),) = shed.calls
    assert (thing, getattr(given, "groups", ""), getattr(given, "old", "")) == (
        "drill", "abcd efgh", None,
    ), "what may be left out is not asked for"  # fmt: skip


def test_a_secret_that_may_be_left_out_is_asked_for_when_told_so(
    shed: Shed, tmp_path: Path
) -> None:
    (tmp_path / "groups").touch(0o600)
    (tmp_path / "groups").write_text("abcd efgh\n")
    words = ("thing", "paper", "check", "drill", "--groups-file", str(tmp_path / "groups"))
    alice = Person(tmp_path, *words, "--old")
    alice.sees("The label before: ")
    alice.types("wxyz\n")
    assert alice.ends() == 0
    ((_, given),) = shed.calls
    assert getattr(given, "old", "") == "wxyz"


def test_secrets_come_from_files_where_nobody_can_be_asked(shed: Shed, tmp_path: Path) -> None:
    def said(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            line(tmp_path, *words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    assert said("thing", "paper", "print") == (0, "The label is abcd efgh.\n"), "and goes not on"
    code, text = said("thing", "paper", "check", "drill")
    assert (code, "--groups-file" in text) == (2, True)
    assert said("thing", "paper", "check", "drill", "--groups", "abcd efgh")[0] == 2
    (tmp_path / "groups").touch(0o600)
    (tmp_path / "groups").write_text("abcd efgh\n")
    file = ("--groups-file", str(tmp_path / "groups"))
    assert said("thing", "paper", "check", "drill", *file) == (0, "It is right.\n")
    assert said("thing", "paper", "check", "drill", *file, "--old")[0] == 2
    assert len(shed.calls) == 1
    assert "labels on paper" in said("thing", "paper", "--help")[1].lower()
