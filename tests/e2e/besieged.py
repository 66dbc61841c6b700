"""A node whose agents attack it: one run at a time, seen while it lives, and the node after it.

A run begins by asking a sensor at a serial line, which is this test: so its worker is there, and
waits, when the test looks into /proc. Then the sensor answers, and the attack begins.
"""

from __future__ import annotations

import asyncio
import base64
import os
import select
import tty
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.installed import packed
from tests.e2e.neighbourhood import BY_HAND, House, street, until
from tests.e2e.processes import command_of
from tests.sandbox.held import NOBODY, faults_of, status_of, uid_of
from tests.sandbox.prepared import lend

from commons_node.jobs.workers import SANDBOX

WAIT_S = 50
"""Of one question; a run may take longer."""
LONG_S = 300
"""A bound for what hangs, not for what is slow."""
GROWS = 40 << 20
"""Bytes by which the daemon's memory may grow at any moment of all attacks together: less than the
smallest thing of 50 MB that is thrown at it."""
CONFIG = (
    "verifier_workers = 1\nsync_interval_s = 5\n" + BY_HAND + "jobs_workers = 1\n"
    "agents_day_credits = 100000\nagents_community_credits = 100000\n"
    '[drivers.gate]\nkind = "serial-sensor"\ndevice = "{device}"\nask = "?"\ntimeout_s = 15\n'
)
GATE = '"driver.read" = { drivers = ["gate"] }\n'
HONEST_MAY = '"kv.get" = {}\n"kv.put" = {}\n"docs.query" = { collections = ["resource"] }\n'
HONEST = """
import json
import math


def main(event, host):
    runs = (host.kv.get(name="runs") or 0) + 1
    host.kv.put(name="runs", value=runs)
    names = [one["name"] for one in host.query("resource")["rows"]]
    return {"runs": runs, "names": names, "json": json.dumps({"a": [math.floor(2.5)]})}
"""


def toml(name: str, capabilities: str = "", limits: str = "", **head: str) -> str:
    """Of an agent that is tried once. ``head``: further lines of ``[agent]``."""
    first = {"name": name, "version": "1.0.0", **head}
    lines = "".join(f'{key} = "{value}"\n' for key, value in first.items())
    usual = {"memory": '"64MiB"', "wall": '"5min"', "credits": "2000"}
    room = "".join(f"{key} = {usual[key]}\n" for key in usual if f"{key} =" not in limits)
    return (
        f"[agent]\n{lines}[retry]\nmax_attempts = 1\n[capabilities]\n{capabilities}"
        f"[limits]\n{room}{limits}"
    )


class Gate:
    """A serial line at whose other end a test sits."""

    def __init__(self) -> None:
        """Opens both ends, so that neither hangs up."""
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.device = os.ttyname(self._theirs)

    def asked(self) -> None:
        """Wait until a run asks."""
        ready, _, _ = select.select([self._ours], [], [], LONG_S)
        assert ready, "a run begins by asking the sensor"
        assert os.read(self._ours, 1) == b"?"

    def answer(self) -> None:
        """Let it go on."""
        os.write(self._ours, b"1\n")

    def close(self) -> None:
        """Nobody asks any more."""
        os.close(self._ours)
        os.close(self._theirs)


class Besieged:
    """A founded node, an honest agent, and what is known of it before any attack."""

    def __init__(self, house: House, gate: Gate, around: Path) -> None:
        """``around``: all that the node could write, its home and its working folder included."""
        self.house = house
        self.gate = gate
        self._around = around
        self._runs = 0
        self.seen: list[int] = []
        """Workers that lived when a run was last looked at."""
        self._names = ["Drill"]
        house.found()
        house.do("resource.add", name="Drill", number="1")
        asyncio.run(lend(house.home))
        self._install(toml("honest", HONEST_MAY), {"agent.py": HONEST})
        self._pid = house.process.pid
        self._key = self._secret()
        self._files, self._most = self.files(), self._memory()
        self.healthy()
        # from here on the kernel counts anew what it had at most (proc(5), clear_refs)
        Path(f"/proc/{self._pid}/clear_refs").write_text("5", encoding="ascii")
        self._most = self._memory()

    def _secret(self) -> bytes:
        return (self.house.home / "node.key").read_bytes()

    def _memory(self) -> int:
        """Bytes that the daemon had at most, ever."""
        return int(status_of(self._pid)["VmHWM"].split()[0]) << 10

    def again(self) -> None:
        """The honest agent has run once more, by another hand."""
        self._runs += 1

    def files(self) -> set[Path]:
        """All paths, but those that SQLite makes and takes away beside its files."""
        own = ("-wal", "-shm", "-journal")
        return {one for one in self._around.rglob("*") if not one.name.endswith(own)}

    def workers(self) -> list[int]:
        """The processes in which its agents run, or wait to."""
        found = self.house.children()
        return [pid for pid in found if any(SANDBOX in word for word in command_of(pid))]

    def install(self, name: str, files: Mapping[str, bytes | str], **more: str) -> dict[str, Any]:
        """An agent that may ask the sensor, or its next version; ``more`` as for ``toml``."""
        capabilities = GATE + more.pop("capabilities", "")
        return self._install(toml(name, capabilities, **more), files)

    def _install(self, text: str, files: Mapping[str, bytes | str]) -> dict[str, Any]:
        file = packed(self.house, text, files)
        made = self.house.reads("agent", "install", str(file), "--yes")
        self._files = self.files()
        return made

    def upgrade(self, name: str, files: Mapping[str, bytes | str], **more: str) -> dict[str, Any]:
        """As ``install``, of a next version, and nobody agrees to anything."""
        capabilities = GATE + more.pop("capabilities", "")
        file = packed(self.house, toml(name, capabilities, **more), files)
        data = base64.b64encode(file.read_bytes()).decode()
        made = self.house.do("agent.install", package={"name": file.name, "data": data})
        self._files = self.files()
        return made

    def run(self, agent: str) -> dict[str, Any]:
        """``job run``, to its end: the run as ``job show`` has it."""
        ran = self.house.do("job.run", job=agent, wait=WAIT_S)
        return self.ended(agent, ran["run"])

    def ended(self, agent: str, run: int) -> dict[str, Any]:
        """A run, as soon as it has ended."""
        found: dict[str, Any] = {}

        def over() -> bool:
            runs = self.house.see("job.show", job=agent)["runs"]
            found.update(next(one for one in runs if one["run"] == run))
            return found["state"] in {"done", "dead", "cancelled"}

        until(over, f"{agent} ends", LONG_S)
        return found

    def attacked(self, agent: str, attack: str = "") -> dict[str, Any]:
        """As ``run``, of one that asks the sensor first: its worker is looked at meanwhile."""
        if attack:
            self.house.do("agent.set", agent=agent, settings=[f"attack={attack}"])
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(self.run, agent)
            self.gate.asked()
            self.look()
            self.gate.answer()
            return running.result()

    def look(self) -> None:
        """A worker lives, and each that does is nobody, and locked."""
        self.seen = pids = self.workers()
        assert pids, "the worker of a run that waits is there"
        daemon = uid_of(self._pid)
        for pid in pids:
            assert faults_of(pid) == []
            assert uid_of(pid) != 0
            if daemon == 0:
                assert uid_of(pid) in NOBODY, "a user whom nobody else is"
            else:
                assert uid_of(pid) == daemon

    def healthy(self) -> None:
        """It answers, an honest agent does its work, and nothing has grown or come into being."""
        house = self.house
        assert house.process.poll() is None, "it is the same process"
        assert house.process.pid == self._pid
        assert house.see("health")["healthy"]
        assert len(house.see("status")["communities"]) == 1
        ran, self._runs = self.run("honest"), self._runs + 1
        assert ran["state"] == "done", ran
        assert ran["result"] == {"runs": self._runs, "names": self._names, "json": '{"a": [2]}'}
        assert self._secret() == self._key
        until(lambda: self.files() <= self._files, "no file has come into being, and stays")
        grown = self._memory() - self._most
        assert grown < GROWS, f"the daemon has grown by {grown >> 20} MiB"


@contextmanager
def besieged() -> Iterator[Besieged]:
    """Such a node, in a folder that holds all that it could write."""
    gate = Gate()
    try:
        with street() as elm:
            cwd, temporary = elm.folder / "cwd", elm.folder / "tmp"
            cwd.mkdir()
            temporary.mkdir()
            (anna,) = elm.build(
                "anna",
                config=CONFIG.replace("{device}", gate.device),
                under=lambda _name: ("env", "-C", str(cwd), f"TMPDIR={temporary}"),
            )
            yield Besieged(anna, gate, elm.folder)
    finally:
        gate.close()
