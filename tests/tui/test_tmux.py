"""The real program in a real terminal: what tmux shows is what a person sees.

The other tests drive the app from inside; here only keys go in and characters come out, through
the command line, the terminal's driver and its escape sequences.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, House, Street, clean_environment
from tests.tui.hall import build
from tests.tui.screen import flat

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed here"),
]
PATIENCE_S = 60.0


class Tmux:
    """A terminal of a given size with a server of its own, ended whatever happens."""

    def __init__(self, home: Path, size: tuple[int, int]) -> None:
        self._socket = home.parent / f"tmux-{size[0]}"
        self._home, self._size = home, size

    def __enter__(self) -> Self:
        wide, high = map(str, self._size)
        program = f"{sys.executable} -m commons_cli.main tui; echo ended with $?; exec cat"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", wide, "-y", high, "-s", "it",
                   program)  # fmt: skip
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.text())
        self._tmux("kill-server")

    def _tmux(self, *words: str) -> str:
        environment = clean_environment(self._home)
        for size in ("COLUMNS", "LINES"):  # of the terminal that the tests run in
            environment.pop(size, None)
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *words],
            env={**environment, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        return done.stdout

    def text(self) -> str:
        """The screen."""
        return self._tmux("capture-pane", "-p", "-t", "it")

    def press(self, *keys: str) -> None:
        """Keys by tmux's names."""
        self._tmux("send-keys", "-t", "it", *keys)

    def types(self, text: str) -> None:
        """Letters as they are."""
        self._tmux("send-keys", "-l", "-t", "it", text)

    def resize(self, wide: int, high: int) -> None:
        """Another size of the window."""
        self._tmux("resize-window", "-t", "it", "-x", str(wide), "-y", str(high))

    def sees(self, *words: str) -> str:
        """Wait until all of this stands there."""
        deadline = time.monotonic() + PATIENCE_S
        while not all(word in flat(self.text()) for word in words):
            assert time.monotonic() < deadline, f"{words} is on the screen:\n{self.text()}"
            time.sleep(0.1)
        return self.text()

    def leaves(self, word: str) -> None:
        """Put away what says this. Nothing is typed right behind the key: that were Alt."""
        self.press("Escape")
        deadline = time.monotonic() + PATIENCE_S
        while word in flat(self.text()):
            assert time.monotonic() < deadline, f"{word} is gone:\n{self.text()}"
            time.sleep(0.1)

    def insists(self, key: str, word: str) -> None:
        """Press a key until something stands there, as a person would."""
        deadline = time.monotonic() + PATIENCE_S
        while word not in flat(self.text()):
            assert time.monotonic() < deadline, f"{word} is on the screen:\n{self.text()}"
            self.press(key)
            soon = time.monotonic() + 3
            while word not in flat(self.text()) and time.monotonic() < soon:
                time.sleep(0.1)


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    return build(elm_street)


@pytest.mark.parametrize("size", [(40, 20), (80, 24)], ids=["40x20", "80x24"])
def test_a_steward_lends_from_a_real_terminal(hall: House, size: tuple[int, int]) -> None:
    number = "7" if size == (40, 20) else "8"
    with Tmux(hall.home, size) as terminal:
        terminal.sees("Elm Street", "u Unlock", "Locked")
        terminal.press("u")
        terminal.sees("Who acts?")
        terminal.types(PASSPHRASE)
        terminal.press("Enter")
        terminal.sees("◆ Anna", "Waiting for you")
        terminal.press("3")
        terminal.sees("▸3 Loans")
        terminal.press("/")
        terminal.sees("Filter:")
        terminal.types(number)
        terminal.press("Enter")
        terminal.sees("asked for", "a Yes")
        terminal.insists("Enter", "✓ Bo asked for it")  # the list has the keys in a moment
        terminal.insists("Enter", "commons-node explain")
        why = terminal.sees("Why", "commons-node explain", "counts")
        assert max(map(len, why.splitlines())) <= size[0], "nothing runs out of the terminal"
        terminal.leaves("commons-node explain")
        terminal.press("a")
        terminal.sees("approved", "h Hand over")  # the word is said before the list is read again
        terminal.press("h")
        terminal.sees("It changes hands when the other one takes it")
        terminal.leaves("It changes hands")
        terminal.sees("offered")
        terminal.press("?")
        terminal.sees("Keys", "Hand over")
        terminal.leaves("Here: Loans.")
        terminal.press(":")
        terminal.sees("Search for commands")
        terminal.types("how the node is")
        terminal.sees("commons-node status")
        terminal.press("Enter")
        terminal.sees("How the node is", "peers connected", "Elm Street")
        terminal.leaves("How the node is")
        terminal.resize(100, 30)
        terminal.sees("1 Home", "0 Settings")
        terminal.resize(*size)
        terminal.press("2")
        terminal.sees("Spirit level")
        terminal.press("q")
        terminal.sees("ended with 0")
    (loan,) = [one for one in hall.see("loan.list")["loans"] if one["number"] == number]
    assert loan["state"] == "offered", "the node has it, and goes on without the window"
    assert [step["name"] for step in loan["steps"]] == ["Bo", "Anna", "Anna"]


def test_it_says_when_there_is_no_terminal(hall: House) -> None:
    said = hall.cli("tui")
    assert said.code == 2
    assert "needs a terminal" in said.err
