"""Who may what at a real daemon's doors, what it listens on, and what it lets others see of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.neighbourhood import (
    PASSPHRASE,
    QUICK,
    House,
    children_of,
    clean_environment,
    cli,
    street,
    until,
)
from tests.ports import own_port

from commons_node.api.client import ApiError, Client
from commons_node.api.types import ExitCode
from commons_node.verbs import VERSION

FORBIDDEN = 0o077


@pytest.fixture(scope="module")
def port() -> int:
    return own_port()


@pytest.fixture(scope="module")
def alice(port: int) -> Iterator[House]:
    """A node with every door open, a log of its own, started by somebody who hides nothing."""
    before = os.umask(0o022)
    try:
        with street() as elm_street:
            guests = elm_street.folder / "guests"
            guests.mkdir(mode=0o750)
            (house,) = elm_street.build("alice", config=QUICK + "\n".join([
                f'guest_socket = "{guests / "api.sock"}"',
                f'metrics_listen = "127.0.0.1:{port}"',
                f'log_file = "{elm_street.folder / "alice" / "node.log"}"',
                'log_levels = ["store=error"]',
            ]) + "\n")  # fmt: skip
            house.found()
            yield house
    finally:
        os.umask(before)


def guests_of(house: House) -> Path:
    return house.home.parent / "guests" / "api.sock"


def token(house: House, *only: str) -> str:
    words = [word for one in only for word in ("--only", one)]
    return str(house.cli("session", "token", *words).json["secret"])


def refusal(client: Client, name: str, *, view: bool = True, **given: Any) -> str:
    ask = client.view if view else client.command
    with pytest.raises(ApiError) as failed:
        ask(name, given, 20.0)
    assert failed.value.exit is ExitCode.LOCKED
    return failed.value.code


# -- what it listens on ----------------------------------------------------------------------


def sockets(pids: list[int]) -> set[str]:
    """The inodes of the sockets that processes have open."""
    inodes = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                if found := re.fullmatch(r"socket:\[(\d+)\]", handle.readlink().name):
                    inodes.add(found[1])
    return inodes


def listening(pids: list[int]) -> tuple[set[int], set[str]]:
    """(TCP ports, Unix sockets) that processes listen on, as the kernel says."""
    inodes = sockets(pids)
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                ports.add(int(words[1].rpartition(":")[2], 16))
    names = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if words[6] in inodes and int(words[3], 16) & 0x10000 and len(words) > 7:
            names.add(words[7])
    return ports, names


def libp2p_port(house: House) -> int:
    return int(house.address.split("/tcp/")[1].split("/")[0])


def udp_ports(pids: list[int]) -> int:
    inodes = sockets(pids)
    return sum(
        line.split()[9] in inodes
        for table in ("udp", "udp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    )


def test_it_listens_where_libp2p_does_and_where_it_was_told_to(alice: House, port: int) -> None:
    pids = [alice.process.pid, *children_of(alice.process.pid)]
    ports, names = listening(pids)
    own = {libp2p_port(alice)}
    assert ports == own | {port}
    assert len(names) == 2, f"the owner's socket and the guests', {names}"
    assert udp_ports(pids) == 0, "the local network is switched off here"


def test_a_node_as_it_comes_has_no_listener_but_libp2ps() -> None:
    with street() as elm_street:
        (bob,) = elm_street.build("bob")
        ports, names = listening([bob.process.pid, *children_of(bob.process.pid)])
        assert len(ports) == 1
        assert len(names) == 1
        assert ports == {libp2p_port(bob)}


# -- what others on the machine can see ----------------------------------------------------------


def test_everything_in_the_home_is_for_its_owner_alone(alice: House) -> None:
    ours = {"config.toml", "passphrase", "log", "ready"}  # the test's own
    seen = 0
    for path in alice.home.rglob("*"):
        if path.relative_to(alice.home).parts[0] in ours:
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert not mode & FORBIDDEN, f"{path.name} has mode {mode:o}, whatever the umask was"
        seen += 1
    assert seen > 10
    assert stat.S_IMODE(alice.home.stat().st_mode) == 0o700
    assert {"audit.jsonl", "node.key", "node.log"} <= {p.name for p in alice.home.iterdir()}
    assert stat.S_IMODE(guests_of(alice).stat().st_mode) == 0o660


def test_no_passphrase_is_in_an_argument_or_in_the_environment(alice: House) -> None:
    """Looked for in every process that a command makes, while it runs."""
    secret = PASSPHRASE.encode()
    looked = []
    asking = subprocess.Popen(
        [sys.executable, "-m", "commons_cli.main", "--home", str(alice.home), "member", "unlock",
         "alice", "--passphrase-file", "-", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for pid in (alice.process.pid, *children_of(alice.process.pid), asking.pid):
        for what in ("cmdline", "environ"):
            data = Path(f"/proc/{pid}/{what}").read_bytes()
            assert secret not in data
            looked.append((pid, what, len(data) > 0))
    out, err = asking.communicate(secret + b"\n", timeout=60)
    assert asking.returncode == 0, err
    assert secret not in out + err
    assert len([one for one in looked if one[2]]) >= 6, "the kernel showed them"
    help_text = cli(alice.home, "member", "unlock", "--help").out
    assert "--passphrase " not in help_text, "there is no such option"
    assert secret not in alice.whole_log().encode()


# -- tokens --------------------------------------------------------------------------------------


def test_a_screen_in_the_hall_sees_the_status_and_nothing_else(alice: House) -> None:
    secret = token(alice, "view:status", "view:space.*")
    for where in (guests_of(alice), alice._socket):
        screen = Client(where, session=secret)
        assert screen.view("status", {}, 20.0)["node"] == alice.see("status")["node"]
        assert refusal(screen, "member.list") == "not_allowed"
        assert refusal(screen, "audit.list") == "not_allowed"
        assert refusal(screen, "peer.block", view=False, node="x") == "not_allowed"
        assert refusal(screen, "session.token", view=False, only=["view:status"]) == "not_allowed"
        with pytest.raises(ApiError) as failed:
            next(screen.events(5.0))
        assert failed.value.code == "not_allowed"
    shown = alice.cli("session", "list").json["tokens"]
    (row,) = [one for one in shown if "view:space.*" in one["only"]]
    assert secret not in json.dumps(shown)
    alice.cli("session", "revoke", row["token"])
    assert refusal(Client(guests_of(alice), session=secret), "status") == "bad_token"
    assert refusal(Client(alice._socket, session=secret), "status") == "bad_token", (
        "who held a token does not become the owner by losing it"
    )


def test_nobody_is_answered_at_the_guests_socket_without_a_token(alice: House) -> None:
    for session in (None, "0" * 64, alice.session):
        guest = Client(guests_of(alice), session=session)
        assert refusal(guest, "status") == "token_needed"
        assert refusal(guest, "member.lock", view=False) == "token_needed"
        for path in ("/v1/verbs", "/v1/openapi.json"):
            with pytest.raises(ApiError) as failed:
                guest.get(path, 10.0)
            assert failed.value.code == "token_needed"
    assert Client(guests_of(alice)).get("/v1/health", 10.0)["healthy"] is True


def test_a_limited_kiosk_still_needs_somebody_who_unlocks(alice: House) -> None:
    secret = token(alice, "act:invite.create", "session:member.unlock", "session:member.lock")
    kiosk = Client(guests_of(alice), session=secret)
    with pytest.raises(ApiError) as failed:
        kiosk.command("invite.create", {}, 20.0)
    assert failed.value.code == "locked"
    answer = kiosk.command("member.unlock", {"member": "alice", "passphrase": PASSPHRASE}, 30.0)
    assert answer["session"] == secret, "it gets no other session by that"
    assert kiosk.command("invite.create", {}, 20.0)["verdict"] == "accepted"
    assert refusal(kiosk, "member.leave", view=False) == "not_allowed"
    kiosk.command("member.lock", {}, 10.0)


def test_the_command_line_asks_with_a_token_from_a_file(alice: House, tmp_path: Path) -> None:
    file = tmp_path / "screen.token"
    said = alice.cli("session", "token", "--only", "view:status", "--out", str(file))
    assert "secret" not in said.json
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    words = ("--socket", str(guests_of(alice)), "--token-file", str(file), "--json")
    assert cli(tmp_path / "nowhere", "status", *words).json["ready"] is True
    refused = cli(tmp_path / "nowhere", "peer", "list", *words)
    assert (refused.code, refused.error["code"]) == (4, "not_allowed")
    assert "--only view:peer.list" in refused.error["hint"]
    file.chmod(0o644)
    assert cli(tmp_path / "nowhere", "status", *words).code == 2, "others may read it"


# -- the audit ---------------------------------------------------------------------------------


def test_who_did_what_stands_in_the_audit_and_no_secret(alice: House) -> None:
    alice.acts("invite", "create", "--uses", "3")
    wrong = alice.refused("member.unlock", member="alice", passphrase="not this one at all")
    assert wrong.code == "wrong_passphrase"
    secret = token(alice, "view:status")
    at_home, outside = (Client(at, session=secret) for at in (alice._socket, guests_of(alice)))
    assert refusal(at_home, "member.list") == "not_allowed"
    assert refusal(outside, "peer.block", view=False, node="x") == "not_allowed"
    rows = alice.reads("audit", "list", "--limit", "200")["entries"]
    tried, *_ = [one for one in rows if one["verb"] == "member.unlock"]
    assert (tried["outcome"], tried["member"], tried["who"]) == (
        "wrong_passphrase", alice.member, "alice",
    )  # fmt: skip
    (made,) = [one for one in rows if "uses" in one.get("given", ()) and one["outcome"] == "ok"]
    assert (made["verb"], made["member"]) == ("invite.create", alice.member)
    assert made["uid"] == os.getuid()
    assert made["operation"] in alice.verdicts()
    refused = [one for one in rows if one["outcome"] == "not_allowed"]
    assert {"member.list", "peer.block"} <= {one["verb"] for one in refused}
    assert {one.get("door", "own") for one in refused} == {"own", "guests"}
    assert not [one for one in rows if one["verb"] == "status" and one["outcome"] == "ok"]
    text = (alice.home / "audit.jsonl").read_text()
    for word in (PASSPHRASE, "not this one", "Elm Street", secret, alice.session or "no"):
        assert word not in text


# -- figures, health, logs -------------------------------------------------------------------------


def fetched(port: int, path: str, host: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_figures_and_health_on_a_port(alice: House, port: int) -> None:
    status, text = fetched(port, "/metrics", f"127.0.0.1:{port}")
    assert status == 200
    assert "commons_network_up 1.0" in text
    status, text = fetched(port, "/health", f"localhost:{port}")
    assert (status, json.loads(text)["parts"]["store"]) == (200, "ok")
    assert fetched(port, "/metrics", "a-page.example")[0] == 421, "no page in a browser reads it"
    for path in ("/v1/views/status", "/v1/commands/peer.block", "/"):
        assert fetched(port, path, f"127.0.0.1:{port}")[0] == 404, "no verb is reached by it"


def test_health_says_so_in_its_exit_code(alice: House, tmp_path: Path) -> None:
    said = alice.cli("health")
    assert {one["state"] for one in said.json["parts"]} <= {"ok", "short"}
    assert cli(tmp_path, "health", "--json").code == 3, "no node runs there"


def test_the_log_is_a_file_and_changes_while_it_runs(alice: House) -> None:
    log = alice.home / "node.log"
    said = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(line["event"] for line in said)
    assert {line["version"] for line in said if line["event"] == "started"} == {VERSION}
    assert alice.whole_log() == "", "nothing on stderr"
    before = alice.cli("log", "show").json
    assert before["levels"] == [
        {"component": "*", "level": "info"}, {"component": "store", "level": "error"},
    ]  # fmt: skip
    changed = alice.cli("log", "level", "peering=debug", "warning").json["levels"]
    assert changed == [{"component": "*", "level": "warning"}], "a level for all clears the others"
    changed = alice.cli("log", "level", "peering=debug", "*=info").json["levels"]
    assert changed == [
        {"component": "*", "level": "info"}, {"component": "peering", "level": "debug"},
    ], "the sign of the rest is taken as it is shown"  # fmt: skip
    with street() as elm_street:
        (bob,) = elm_street.build("bob")
        bob.do("peer.connect", address=alice.address)
        until(lambda: '"component": "peering"' in log.read_text(), "what was silent is told now")
    assert alice.cli("log", "level", "nothing=debug").error["code"] == "bad_level"
    assert alice.cli("log", "level").json["levels"] == before["levels"], "as it is configured"


def test_status_is_watched_and_shows_what_happens(alice: House) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "commons_cli.main", "status", "--watch", "--json"],
        env=clean_environment(alice.home), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    overdue = threading.Timer(120, watching.kill)
    overdue.start()
    try:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        assert first["ready"] is True
        before = first["communities"][0]["operations"]["accepted"]
        alice.unlock()
        alice.do("resource.add", name="Kite", number="K-9")
        for line in watching.stdout:
            (community,) = json.loads(line)["communities"]
            if (community["set_hash"], community["state_hash"]) == alice.hashes():
                break
        else:
            raise AssertionError("what happens is shown")
        assert community["operations"]["accepted"] > before
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == ExitCode.INTERRUPTED
    finally:
        overdue.cancel()
        watching.kill()
        watching.wait()
        if watching.stdout is not None:
            watching.stdout.close()


@pytest.mark.long
def test_who_does_nothing_for_a_while_is_locked_at_that_terminal_alone(alice: House) -> None:
    """By the daemon's own clock."""
    alice.session = None
    alice.unlock()
    other, alice.session = alice.session, None
    alice.do("member.unlock", member=alice.member, passphrase=PASSPHRASE, **{"for": 2})
    time.sleep(2.5)
    refused = alice.refused("invite.create", uses=1)
    assert refused.code == "locked"
    assert "member unlock" in refused.hint
    alice.session = other
    alice.do("invite.create", uses=1)


# -- another passphrase -------------------------------------------------------------------------


def test_another_passphrase(alice: House, tmp_path: Path) -> None:
    words = {}
    for name, text in (("old", PASSPHRASE), ("new", "words that nobody knew"), ("weak", "1234")):
        words[name] = tmp_path / name
        words[name].touch(0o600)
        words[name].write_text(text + "\n")

    def change(old: str, new: str) -> Any:
        return alice.cli("member", "passphrase", "alice", "--passphrase-file", str(words[old]),
                         "--new-passphrase-file", str(words[new]))  # fmt: skip

    assert change("new", "old").error["code"] == "wrong_passphrase", "the old one is asked for"
    assert change("old", "weak").error["code"] == "weak_passphrase"
    unlocked = Client(alice._socket, session=alice.session)
    assert change("old", "new").json["name"] == "alice"
    assert unlocked.command("invite.create", {}, 20.0)["verdict"] == "accepted", "who is, stays so"
    assert alice.refused("member.unlock", member="alice", passphrase=PASSPHRASE).code == (
        "wrong_passphrase"
    )
    assert change("new", "old").json["member"] == alice.member
    alice.unlock(name="alice")
