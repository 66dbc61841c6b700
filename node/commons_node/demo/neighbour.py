"""One neighbour of the demo: a daemon process with a home of its own, and its API."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commons_node.api.client import Client

_START_S = 60.0
_CALL_S = 60.0


class Neighbour:
    """A node in a process of its own, listening on loopback only."""

    def __init__(self, name: str, home: Path) -> None:
        """Starts the process; ``ready`` must follow."""
        self.name = name
        self.home = home
        self.session: str | None = None
        self.node = ""
        self.address = ""
        self._socket = Path()
        self._file = home / "ready.json"
        home.mkdir(mode=0o700, exist_ok=True)
        self._log = (home / "log").open("ab")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """The daemon on this home; it writes the ready file when it answers.

        It ends when its standard input does: nobody is left behind, however this process ends.
        """
        return subprocess.Popen(  # noqa: S603 - our own program
            [
                sys.executable, "-m", "commons_node", "run", "--home", str(self.home),
                "--listen", "/ip4/127.0.0.1/tcp/0", "--no-lan", "--ready-file", str(self._file),
                "--until-stdin-closes",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log,
        )  # fmt: skip

    def ready(self) -> None:
        """Wait until the node answers; ``RuntimeError`` with its log if it does not."""
        deadline = time.monotonic() + _START_S
        while not self._file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}'s node did not start:\n{self.log()}")
            time.sleep(0.02)
        line = json.loads(self._file.read_text())
        self.node, self.address = line["node"], line["addresses"][0]
        self._socket = Path(line["socket"])

    def log(self) -> str:
        """The last lines of the node's log."""
        return "\n".join((self.home / "log").read_text(errors="replace").splitlines()[-20:])

    def _client(self) -> Client:
        return Client(self._socket, session=self.session)

    def do(self, verb: str, /, **arguments: Any) -> dict[str, Any]:
        """Run a command of the API."""
        answer = self._client().command(verb, arguments, _CALL_S)
        self.session = answer.get("session") or self.session
        return answer

    def see(self, verb: str, /, **arguments: Any) -> dict[str, Any]:
        """Read a view of the API."""
        return self._client().view(verb, arguments, _CALL_S)

    def refusals(self) -> Mapping[str, int]:
        """What this node refused so far, by code."""
        found: Mapping[str, int] = self.see("status")["refusals"]
        return found

    def end(self) -> None:
        """Ask the process to stop; make it, if it does not."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()
