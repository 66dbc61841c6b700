"""The command line as a person uses it: run once, or from one terminal session again and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

CLI_S = 240.0
"""A bound for what hangs, not for what is slow: restoring takes some seconds of processor time."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one run of the command line printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        lines = self.out.splitlines()
        assert len(lines) == 1, f"--json prints exactly one line: {self}"
        answer: dict[str, Any] = json.loads(lines[0])
        assert answer["v"] == 1, "every answer says its version"
        assert answer["ok"] is True, "what is printed on stdout went well"
        return answer

    @property
    def error(self) -> dict[str, str]:
        """The object that is the last line on stderr."""
        assert not self.out, f"a failure prints nothing on stdout: {self}"
        answer = json.loads(self.err.splitlines()[-1])
        assert (answer["v"], answer["ok"]) == (1, False), "a failure says so"
        error: dict[str, str] = answer["error"]
        assert set(error) >= {"code", "message", "hint"}, "an error says what, why and what to do"
        assert all(isinstance(error[key], str) for key in ("code", "message", "hint"))
        return error


def clean_environment(home: Path) -> dict[str, str]:
    """This process's environment without settings of the developer's own node."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COMMONS_")}
    return {**kept, "COMMONS_HOME": str(home), "NO_COLOR": "1"}


def cli(
    home: Path,
    *words: str,
    given: str | None = None,
    session: bool = False,
    surroundings: Mapping[str, str] | None = None,
) -> Said:
    """Run the command line once; ``session``: as a terminal of its own.

    ``surroundings``: what else its environment holds.
    """
    done = subprocess.run(
        [sys.executable, "-m", "commons_cli.main", *words],
        env={**clean_environment(home), **(surroundings or {})},
        input=given if given is not None else "",
        capture_output=True,
        text=True,
        timeout=CLI_S,
        check=False,
        start_new_session=session,
    )
    return Said(done.returncode, done.stdout, done.stderr)


_SHELL = """
import json, subprocess, sys
for line in sys.stdin:
    words, given = json.loads(line)
    done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=60)
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""


class Terminal:
    """A terminal session of its own, in which one command line after the other is run."""

    def __init__(self, home: Path) -> None:
        """Use as a context manager."""
        self._shell = subprocess.Popen(
            [sys.executable, "-c", _SHELL],
            env=clean_environment(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def cli(self, *words: str, given: str = "") -> Said:
        """Run the command line in this session."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        command = [sys.executable, "-m", "commons_cli.main", *words, "--json"]
        self._shell.stdin.write(json.dumps([command, given]) + "\n")
        self._shell.stdin.flush()
        return Said(*json.loads(self._shell.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._shell.kill()
        self._shell.communicate()
