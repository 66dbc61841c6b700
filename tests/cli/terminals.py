"""A terminal at a real node: what it was told, and what it printed where."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cli.shed import PASSPHRASES, VERBS

from commons_cli.main import run
from commons_cli.options import Options


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
