"""A real daemon under a service manager that listens: ready, alive, unlocked by it, stopping."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, clean_environment, cli, street, until


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Alice's, whose node has stopped."""
    with street() as elm_street:
        (alice,) = elm_street.build("alice")
        alice.found()
        assert alice.stop() == 0
        yield alice.home


PATIENCE_S = 120.0
"""For a machine on which much else runs; nothing waits so long where it works."""


def run(home: Path, log: Path, **more: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "commons_node", "run", "--home", str(home)),
                *("--listen", "/ip4/127.0.0.1/tcp/0", "--no-lan", "--until-stdin-closes"),
            ],
            env={**clean_environment(home), **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=out,
        )


def heard(manager: socket.socket, word: str) -> list[str]:
    """What the daemon says until it says ``word``."""
    said: list[str] = []
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        said.append(manager.recv(4096).decode())
        if said[-1].startswith(word):
            return said
    raise AssertionError(f"no {word} among {said}")


def test_it_says_how_it_is_and_is_unlocked_by_its_manager(home: Path, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "unlock.alice").write_text(PASSPHRASE + "\n")
    (credentials / "unlock.eve").write_text("a passphrase of nobody\n")
    (credentials / "other").write_text("not for us")
    log = tmp_path / "log"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        process = run(
            home,
            log,
            NOTIFY_SOCKET=str(tmp_path / "notify"),
            WATCHDOG_USEC="400000",
            CREDENTIALS_DIRECTORY=str(credentials),
        )
        try:
            assert heard(manager, "READY=1")[-1].endswith("answers")
            alive = [*heard(manager, "WATCHDOG=1"), *heard(manager, "WATCHDOG=1")]
            assert set(alive) == {"WATCHDOG=1"}
            until(lambda: "not_unlocked" in log.read_text(), "eve's is nobody's passphrase")
            until(lambda: '"event": "unlocked"' in log.read_text(), "and alice's is hers")
            assert PASSPHRASE not in log.read_text()
            refused = cli(home, "invite", "create", "--as", "alice", "--json", session=True)
            assert refused.code == 4, "nobody acts for her by it"
            process.terminate()
            assert heard(manager, "STOPPING=1")
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            process.communicate()


@pytest.mark.long
def test_one_whose_community_is_paused_keeps_nobody_else_locked(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name, passphrase in (("alice", PASSPHRASE), ("ada", PASSPHRASE), ("eve", "nobody's own")):
        (credentials / f"unlock.{name}").write_text(passphrase)
    with street() as elm_street:
        (alice,) = elm_street.build("alice")
        alice.found()
        alice.do(
            "community.init", name="Oak Street", member="ada", timezone="UTC", passphrase=PASSPHRASE
        )
        assert alice.cli("community", "pause", "--community", "Elm Street", "--yes").code == 0
        assert alice.stop() == 0
        alice.surroundings = {"CREDENTIALS_DIRECTORY": str(credentials)}
        alice.again()

        def rows() -> dict[str, tuple[str, str | None]]:
            found = alice.see("status")["unattended"]
            return {row["member"]: (row["state"], row["next_action"]) for row in found}

        until(lambda: rows().get("ada") == ("unlocked", None), "ada waits for nobody", 90)
        until(lambda: rows().get("eve") == ("failed", None), "and eve's is nobody's", 90)
        assert rows()["alice"] == ("waiting", "commons-node community resume")
        assert "could not unlock eve" in alice.see("status")["warning"]
        told = cli(alice.home, "doctor", "--quick", "--json").json["checks"]
        (unlocking,) = [one for one in told if one["check"] == "unlocking"]
        assert unlocking["state"] == "fail"
        assert "eve" in unlocking["detail"]
        assert alice.cli("community", "resume", "--community", "Elm Street").code == 0
        until(lambda: rows()["alice"] == ("unlocked", None), "she is let in when it is resumed", 90)


def test_without_a_manager_it_says_nothing_and_needs_none(home: Path, tmp_path: Path) -> None:
    process = run(home, tmp_path / "log", NOTIFY_SOCKET=str(tmp_path / "nobody"))
    try:
        until(lambda: cli(home, "status", "--json").code == 0, "it answers")
        assert process.poll() is None, "a manager that is gone ends no node"
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_fault_that_starting_again_does_not_mend(tmp_path: Path) -> None:
    """The unit's RestartPreventExitStatus relies on it."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("listne = 1\n")
    process = run(home, tmp_path / "log")
    process.communicate(timeout=40)
    assert process.returncode == 2
