"""Answers of the doctor that no machine here can be brought to give."""

from __future__ import annotations

import resource
import shutil
import socket
from collections import namedtuple
from pathlib import Path
from typing import Any, cast

import pytest
from tests.ports import own_port

from commons_node.api.client import ApiError, Client
from commons_node.api.types import ExitCode
from commons_node.config import Config
from commons_node.doctor import house, machine, network, sandbox
from commons_node.doctor.check import STATES, Check, worst
from commons_node.doctor.seeing import guarded, in_words
from commons_node.home import Home
from commons_node.peering.programs import beside
from commons_node.sandbox import landlock
from commons_protocol.about import About

_DAY_MS = 86_400_000
_NOW = 1_760_000_000_000
_Disk = namedtuple("_Disk", "total used free")


@pytest.mark.parametrize(
    ("newest", "state"),
    [
        (None, "ok"),
        (_NOW - 1000, "ok"),
        (_NOW + 60_000, "ok"),  # neighbours' clocks differ a little
        (_NOW + 2 * _DAY_MS, "fail"),
        (_NOW + 365 * _DAY_MS, "fail"),
        (_NOW - 400 * _DAY_MS, "warn"),
    ],
)
def test_a_clock(newest: int | None, state: str) -> None:
    found = machine.clock(_NOW, newest)
    assert found.state == state
    assert bool(found.fix) == (state != "ok")


def test_a_zone_that_is_not_here() -> None:
    assert machine.zone(["Europe/Stockholm"]).state == "ok"
    found = machine.zone(["Europe/Stockholm", "Mars/Olympus"])
    assert (found.state, found.facts) == ("fail", {"zones": 2, "unknown": 1})


@pytest.mark.parametrize(
    ("mib", "reserve", "state"),
    [(10, 0, "fail"), (100, 0, "warn"), (1000, 0, "ok"), (200, 256, "fail"), (400, 256, "warn"),
     (1000, 256, "ok"), (1000, 900, "warn")],
)  # fmt: skip
def test_a_disk_and_its_reserve(
    mib: int, reserve: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: _Disk(0, 0, mib << 20))
    found = machine.disk(tmp_path, reserve)
    assert found.state == state
    assert bool(found.fix) == (state != "ok")


@pytest.mark.parametrize(
    ("free", "state"), [(None, "warn"), (64 << 20, "fail"), (300 << 20, "warn"), (2 << 30, "ok")]
)
def test_memory(free: int | None, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_available", lambda: free)
    found = machine.memory()
    assert (found.state, bool(found.fix)) == (state, state != "ok")


@pytest.mark.parametrize(("soft", "state"), [(256, "warn"), (4096, "ok"), (-1, "ok")])
def test_files_that_may_be_open(soft: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, soft))
    found = machine.files()
    assert (found.state, bool(found.fix)) == (state, state != "ok")


def test_a_sandbox_that_lacks_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    found = sandbox.sandbox()
    assert (found.state, "Landlock" in found.detail, bool(found.fix)) == ("warn", True, True)


def test_a_port_that_is_taken_and_one_that_nothing_answers_at() -> None:
    taken = own_port()
    with socket.socket() as other:
        other.bind(("", taken))
        found = network.port(str(taken), (), running=False)
        assert (found.state, bool(found.fix)) == ("warn", True), "another program has it"
        other.listen()
        assert network.port(str(taken), (), running=True).state == "ok"
    free = network.port(str(taken), (), running=False)
    assert free.state == "ok"
    found = network.port(str(taken), (), running=True)
    assert (found.state, bool(found.fix)) == ("warn", True), "nothing answers"
    assert network.port(None, ("/ip4/0.0.0.0/tcp/0",), running=False).state == "ok"


def test_multicast_that_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    assert network.multicast(Config(lan=False)).state == "ok"
    monkeypatch.setattr(network, "current", list)
    nowhere = network.multicast(Config())
    monkeypatch.setattr(network, "current", lambda: ["192.0.2.7"])
    deaf = network.multicast(Config())
    for found in (nowhere, deaf):
        assert (found.state, bool(found.fix)) == ("warn", True)
    assert deaf.facts["deaf"] == 1


class _Node:
    """Answers as a node would that has these peers, or cannot say."""

    def __init__(self, peers: list[dict[str, Any]] | None) -> None:
        self.peers = peers

    def view(self, _name: str, _arguments: object, _timeout: float) -> dict[str, Any]:
        if self.peers is None:
            raise ApiError("timeout", "It takes too long.", "", ExitCode.TIMEOUT)
        return {"peers": self.peers}


def peer(state: str, *, connected: bool) -> dict[str, Any]:
    return {"connected": connected, "sync": {"state": state, "next_action": f"mend {state}"}}


@pytest.mark.parametrize(
    ("peers", "state"),
    [
        (None, "warn"),
        ([], "warn"),
        ([peer("unreachable", connected=False)], "warn"),
        ([peer("synced", connected=True), peer("held", connected=True)], "warn"),
        ([peer("synced", connected=True), peer("unreachable", connected=False)], "ok"),
    ],
)
def test_peers(peers: list[dict[str, Any]] | None, state: str) -> None:
    found = network.peers(cast("Client", _Node(peers)))
    assert (found.state, bool(found.fix)) == (state, state != "ok")


@pytest.mark.parametrize(
    ("held", "unknown", "strange", "rules", "kept", "state"),
    [
        (0, 0, 0, None, 3, "ok"),
        (0, 0, 0, 4, 3, "ok"),
        (3, 0, 0, None, 3, "warn"),
        (0, 2, 0, None, 3, "warn"),
        (0, 0, 1, None, 3, "warn"),
        (0, 0, 0, 3, 3, "warn"),
        (0, 0, 0, 3, 4, "warn"),
        (0, 0, 0, 5, 3, "warn"),
    ],
)
def test_versions_of_others(
    held: int, unknown: int, strange: int, rules: int | None, kept: int, state: str
) -> None:
    community = {"held": {"rules": held}, "operations": {"unknown": unknown}}
    refusals = {"version": strange} if strange else {}
    bob = peer("synced", connected=True) | {"node": "b" * 64}
    bob |= beside(About("1.9", rules) if rules else None, 4, kept)
    found = network.versions(
        cast("Client", _Node([bob])),
        {"communities": [community], "refusals": refusals, "rules": 4},
    )
    assert (found.state, bool(found.fix)) == (state, state != "ok")
    assert ("bbbbbbbb (1.9)" in found.detail) == (rules in {3, 5}), "it says who is of another"
    counted = {name for name in ("older", "too_old", "newer") if found.facts[name]}
    told = {(3, 3): "older", (3, 4): "too_old", (5, 3): "newer"}.get((rules or 0, kept))
    assert counted == ({told} if told else set())
    assert ("that their community keeps to" in found.detail) == (told == "too_old")
    assert "upgrade" in found.fix or state == "ok"


def test_doors_that_stand_open(tmp_path: Path) -> None:
    phrase = tmp_path / "phrase"
    phrase.touch(0o644)
    (tmp_path / "all").mkdir(mode=0o755)
    (tmp_path / "few").mkdir(mode=0o750)
    states = {
        "closed": (Config(), "ok"),
        "loopback": (Config(metrics_listen="127.0.0.1:9464"), "ok"),
        "here too": (Config(metrics_listen="[::1]:9464"), "ok"),
        "figures for all": (Config(metrics_listen="0.0.0.0:9464"), "warn"),
        "guests": (Config(guest_socket=str(tmp_path / "few" / "s")), "ok"),
        "everybody": (Config(guest_socket=str(tmp_path / "all" / "s")), "warn"),
        "no folder": (Config(guest_socket=str(tmp_path / "no" / "s")), "fail"),
        "passphrase": (Config(backup_passphrase_file=str(phrase)), "fail"),
    }
    for name, (config, state) in states.items():
        found = house.doors(config)
        assert (found.state, bool(found.fix)) == (state, state != "ok"), name


PRIVATE = (
    "node.key", "node.db", "node.db-wal", "jobs.db", "tokens.json", "audit.jsonl", "audit.jsonl.2",
    "restored.json", "realms/a.db", "own/a.db", "own/lost/a.db", "keys/a.key", "run/place",
    "agents/a.agent", "sandbox/a.bin", "elsewhere/node.log", "elsewhere/node.log.1",
)  # fmt: skip


@pytest.mark.parametrize("name", PRIVATE)
def test_whatever_the_node_has_written_is_looked_at(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    config = Config(log_file=str(home.path / "elsewhere" / "node.log"))
    home.create()
    for one in PRIVATE:
        file = home.path / one
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.touch(0o600)
    (home.path / "config.toml").touch(0o644)
    assert house.modes(home, config).state == "ok", "the settings are no secret"
    file = home.path / name
    file.chmod(0o640)
    found = house.modes(home, config)
    assert (found.state, found.fix) == ("fail", f"chmod go-rwx {file}")
    file.unlink()
    file.symlink_to("/dev/null")
    found = house.modes(home, config)
    assert (found.state, found.facts["linked"]) == ("fail", 1)


def test_no_randomness_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(_count: int, _flags: int) -> bytes:
        raise BlockingIOError

    assert machine.entropy().state == "ok"
    monkeypatch.setattr("os.getrandom", waits)
    assert machine.entropy().state == "fail"


def test_one_fault_keeps_no_other_question_from_being_asked() -> None:
    def falls() -> Check:
        raise RuntimeError("no such thing")

    found = guarded("disk", falls)
    assert (found.check, found.state) == ("disk", "fail")
    assert "no such thing" in found.detail
    assert "no such thing" not in str(dict(found.facts)), "what a report may hold names nothing"


def test_the_sum_is_the_worst() -> None:
    checks = [Check("a", "ok", "Fine."), Check("b", "warn", "So so.", "mend it")]
    assert worst([]) == "ok"
    assert worst(checks) == "warn"
    assert STATES.index("fail") > STATES.index("warn")
    assert "try: mend it" in in_words(checks, None)
