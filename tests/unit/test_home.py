"""The folder that is a node: private, one daemon at a time, recognised after a copy."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from commons_node.api import paths
from commons_node.api.paths import NotYoursError, home_path, socket_path
from commons_node.home import AlreadyRunning, Home, NoHome, ready_line, write_ready

HOLD = """
import sys
import tempfile
from pathlib import Path
from commons_node.home import Home
with Home(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_is_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "home")
    home.create()
    assert mode(home.path) == 0o700
    assert mode(home.run) == 0o700


def test_a_home_that_others_can_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    Home(tmp_path / "home").create()
    assert mode(tmp_path / "home") == 0o700


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(NoHome):
        Home(tmp_path / "home").lock()


def test_a_second_daemon_is_refused_and_told_the_first_ones_pid(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(AlreadyRunning) as refused:
            Home(tmp_path).lock()
        assert f"process {holder.pid}" in str(refused.value)
        assert str(holder.pid) in refused.value.way_out
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with Home(tmp_path):
        assert (tmp_path / "run" / "lock").read_text() == f"{os.getpid()}\n", (
            "a killed daemon leaves the home free"
        )


def test_a_lock_is_given_back(tmp_path: Path) -> None:
    with Home(tmp_path), pytest.raises(AlreadyRunning):
        Home(tmp_path).lock()
    with Home(tmp_path):
        pass


def test_a_copied_home_is_noticed(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    assert not home.moved(), "a home that never ran is nobody's copy"
    home.settle()
    assert not home.moved()
    shutil.copytree(home.path, tmp_path / "copy")
    copy = Home(tmp_path / "copy")
    assert copy.moved()
    copy.settle()
    assert not copy.moved(), "once settled, it is at home"
    home.path.rename(tmp_path / "renamed")
    renamed = Home(tmp_path / "renamed")
    assert not renamed.moved(), "the same folder under another name is no copy"
    renamed.place.write_bytes(b"\xa5" * 64)
    assert renamed.moved(), "a note that the disk has damaged says nothing"


def test_the_ready_line_is_as_the_contract_says(tmp_path: Path) -> None:
    line = ready_line(node="0f" * 32, pid=7, socket=tmp_path / "s", addresses=("/ip4/x",))
    assert json.loads(line) == {
        "v": 1,
        "ok": True,
        "event": "ready",
        "node": "0f" * 32,
        "pid": 7,
        "socket": str(tmp_path / "s"),
        "addresses": ["/ip4/x"],
    }
    write_ready(tmp_path / "ready", line)
    assert (tmp_path / "ready").read_text() == line + "\n"


def test_home_by_flag_then_environment_then_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/alice"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert home_path("/x", {"COMMONS_HOME": "/y"}) == Path("/x")
    assert home_path(None, {"COMMONS_HOME": "/y"}) == Path("/y")
    assert home_path(None, {"XDG_DATA_HOME": "/data"}) == Path("/data/commons-node")
    assert home_path(None, {"XDG_DATA_HOME": "relative"}) == Path(
        "/home/alice/.local/share/commons-node"
    )
    monkeypatch.setattr(sys, "platform", "darwin")
    expected = Path("/home/alice/Library/Application Support/commons-node")
    assert home_path(None, {}) == expected
    assert home_path("here", {}) == Path.cwd() / "here", "always absolute"


def test_a_long_home_has_a_short_socket(tmp_path: Path) -> None:
    runtime = tmp_path / "r"
    runtime.mkdir(mode=0o700)
    environment = {"XDG_RUNTIME_DIR": "/run/short"}
    assert socket_path(Path("/h"), environment) == Path("/h/run/api.sock")
    long = Path("/" + "long/" * 40)
    short = socket_path(long, environment)
    assert short.parent == Path("/run/short/commons-node")
    assert len(os.fsencode(short)) <= paths.MAX_SOCKET_BYTES
    assert short == socket_path(long, environment), "daemon and client find the same"
    assert short != socket_path(long / "other", environment)
    fallback = socket_path(long, {}, make=True)
    assert fallback.parent.name == f"commons-node-{os.getuid()}"
    assert mode(fallback.parent) == 0o700


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    long = Path("/" + "long/" * 40)
    runtime = Path(tempfile.mkdtemp(prefix="cn-"))  # tmp_path is too long for a socket
    environment = {"XDG_RUNTIME_DIR": str(runtime)}
    folder = runtime / "commons-node"
    try:
        assert not socket_path(long, environment).exists(), "a client makes nothing"
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        with pytest.raises(NotYoursError, match="not yours alone"):
            socket_path(long, environment, make=True)
        folder.rmdir()
        folder.symlink_to(tmp_path)
        with pytest.raises(NotYoursError):
            socket_path(long, environment)
    finally:
        shutil.rmtree(runtime)
