"""Each layer alone, with the others turned off: what it stops, and what it lets through.

The attacker is native code of an unprivileged user, as if it had broken out of WebAssembly; the
victim is a process of the same user, which has a key and an environment.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.sandbox.prepared import agents

from commons_node.sandbox import landlock, layers, lock, seccomp
from commons_node.sandbox.lock import FIRST_USER, USERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="layers of Linux")

ROOT = Path(__file__).parents[2]
OPENS = {"key", "home", "link", "environ", "write", "shm", "tcp", "udp", "unix", "memfd"}
STOPS = {
    "plain": set(),
    "limits": OPENS | {"fork", "thread", "10 GB", "io_uring"},
    "landlock": {"key", "home", "link", "environ", "write", "shm", "tcp", "unix", "ptrace",
                 "memory of another", "kill", "exec"},
    "seccomp": OPENS | {"ptrace", "memory of another", "kill", "fork", "exec", "thread", "userns",
                        "io_uring"},
    "user": {"key", "home", "link", "environ", "write", "ptrace", "memory of another", "kill"},
}  # fmt: skip
"""What must not get through. The rest of a row may: that is why there are several."""
REAL = {"key", "home", "link", "write", "shm", "tcp", "udp", "unix", "kill", "fork", "exec",
        "thread", "10 GB", "memfd"}  # fmt: skip
"""Tries that work on every system when nothing holds them; others may be forbidden to all."""
VICTIM = 60_599


@dataclass
class Street:
    """A home with a key, its owner's process, and listeners."""

    folder: Path
    victim: subprocess.Popen[bytes]
    tcp: int
    udp: int

    def attack(self, layer: str) -> subprocess.CompletedProcess[bytes]:
        words = [layer, self.folder, self.victim.pid, VICTIM, self.tcp, self.udp]
        return subprocess.run(
            [sys.executable, "-m", "tests.sandbox.alone", *map(str, words)],
            cwd=ROOT, capture_output=True, timeout=60, check=False,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )  # fmt: skip

    def healthy(self) -> bool:
        """The victim lives, and its key is what it was."""
        return self.victim.poll() is None and self.key.read_bytes() == b"secret"

    @property
    def key(self) -> Path:
        return self.folder / "home" / "node.key"


@pytest.fixture
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("attacked")
    for above in (folder, *folder.parents):
        if above.stat().st_uid == os.geteuid() and str(above).startswith("/tmp/"):  # noqa: S108 - pytest's
            above.chmod(0o755)
    home = folder / "home"
    home.mkdir()
    (home / "node.key").write_bytes(b"secret")
    (folder / "link").symlink_to(home / "node.key")
    (folder / "program").write_bytes(b"\x01\x02 no program")
    (folder / "program").chmod(0o755)
    if os.geteuid() == 0:
        for one in (folder, home, home / "node.key"):
            os.chown(one, VICTIM, VICTIM)
    home.chmod(0o700)
    (home / "node.key").chmod(0o600)
    folder.chmod(0o755)
    victim = subprocess.Popen(
        ["/bin/sleep", "600"], env={"SECRET": "of the daemon"},
        user=VICTIM if os.geteuid() == 0 else None, group=VICTIM if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
    )  # fmt: skip
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        udp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        unix.bind(f"\0commons-{port}")
        unix.listen()
        yield Street(folder, victim, port, udp.getsockname()[1])
    victim.kill()
    victim.wait()


def tried(street: Street, layer: str) -> dict[str, str]:
    ended = street.attack(layer)
    assert ended.returncode == 0, ended
    found: dict[str, str] = json.loads(ended.stdout)
    assert int(found.pop("uid")) != 0, "the attacker is unprivileged"
    return found


def test_each_layer_alone_stops_what_it_is_for(street: Street) -> None:
    plain = tried(street, "plain")
    real = {name for name, what in plain.items() if what == "through"}
    assert real >= REAL, f"the tries are real ones: {plain}"
    names = [name for name in STOPS if name != "user" or os.geteuid() == 0]
    for layer in names:
        found = tried(street, layer)
        through = {name for name, what in found.items() if what == "through"}
        assert not through & STOPS[layer], f"{layer} alone: {found}"
        assert street.healthy(), f"{layer}: the victim is as it was"
    everything = set.union(*STOPS.values())
    assert everything >= set(plain), "each try is stopped by some layer"


def test_no_layer_is_idle(street: Street) -> None:
    """Each lets something through that another stops, so none of them can be left out."""
    assert "kill" not in STOPS["limits"]
    assert "udp" not in STOPS["landlock"]
    assert "10 GB" not in STOPS["seccomp"]
    found = {layer: tried(street, layer) for layer in ("limits", "landlock", "seccomp")}
    assert found["limits"]["kill"] == "through"
    assert found["landlock"]["udp"] == "through"
    assert found["seccomp"]["10 GB"] == "through"


def test_all_layers_together_stop_everything(street: Street) -> None:
    found = tried(street, "all")
    assert "through" not in found.values(), found
    assert street.healthy()


def test_a_call_of_another_table_ends_the_process(street: Street) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("x32 is of x86-64")
    ended = street.attack("x32")
    assert ended.returncode == -signal.SIGSYS, ended
    assert street.healthy()


# -- what is missing -----------------------------------------------------------------------------


BLIND = """
import ctypes, os, struct, sys
from commons_node.sandbox import seccomp
name, number = sys.argv[1], int(sys.argv[2])
def program(machine, pid):
    step = seccomp._step
    no_such_call = step(6, 0x00050026)
    return step(0x20, 0) + step(0x15, number, 0, 1) + no_such_call + step(6, seccomp.ALLOW)
seccomp.program = program
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
seccomp.restrict()
os.execv(sys.executable, [sys.executable, "-m", "commons_node.sandbox.worker"])
"""
"""A worker on a kernel that answers ENOSYS to one system call."""


@pytest.mark.parametrize(("layer", "number"), [("landlock", 444), ("seccomp", (317, 277))])
async def test_a_run_without_a_layer_is_refused_and_says_which(
    layer: str, number: int | tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    from commons_node.jobs import workers

    if isinstance(number, tuple):
        number = number[0 if platform.machine() == "x86_64" else 1]

    async def blind(_module: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", BLIND, layer, str(number),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True, env=workers.environment(),
        )  # fmt: skip

    async with agents() as run:
        with monkeypatch.context() as patched:
            patched.setattr(workers, "start_worker", blind)
            with pytest.raises(workers.Ended) as refused:
                await run("def main(event, host): return 1")
        assert refused.value.code == "no_layer"
        assert not refused.value.again, "it is not tried again: nothing would be better"
        assert layer in str(refused.value)
        assert run.workers.pids() == []
        await run.healthy()


def test_layers_say_what_is_there_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {layer.name: layer for layer in layers.layers()}
    assert set(found) == {"wasm", "limits", "user", "landlock", "seccomp"}
    assert found["landlock"].active == (landlock.version() > 0)
    assert found["user"].needed == (os.geteuid() == 0)
    assert not layers.missing(layers.layers()), "this machine can run agents"
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(seccomp, "there", lambda: False)
    lacking = layers.missing(layers.layers())
    assert {layer.name for layer in lacking} == {"landlock", "seccomp"}
    assert all(layer.why and layer.fix for layer in lacking)


def test_the_other_user_is_one_that_nobody_has() -> None:
    import pwd

    taken = {one.pw_uid for one in pwd.getpwall()}
    assert not taken & set(range(FIRST_USER, FIRST_USER + USERS))
    assert lock.FIRST_USER > 60_577, "systemd's table"


def test_the_filter_is_as_short_as_it_can_be_and_for_both_machines() -> None:
    for machine in ("x86_64", "aarch64"):
        program = seccomp.program(machine, 7)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 256, "jumps are of one byte"
    with pytest.raises(KeyError):
        seccomp.program("sparc", 7)
