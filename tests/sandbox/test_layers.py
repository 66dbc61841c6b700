"""Each layer alone, with the others turned off: what it stops, and what it lets through.

WebAssembly alone is in `test_escapes`: what it holds is no native code.

The attacker is native code of an unprivileged user, as if it had broken out of WebAssembly; the
victim is a process of the same user, which has a key and an environment.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.sandbox.prepared import agents, started

from commons_node.jobs.job import USERS
from commons_node.sandbox import landlock, layers, lock, seccomp
from commons_node.sandbox.lock import FIRST_USER

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="layers of Linux")

ROOT = Path(__file__).parents[2]
RAISES = {"more memory", "more time", "more by an old way", "more files"}
OPENS = {"key", "home", "link", "environ", "write", "shm", "tcp", "udp", "unix", "memfd"}
STOPS = {
    "plain": set(),
    "limits": OPENS | RAISES | {"fork", "thread", "10 GB", "10 GB by leave", "io_uring"},
    "landlock": {"key", "home", "link", "environ", "write", "shm", "tcp", "unix", "ptrace",
                 "memory of another", "kill", "exec"},
    "seccomp": OPENS | RAISES | {"ptrace", "memory of another", "kill", "fork", "exec", "thread",
                                 "userns", "io_uring"},
    "user": {"key", "home", "link", "environ", "write", "ptrace", "memory of another", "kill"},
}  # fmt: skip
"""What must not get through. The rest of a row may: that is why there are several."""
REAL = {"key", "home", "link", "write", "shm", "tcp", "udp", "unix", "kill", "fork", "exec",
        "thread", "10 GB", "10 GB by leave", "more memory", "more time", "more by an old way",
        "memfd"}  # fmt: skip
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
    """What each try came to, with this layer on and no other, whatever was called."""
    ended = street.attack(layer)
    assert ended.returncode == 0, ended
    found: dict[str, str] = json.loads(ended.stdout)
    assert int(found.pop("uid")) != 0, "the attacker is unprivileged"
    on = set(found.pop("on").split())
    if layer == "all":
        assert on >= {"limits", "seccomp"}, "Landlock cannot be asked behind the filter"
    else:
        assert on == {layer} - {"plain"}, f"{layer} is on, and all others are off"
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
    assert found["landlock"]["10 GB by leave"] == "through"
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
number, second = map(int, sys.argv[1:])
def program(machine, pid):
    step = seccomp._step
    no_such_call = step(6, 0x00050026)
    only = step(0x20, 24) + step(0x15, second, 0, 1) if second >= 0 else b""
    return (step(0x20, 0) + step(0x15, number, 0, 3 if only else 1) + only + no_such_call
            + step(6, seccomp.ALLOW))
seccomp.program = program
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
seccomp.restrict()
os.execv(sys.executable, [sys.executable, "-m", "commons_node.sandbox.worker"])
"""
"""A worker on a kernel that answers ENOSYS to one system call, or if its second argument is so."""
CALLS = {
    "landlock": ((444, 444), -1),
    "limits": ((302, 261), resource.RLIMIT_AS),
    "user": ((117, 147), -1),  # setresuid: as where no other user is in the map of this container
    "seccomp": ((317, 277), -1),
}
"""By layer the call that it needs, of both machines."""


@pytest.mark.parametrize("layer", sorted(CALLS))
async def test_a_run_without_a_layer_is_refused_and_says_which(
    layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from commons_node.jobs import workers

    if layer == "user" and os.geteuid() != 0:
        pytest.skip("who is no root has no other user to become")
    numbers, second = CALLS[layer]
    number = numbers[0 if platform.machine() == "x86_64" else 1]

    async with agents() as run:
        with monkeypatch.context() as patched:
            patched.setattr(
                workers, "start_worker", lambda _module: started(BLIND, str(number), str(second))
            )
            with pytest.raises(workers.Ended) as refused:
                await run("def main(event, host): return 1")
        assert refused.value.code == "no_layer"
        assert not refused.value.again, "it is not tried again: nothing would be better"
        assert f"the layer {layer} of the sandbox is missing" in str(refused.value)
        assert run.workers.pids() == []
        await run.healthy()


THREADED = """
import sys, threading
from commons_node.sandbox import worker
threading.Thread(target=threading.Event().wait, daemon=True).start()
sys.exit(worker.main())
"""


async def test_a_worker_with_a_thread_that_landlock_would_not_hold_runs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from commons_node.jobs import workers

    async with agents() as run:
        with monkeypatch.context() as patched:
            patched.setattr(workers, "start_worker", lambda _module: started(THREADED))
            with pytest.raises(workers.Ended, match="1 more threads") as refused:
                await run("def main(event, host): return 1")
        assert refused.value.code == "no_layer"
        assert "the layer landlock" in str(refused.value)
        assert run.workers.pids() == []
        await run.healthy()


@pytest.mark.parametrize("layer", ["wasm", "user", "landlock", "seccomp"])
async def test_where_a_layer_is_known_to_be_missing_nothing_is_started(
    layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from commons_node.jobs import workers

    async with agents() as run:
        with monkeypatch.context() as patched:
            patched.setattr(landlock, "version", lambda: 5 if layer != "landlock" else 0)
            patched.setattr(seccomp, "there", lambda: layer != "seccomp")
            patched.setattr(layers, "find_spec", lambda _name: None if layer == "wasm" else True)
            if layer == "user":
                patched.setattr(os, "geteuid", lambda: 0)
                patched.setattr(layers, "_numbers", lambda: False)
            elif os.geteuid() == 0:
                patched.setattr(layers, "_numbers", lambda: True)
            with pytest.raises(workers.Ended) as refused:
                await run("def main(event, host): return 1")
        assert refused.value.code == "no_layer"
        assert not refused.value.again
        assert f"the layer {layer} of the sandbox is missing" in str(refused.value)
        assert run.workers.started == 0
        await run.healthy()


def users_of(pids: list[int]) -> list[int]:
    found = [Path(f"/proc/{pid}/status").read_text(encoding="utf-8") for pid in pids]
    return [int(text.partition("Uid:")[2].split()[0]) for text in found]


async def test_no_two_living_workers_are_one_user() -> None:
    """Also where their processes have numbers that are as far apart as there are users."""
    import asyncio

    if os.geteuid() != 0:
        pytest.skip("who is no root has no other user to become")
    waiting, go = [0], asyncio.Event()

    async def hold(_method: str, _params: object) -> object:
        waiting[0] += 1
        if waiting[0] == 3:
            go.set()
        await go.wait()
        return None

    async with agents() as run:
        run.workers._user = USERS - 2
        asks = "def main(event, host): host.call('hold')"
        all_three = [asyncio.create_task(run(asks, hold)) for _ in range(3)]
        await go.wait()
        users = users_of(run.workers.pids())
        await asyncio.gather(*all_three)
    assert sorted(users) == [FIRST_USER, FIRST_USER + 1, FIRST_USER + USERS - 1]


def test_the_docs_count_the_system_calls() -> None:
    text = (ROOT / "docs" / "THREATS.md").read_text(encoding="utf-8")
    told = f"{len(seccomp.CALLS)} system calls, and {len(seccomp.ON_ITSELF)} more on itself only"
    assert told in text


def test_layers_say_what_is_there_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {layer.name: layer for layer in layers.layers()}
    assert set(found) == {"wasm", "limits", "user", "landlock", "seccomp"}
    assert found["landlock"].active == (landlock.version() > 0)
    assert found["user"].needed == (os.geteuid() == 0)
    assert not layers.missing(layers.layers()), "this machine can run agents"
    for version, words in ((3, "for the filter to close"), (4, "and network")):
        monkeypatch.setattr(landlock, "version", lambda version=version: version)
        assert words in {layer.name: layer.why for layer in layers.layers()}["landlock"]
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
