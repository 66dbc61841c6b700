"""One node for several people, and what a person sees when something is locked, away or over."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import (
    House,
    Street,
    Terminal,
    alive,
    clean_environment,
    cli,
    street,
    until,
)

ALICES, BOBS = "alice likes old drills", "bob prefers the long saw"


@pytest.fixture(scope="module")
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture(scope="module")
def kiosk(elm_street: Street) -> House:
    """A node in the hall: Alice founded the community there, Bob joined it at the same keys."""
    (house,) = elm_street.build("kiosk")
    for name, passphrase in (("alice", ALICES), ("bob", BOBS)):
        (house.home / name).touch(0o600)
        (house.home / name).write_text(passphrase + "\n")
    with Terminal(house.home) as founding:
        said = founding.cli(
            "community", "init", "Elm Street", "--member", "Alice", "--timezone",
            "Europe/Stockholm", "--passphrase-file", str(house.home / "alice"),
        )  # fmt: skip
        assert said.json["verdict"] == "accepted"
        assert set(said.json) >= {"operation", "reason", "community", "member", "device", "node"}
        code = founding.cli("invite", "create", "--uses", "2", "--expires", "1d").json
        assert (code["uses"], code["verdict"]) == (2, "accepted")
    with Terminal(house.home) as joining:
        said = joining.cli(
            "join", code["code"], "--member", "Bob", "--passphrase-file", str(house.home / "bob")
        )
        assert said.json["state"] == "joined", "the node lets a second member in by itself"
        assert said.json["node"] == house.node
    return house


def test_two_members_act_in_turn_each_with_a_passphrase(kiosk: House) -> None:
    def invites(who: str, secret: str) -> tuple[int, str]:
        said = kiosk.cli("invite", "create", "--as", who, "--passphrase-file", secret, session=True)
        return said.code, said.json["invite"] if said.code == 0 else said.error["code"]

    alices, bobs = str(kiosk.home / "alice"), str(kiosk.home / "bob")
    members = {m["name"]: m for m in kiosk.reads("member", "list")["members"]}
    assert members["Alice"]["role"] == "coordinator"
    assert members["Bob"]["role"] == "newcomer"
    assert set(members["Bob"]) == {"member", "name", "role", "devices", "standing", "settled"}

    assert invites("Bob", bobs) == (4, "not_permitted"), "a newcomer may not invite"
    promoted = kiosk.cli(
        "member", "role", "Bob", "member", "--as", "Alice", "--passphrase-file", alices
    )
    assert promoted.json["verdict"] == "accepted"
    code, invite = invites("Bob", bobs)
    assert code == 0, "a member may"
    explained = kiosk.reads("explain", invite[:12])
    assert explained["operation"] == invite, "an operation is found by the start of its id"
    assert explained["author"] == "Bob", "Bob's act is signed by Bob, not by who founded"
    assert invites("Bob", alices)[0] == 4, "Alice's passphrase does not open Bob's keys"
    assert invites(members["Bob"]["member"][:8], bobs)[0] == 0, "a member goes by a prefix, too"


def test_being_unlocked_belongs_to_one_terminal(kiosk: House) -> None:
    with Terminal(kiosk.home) as left, Terminal(kiosk.home) as right:
        for terminal in (left, right):
            said = terminal.cli("invite", "create")
            assert (said.code, said.error["code"]) == (4, "locked"), "nobody is unlocked yet"
        opened = left.cli(
            "member", "unlock", "Alice", "--for", "5m",
            "--passphrase-file", str(kiosk.home / "alice"),
        ).json  # fmt: skip
        assert set(opened) >= {"member", "device", "until", "session"}
        assert left.cli("invite", "create").code == 0, "Alice acts at her terminal"
        assert right.cli("invite", "create").code == 4, "and at no other"

        right.cli("member", "unlock", "Bob", "--passphrase-file", str(kiosk.home / "bob"))
        ours = right.cli("invite", "create").json["operation"]
        assert right.cli("explain", ours).json["author"] == "Bob", "each acts as themselves"
        theirs = right.cli("invite", "create", "--as", "Alice")
        assert (theirs.code, theirs.error["code"]) == (4, "locked"), "Bob can't act as Alice"

        assert left.cli("member", "lock").code == 0
        assert left.cli("invite", "create").code == 4, "Alice has locked her terminal"
        assert right.cli("invite", "create").code == 0, "which is nothing to Bob's"


def test_exit_codes_say_what_kind_of_fault_it_was(kiosk: House, tmp_path: Path) -> None:
    said = cli(tmp_path, "status", "--json")
    assert (said.code, said.error["code"]) == (3, "not_running"), "no node runs for this home"
    wrong = kiosk.cli("member", "list", "--community", "0" * 64)
    assert wrong.code == 1, "there is no such community"
    assert wrong.error["code"] == "unknown"
    assert kiosk.cli("member", "list", "--community", "Elm Street").code == 0, "it has a name"
    nothing = kiosk.cli("member", "juggle")
    assert (nothing.code, nothing.error["code"]) == (2, "usage")
    assert kiosk.cli("explain", "abc").code == 1, "three digits name nothing"


def test_one_daemon_for_each_home(kiosk: House) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "commons_cli.main", "run", "--no-lan"],
        env=clean_environment(kiosk.home), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert second.returncode == 1, "a second daemon on the same home is refused"
    assert str(kiosk.process.pid) in second.stderr, "and told which process has it"
    assert kiosk.reads("status")["ready"] is True, "the first one goes on"


def test_a_peer_that_stops_is_said_to_be_away_and_a_stop_is_clean(elm_street: Street) -> None:
    anna, cleo = elm_street.community("anna", "cleo")
    waited = anna.reads("sync", "wait", "--peer", cleo.node[:8], "--timeout", "30")
    assert waited["converged"] is True
    assert [peer["node"] for peer in waited["peers"]] == [cleo.node]

    workers = cleo.children()
    assert workers, "a daemon has verifier processes"
    assert cleo.stop() == 0, "SIGTERM ends a node in peace"
    until(lambda: not any(map(alive, workers)), "no child is left behind", 5)
    assert not Path(cleo._socket).exists(), "and no socket"
    for file in cleo.databases():
        assert not file.with_name(file.name + "-wal").exists(), "every file is closed"
    cleo.assert_whole()
    assert cli(cleo.home, "status", "--json").code == 3, "exit code 3: the node does not run"

    said = anna.cli("sync", "wait", "--timeout", "2")
    assert (said.code, said.error["code"]) == (5, "not_converged"), "exit code 5: no round ended"
    (peer,) = anna.reads("peer", "list")["peers"]
    assert set(peer) >= {"node", "addresses", "connected", "blocked", "last_seen", "sync"}
    assert set(peer["sync"]) == {
        "state", "code", "have", "missing", "refused", "unknown_since", "reason", "next_action",
    }  # fmt: skip
    assert peer["connected"] is False
    assert peer["sync"]["state"] != "synced", "nobody is in sync with a node that is away"
    assert peer["sync"]["unknown_since"], "and it is said since when"

    cleo.again()
    assert anna.cli("sync", "wait", "--timeout", "40").code == 0, "they find each other again"
    assert anna.hashes() == cleo.hashes()


def test_ctrl_c_ends_the_program_that_a_person_started(elm_street: Street) -> None:
    home = elm_street.folder / "dora"
    ready = elm_street.folder / "dora.ready"
    run = subprocess.Popen(
        [
            sys.executable, "-m", "commons_cli.main", "run", "--no-lan",
            "--listen", "/ip4/127.0.0.1/tcp/0", "--ready-file", str(ready),
        ],
        env=clean_environment(home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        until(ready.exists, "the node says that it is ready", 60)
        line = run.stdout.readline() if run.stdout else ""
        assert line == ready.read_text(), "the same line on stdout and in the file"
        for word in ('"event": "ready"', '"node"', '"pid"', '"socket"', '"addresses"'):
            assert word in line
        run.send_signal(signal.SIGINT)
        assert run.wait(20) in {0, 130}, "Ctrl-C ends it"
        with sqlite3.connect(home / "node.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
    finally:
        run.kill()
        run.communicate()
