"""One node of a benchmark: a home, and a daemon in it that can be started and stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.processes import cpu, memory
from commons_node.api.client import Client

_START_S = 120.0
_STOP_S = 60.0
_NAP_S = 0.005


class Node:
    """Listens on loopback, at the same port after each start."""

    def __init__(self, name: str, home: Path) -> None:
        """Starts nothing yet."""
        self.name = name
        self.home = home
        self.node = ""
        self.address = ""
        self.session: str | None = None
        self.community: str | None = None
        """Which one is meant, where there are several."""
        self.settings: dict[str, str] = {}
        """``COMMONS_*`` of its next start."""
        self._socket = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        parts = self.address.split("/")
        return int(parts[parts.index("tcp") + 1])

    @property
    def runs(self) -> bool:
        """True while its daemon does."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The daemon's process."""
        assert self._process is not None, "the node runs"
        return self._process.pid

    def start(self) -> float:
        """Start the daemon; seconds until it was ready."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        ready = self.home / "ready.json"
        ready.unlink(missing_ok=True)
        began = time.monotonic()
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "commons_node", "run", "--home", str(self.home),
                    "--listen", "/ip4/127.0.0.1/tcp/0", "--no-lan", "--ready-file", str(ready),
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env={**os.environ, **self.settings},
            )  # fmt: skip
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > began + _START_S:
                raise RuntimeError(f"{self.name}'s node did not start:\n{self.log()}")
            time.sleep(_NAP_S)
        seconds = time.monotonic() - began
        line = json.loads(ready.read_text())
        self.node, self.address = line["node"], line["addresses"][0]
        self._socket = Path(line["socket"])
        self.session = None
        return seconds

    def stop(self) -> None:
        """End the daemon, if it runs."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def log(self) -> str:
        """The last lines of its log."""
        return "\n".join((self.home / "log").read_text(errors="replace").splitlines()[-20:])

    def client(self) -> Client:
        """A client in this node's terminal session."""
        return Client(self._socket, session=self.session, community=self.community)

    def do(self, name: str, seconds: float = 60.0, /, **arguments: Any) -> dict[str, Any]:
        """Run a command of the API."""
        answer = self.client().command(name, arguments, seconds)
        self.session = answer.get("session") or self.session
        return answer

    def see(self, name: str, seconds: float = 60.0, /, **arguments: Any) -> dict[str, Any]:
        """Read a view of the API."""
        return self.client().view(name, arguments, seconds)

    def cpu(self) -> dict[str, float]:
        """CPU seconds of the daemon and its workers so far, by thread."""
        return cpu(self.pid)

    def memory(self) -> int:
        """Bytes of memory of the daemon and its workers, shared pages counted once."""
        return memory(self.pid)
