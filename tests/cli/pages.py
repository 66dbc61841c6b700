"""Pages of examples that are run: what stands there is what the program prints.

In a page, fenced blocks marked ``console`` hold commands after ``$`` and below them their output,
stdout and stderr as a terminal shows them. ``[..]`` stands for anything within a line, a line of
``...`` for any number of lines. ``console (exit=2)`` says how the block's last command ends; all
others end with 0. A command that ends in ``&`` is a daemon: the page goes on when it is ready.

Each page runs in one shell session of its own, in an empty folder, with homes below it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

FENCE: Final = re.compile(r"^```console(?: \(exit=(\d+)\))?\s*$")
ANYTHING: Final = "[..]"
ANY_LINES: Final = "..."
PATIENCE_S: Final = 300.0


@dataclass
class Step:
    """One command of a page, where it stands, what it prints, and how it ends."""

    line: int
    command: str
    expected: list[str] = field(default_factory=list)
    exit: int = 0

    @property
    def daemon(self) -> bool:
        """Whether it goes on in the background."""
        return self.command.endswith("&")


def steps_of(text: str) -> list[Step]:
    """The commands of a page in order. Raises ValueError for a block that does not end."""
    steps: list[Step] = []
    block: list[Step] | None = None
    exit_code = 0
    for number, line in enumerate(text.splitlines(), 1):
        if block is None:
            if found := FENCE.match(line):
                block, exit_code = [], int(found[1] or 0)
        elif line.startswith("```"):
            if block:
                block[-1].exit = exit_code
            steps += block
            block = None
        elif line.startswith("$ "):
            block.append(Step(number, line[2:].strip()))
        elif block and block[-1].command.endswith("\\") and line.startswith("> "):
            block[-1].command = block[-1].command[:-1] + line[2:].strip()
        elif block:
            block[-1].expected.append(line)
        elif line.strip():
            raise ValueError(f"line {number}: output before any command")
    if block is not None:
        raise ValueError("the last block does not end")
    return steps


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether ``printed`` is what the page says, with its wildcards."""
    if not expected:
        return not printed
    if expected[0].strip() == ANY_LINES:
        return any(matches(expected[1:], printed[at:]) for at in range(len(printed) + 1))
    if not printed:
        return False
    pattern = ".*".join(re.escape(part) for part in expected[0].rstrip().split(ANYTHING))
    return re.fullmatch(pattern, printed[0].rstrip()) is not None and matches(
        expected[1:], printed[1:]
    )


_ZONES = (
    "UTC", "Asia/Tokyo", "Asia/Dubai", "America/Phoenix", "Pacific/Honolulu", "Asia/Kabul",
    "Asia/Kolkata", "Asia/Yangon", "Australia/Darwin", "America/St_Johns", "Pacific/Marquesas",
)  # fmt: skip


def zone_of_rest(now: datetime) -> str:
    """A zone in which it is day, and not soon a full hour: no job is due while a page runs.

    A page says which run is the first; what comes by its schedule would be counted with it.
    """
    for name in _ZONES:
        there = now.astimezone(ZoneInfo(name))
        if 10 <= there.hour < 23 and there.minute < 50:
            return name
    raise AssertionError(f"it is nowhere day at {now}")


class Shell:
    """One terminal session's shell, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Start it; nothing of this machine's settings reaches it."""
        self._folder = folder
        self._mark = secrets.token_hex(8)
        self._daemons: list[Path] = []
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(folder),
            "COMMONS_HOME": str(folder / "home"),
            "COMMONS_LAN": "false",
            "COMMONS_LISTEN": "/ip4/127.0.0.1/tcp/0",
            "COLUMNS": "100",
            "COMMONS_JOBS_ZONE": zone_of_rest(datetime.now(UTC)),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
        }
        self._shell = subprocess.Popen(
            ["sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[int, list[str]]:
        """Run a command to its end: ``(exit code, lines printed)``."""
        return self._send(f"{{ {command}\n}} </dev/null")

    def start(self, command: str) -> None:
        """Start a daemon and wait until it is ready."""
        ready = self._folder / f".ready-{len(self._daemons)}"
        log = self._folder / f".log-{len(self._daemons)}"
        bare = command.rstrip("&").rstrip()
        self._send(f"{bare} --ready-file {ready} </dev/null >{log} 2>&1 &")
        until = time.monotonic() + PATIENCE_S
        while not ready.is_file():
            assert time.monotonic() < until, f"{command}: not ready\n{log.read_text()}"
            time.sleep(0.05)
        self._daemons.append(ready)

    def close(self) -> None:
        """Stop the daemons as Ctrl-C would, then the shell. Raises AssertionError if one hangs."""
        pids = [int(json.loads(ready.read_text())["pid"]) for ready in self._daemons]
        for pid in pids:
            if _alive(pid):
                os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 20
        while any(_alive(pid) for pid in pids) and time.monotonic() < until:
            # The shell is their parent: it collects them when it is asked to do anything.
            self._send(":")
            time.sleep(0.05)
        hanging = [pid for pid in pids if _alive(pid)]
        for pid in hanging:
            os.kill(pid, signal.SIGKILL)
        self._shell.communicate(timeout=20)
        assert not hanging, "a daemon stops when it is told to"

    def _send(self, command: str) -> tuple[int, list[str]]:
        assert self._shell.stdin is not None
        script = f"{command}\nprintf '\\n%s %d\\n' {self._mark} $?\n"
        self._shell.stdin.write(script.encode())
        self._shell.stdin.flush()
        text = self._until_mark(command)
        printed, _, code = text.rpartition(f"\n{self._mark} ")
        return int(code), printed.splitlines()

    def _until_mark(self, command: str) -> str:
        assert self._shell.stdout is not None
        handle = self._shell.stdout.fileno()
        data, until = b"", time.monotonic() + PATIENCE_S
        end = re.compile(rf"\n{self._mark} [0-9]+\n$".encode())
        while not end.search(data):
            ready, _, _ = select.select([handle], [], [], max(until - time.monotonic(), 0))
            part = os.read(handle, 65536) if ready else b""
            assert part, f"{command}: no end\n{data.decode(errors='replace')}"
            data += part
        return data.decode(errors="replace")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return sys.platform != "linux"
    return status.rpartition(")")[2].split()[0] != "Z"


def differences(page: Path, folder: Path) -> Iterator[str]:
    """Run a page in ``folder``; what is not as the page says, readable. Stops at the first."""
    shell = Shell(folder)
    try:
        for step in steps_of(page.read_text(encoding="utf-8")):
            if step.daemon:
                shell.start(step.command)
                continue
            code, printed = shell.run(step.command)
            expected = list(step.expected)
            while expected and not expected[-1].strip():
                expected.pop()
            while printed and not printed[-1].strip():
                printed.pop()
            if code != step.exit or not matches(expected, printed):
                yield "\n".join(
                    [
                        f"{page.name}:{step.line}: $ {step.command}",
                        f"--- the page says (exit {step.exit})",
                        *expected,
                        f"--- it printed (exit {code})",
                        *printed,
                    ]
                )
                return
    finally:
        shell.close()
