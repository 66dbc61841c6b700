"""The unit of a service: what systemd would make of it, and what is refused."""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from commons_node.config import Config, load
from commons_node.doctor.service import service as asked
from commons_node.service import asking, installing
from commons_node.service.installing import (
    BadFolder,
    BadHome,
    BadProgram,
    NoPassphrase,
    NotStopped,
    NoUser,
    described,
    install,
    installed,
    place,
    uninstall,
)
from commons_node.service.needs import needs_of
from commons_node.service.unit import NAME, Service, unit
from commons_node.service.unit import told as told_by

ME = pwd.getpwuid(os.getuid()).pw_name
SETTINGS = """
backup_to = "/mnt/disk/backups"
backup_passphrase_file = "/etc/commons-node/backup.passphrase"
log_file = "/var/log/commons-node/node.log"
guest_socket = "/run/commons-node/guests.sock"

[drivers.drop]
kind = "file-drop"
folder = "/srv/drop"

[drivers.pictures]
kind = "inbox"
folder = "/srv/inbox"

[drivers.meter]
kind = "serial-sensor"
device = "/dev/ttyUSB0"

[drivers.none]
kind = "file-drop"
folder = "/srv/fake"
fake = true
"""


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
    assert "ProtectHome=read-only" in whole


def test_a_users_unit_protects_files_only_in_a_namespace_of_its_own() -> None:
    """Before systemd 254 nothing implies it, and ProtectClock= ends in 218/CAPABILITIES."""
    with_them = Service(Path("/opt/python"), Path("/home/alice/node"))
    without = Service(Path("/opt/python"), Path("/home/alice/node"), namespaces=False)
    assert "PrivateUsers=yes" in lines(with_them)
    needing = {one for one in lines(with_them) if one.startswith(("Protect", "Private", "ReadW"))}
    assert len(needing) >= 9
    assert not needing & set(lines(without))
    assert "NoNewPrivileges=yes" in lines(without)
    assert "PrivateUsers=yes" not in lines(
        Service(Path("/opt/python"), Path("/srv/node"), user="commons")
    )


def test_agents_can_lock_themselves_in() -> None:
    """@system-service of systemd 252 has no Landlock: no agent would run."""
    for user in ("", "commons"):
        allowed = [
            word
            for one in lines(Service(Path("/opt/python"), Path("/srv/node"), user=user))
            if one.startswith("SystemCallFilter=")
            for word in one.partition("=")[2].split()
        ]
        assert "@system-service" in allowed
        assert {f"landlock_{one}" for one in ("create_ruleset", "add_rule", "restrict_self")} <= {
            *allowed
        }


def settings(folder: Path, text: str = SETTINGS) -> Config:
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(text)
    return load(folder, {})


def test_what_the_settings_name_is_let_through(tmp_path: Path) -> None:
    home = Path("/var/lib/commons-node")
    needs = needs_of(settings(tmp_path / "home"))
    whole = lines(Service(Path("/opt/python"), home, user="commons", needs=needs))
    written = [one.partition("=")[2] for one in whole if one.startswith("ReadWritePaths=")]
    assert written == [
        str(home), "-/var/log/commons-node", "-/srv/drop", "-/mnt/disk/backups",
    ], "what is only read, faked, or made by systemd is not among them"  # fmt: skip
    assert {"DevicePolicy=closed", "DeviceAllow=char-ttyUSB rw", "ProtectHome=yes"} <= set(whole)
    assert "PrivateDevices=yes" not in whole
    assert "PrivateTmp=yes" in whole
    inbox = '[drivers.notes]\nkind = "inbox"\nfolder = "/home/alice/notes"\n'
    reading = needs_of(settings(tmp_path / "home", inbox))
    whole = lines(Service(Path("/opt/python"), home, user="commons", needs=reading))
    assert "ProtectHome=read-only" in whole, "it reads there"
    assert "PrivateDevices=yes" in whole
    shared = Path("/var/tmp/out")  # noqa: S108 - the host says so
    also = lines(Service(Path("/opt/python"), home, user="commons", also=(shared,)))
    assert "PrivateTmp=yes" not in also, "or it would write where nobody looks"


def test_the_doctor_asks_whether_the_service_may_write_there(tmp_path: Path) -> None:
    home, disk = tmp_path / "home", tmp_path / "disk"
    before = told_by(unit(Service(Path("/opt/python"), home, user="commons")))
    config = settings(home, f'backup_to = "{disk}"\n')
    after = told_by(
        unit(Service(Path("/opt/python"), home, user="commons", needs=needs_of(config)))
    )
    assert before is not None
    assert after is not None
    found = asked(before, config, whose=os.getuid())
    assert (found.state, found.facts["kept_from"]) == ("fail", 1)
    assert found.fix.endswith(f"service install --system --home {home}")
    assert asked(after, config, whose=os.getuid()).facts["absent"] == 1
    disk.mkdir(mode=0o500)
    denied = asked(after, config, whose=os.getuid())
    assert denied.state == ("ok" if os.getuid() == 0 else "fail"), "modes hold for all but root"
    disk.chmod(0o700)
    assert asked(after, config, whose=os.getuid()).state == "ok"


def test_a_unit_tells_what_it_was_made_from(tmp_path: Path) -> None:
    passphrase = tmp_path / "my passphrase"
    passphrase.touch(0o600)
    service = described(tmp_path / "home", unlock={"Anna B": passphrase}, also=[tmp_path])
    found = told_by(unit(service))
    assert found is not None
    assert (found.home, found.user) == (service.home, "")
    assert (found.unlock, found.also) == ((("Anna B", passphrase),), (tmp_path,))
    again = described(tmp_path / "home", before=found)
    assert (again.unlock, again.also) == (service.unlock, service.also), "an install keeps them"
    assert told_by("[Service]\nExecStart=/bin/true\n") is None
    assert told_by('Told={"home": 3}\n') is None
    file = tmp_path / NAME
    file.write_text(unit(service))
    assert installed(file, service.home) == found
    assert installed(file, tmp_path / "another") is None
    assert installed(tmp_path / "none", service.home) is None


def test_a_program_that_the_services_user_cannot_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path("/var/lib/commons-node")
    for prefix in ("/root/commons", "/home/anna/.local/share/uv/tools/commons-node"):
        monkeypatch.setattr(sys, "prefix", prefix)
        with pytest.raises(BadProgram):
            described(home, user=ME)
        assert described(home).python == Path(sys.executable), "a user's own unit sees it"
    monkeypatch.setattr(sys, "prefix", "/opt/commons-node")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    assert described(home, user=ME, python=python).python == python
    if os.geteuid() == 0:  # only root can try as somebody else
        tmp_path.chmod(0o700)
        with pytest.raises(BadProgram):
            described(home, user="nobody", python=python)


def test_paths_are_quoted() -> None:
    home = Path('/srv/my "node" 100%')
    written = unit(Service(Path("/opt/my python"), home))
    assert 'ExecStart="/opt/my python" -m commons_node run --home' in written
    assert r'ReadWritePaths="/srv/my \"node\" 100%%"' in written


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_it(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.touch(0o600)
    service = Service(
        Path(sys.executable), tmp_path / "my home", ME, (("alice", passphrase),), (tmp_path,),
        needs_of(settings(tmp_path / "my home")),
    )  # fmt: skip
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
    with pytest.raises(BadFolder):
        described(tmp_path, also=[tmp_path / "not there"])
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
        f"--user enable {NAME}",
        f"--user restart {NAME}",
    ]
    gone = uninstall(file, system=False)
    assert (gone["removed"], gone["next"]) == (True, [])
    assert not file.exists()
    assert service.home.exists(), "what was shared stays"
    assert uninstall(file, system=False)["removed"] is False


def test_where_systemd_does_not_answer_it_says_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "no systemd")
    file = tmp_path / NAME
    done = install(described(tmp_path / "home"), file, start=True)
    assert done["started"] is False
    assert done["next"] == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable {NAME}",
        f"systemctl --user restart {NAME}",
        f"loginctl enable-linger {ME}",
    ]
    assert file.exists()


def test_it_says_which_folder_stays_and_why_nothing_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, "no systemd")
    for module in (installing, asking):
        monkeypatch.setattr(module, "BOOTED", tmp_path / "not there")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COMMONS_HOME", str(tmp_path / "usual"))
    parser = argparse.ArgumentParser()
    asking.declare(parser.add_subparsers())
    other = tmp_path / "other"
    assert asking.ask(parser.parse_args(["service", "install", "--home", str(other)])) == 0
    assert "systemd does not run this machine now" in capsys.readouterr().out
    assert asking.ask(parser.parse_args(["service", "uninstall"])) == 0
    assert f"folder {other} stays" in capsys.readouterr().out, "its own, not the usual one"


def failing(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """A ``systemctl`` that does nothing but fail."""
    monkeypatch.setattr(installing, "_failing", lambda _command, _user="": why)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/systemctl")


def test_a_service_that_cannot_be_stopped_keeps_its_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / NAME
    file.write_text(unit(described(tmp_path / "home")))
    failing(monkeypatch, "Failed to connect to bus")
    monkeypatch.setattr(installing, "BOOTED", tmp_path)
    with pytest.raises(NotStopped, match="Failed to connect to bus"):
        uninstall(file, system=False)
    assert file.exists(), "it may run on, and is not forgotten"


def test_where_no_systemd_runs_a_unit_is_only_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / NAME
    file.write_text(unit(described(tmp_path / "home")))
    wanted = tmp_path / "default.target.wants" / NAME
    wanted.parent.mkdir()
    wanted.symlink_to(file)
    failing(monkeypatch, "System has not been booted with systemd")
    monkeypatch.setattr(installing, "BOOTED", tmp_path / "not there")
    assert uninstall(file, system=False) == {"unit": str(file), "removed": True, "next": []}
    assert not file.exists()
    assert not wanted.is_symlink(), "nor is it started one day"
