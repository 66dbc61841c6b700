"""The unit of a service: what systemd would make of it, and what is refused."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from commons_node.service import installing
from commons_node.service.installing import (
    BadHome,
    NoPassphrase,
    NoUser,
    described,
    install,
    place,
    uninstall,
)
from commons_node.service.unit import NAME, Service, unit

ME = pwd.getpwuid(os.getuid()).pw_name


def lines(service: Service) -> list[str]:
    return unit(service).splitlines()


def test_a_user_unit_needs_no_root_and_a_system_unit_has_a_user() -> None:
    mine = lines(Service(Path("/opt/python"), Path("/home/alice/.local/share/commons-node")))
    whole = lines(Service(Path("/opt/python"), Path("/var/lib/commons-node"), user="commons"))
    assert not [one for one in mine if one.startswith(("User=", "CapabilityBoundingSet="))]
    assert "WantedBy=default.target" in mine
    assert {"User=commons", "CapabilityBoundingSet=", "ProtectHome=yes"} <= set(whole)
    assert "WantedBy=multi-user.target" in whole
    for one in (mine, whole):
        assert {"Type=notify", "NoNewPrivileges=yes", "ProtectSystem=strict"} <= set(one)


def test_a_home_below_home_is_not_taken_away() -> None:
    whole = lines(Service(Path("/opt/python"), Path("/home/commons/node"), user="commons"))
    assert "ProtectHome=yes" not in whole


def test_paths_are_quoted() -> None:
    home = Path('/srv/my "node" 100%')
    written = unit(Service(Path("/opt/my python"), home))
    assert 'ExecStart="/opt/my python" -m commons_node run --home' in written
    assert r'ReadWritePaths="/srv/my \"node\" 100%%"' in written


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_it(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.touch(0o600)
    service = described(tmp_path / "my home", user=ME, unlock={"alice": passphrase})
    file = tmp_path / NAME
    file.write_text(unit(service))
    ended = subprocess.run(
        ["systemd-analyze", "verify", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_cannot_be_a_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoUser):
        described(tmp_path, user="nobody-has-this-name")
    with pytest.raises(BadHome):
        described(tmp_path / "two\nlines")
    with pytest.raises(BadHome):
        described(tmp_path / ("long" * 30))
    open_one = tmp_path / "passphrase"
    open_one.write_text("a long enough passphrase")
    open_one.chmod(0o644)
    for file in (open_one, tmp_path / "not there"):
        with pytest.raises(NoPassphrase):
            described(tmp_path, unlock={"alice": file})
    open_one.chmod(0o600)
    assert described(tmp_path, unlock={"alice": open_one}).unlock == (("alice", open_one),)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a ``systemctl`` was told; it stands for one where none runs, as in a container."""
    folder, told = tmp_path / "bin", tmp_path / "told"
    folder.mkdir()
    script = folder / "systemctl"
    script.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return told


def test_installed_and_gone(tmp_path: Path, told: Path) -> None:
    file = place({"XDG_CONFIG_HOME": str(tmp_path / "config")}, system=False)
    service = described(tmp_path / "home")
    done = install(service, file, start=True)
    assert done == {
        "unit": str(file),
        "started": True,
        "next": [f"loginctl enable-linger {ME}"],
    }
    assert file.read_text() == unit(service)
    assert stat.S_IMODE(service.home.stat().st_mode) == 0o700
    assert told.read_text().splitlines() == [
        "--user daemon-reload",
        f"--user enable --now {NAME}",
    ]
    gone = uninstall(file, system=False)
    assert (gone["removed"], gone["next"]) == (True, [])
    assert not file.exists()
    assert service.home.exists(), "what was shared stays"
    assert uninstall(file, system=False)["removed"] is False


def test_where_systemd_does_not_answer_it_says_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installing, "_works", lambda _command: False)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/systemctl")
    file = tmp_path / NAME
    done = install(described(tmp_path / "home"), file, start=True)
    assert done["started"] is False
    assert done["next"] == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {NAME}",
        f"loginctl enable-linger {ME}",
    ]
    assert file.exists()
