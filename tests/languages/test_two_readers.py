"""Two people at one node, each in their own language, at the same time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from tests.e2e.neighbourhood import House, clean_environment, street
from tests.languages.english import english_in

from commons_node.api.client import ApiError, Client
from commons_node.api.paths import socket_path


@dataclass
class Reader:
    """Somebody's terminal: what they typed, and every line that they read."""

    house: House
    name: str
    environment: dict[str, str]
    passphrase: str
    read: list[str] = field(default_factory=list)

    def types(self, *words: str, given: str = "", code: int = 0, alone: bool = False) -> str:
        """Run one command line; all that it printed."""
        file = self.house.home / f"{self.name}.txt"
        file.touch(0o600)
        file.write_text(self.passphrase + "\n")
        who = [] if alone else ["--as", self.name, "--passphrase-file", str(file)]
        done = subprocess.run(
            [sys.executable, "-m", "commons_cli.main", *words, *who],
            env=clean_environment(self.house.home) | self.environment,
            input=given, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{words}: {done}"
        text = done.stdout + done.stderr
        self.read.append(text)
        return text


@pytest.fixture(scope="module")
def readers() -> Iterator[tuple[Reader, Reader]]:
    with street() as made:
        (house,) = made.build("alice")
        house.found()
        alice = Reader(
            house, "alice", {"LANGUAGE": "en"}, house.passphrase_file.read_text().strip()
        )
        bob = Reader(
            house, "bob", {"LANGUAGE": "sv", "LANG": "sv_SE.UTF-8"}, "bo likes the long saw"
        )
        yield alice, bob


@pytest.mark.long
def test_bob_joins_borrows_and_returns_in_swedish(readers: tuple[Reader, Reader]) -> None:
    alice, bob = readers
    alice.types("resource", "add", "Ladder", "--number", "7")
    invited = json.loads(alice.types("invite", "create", "--json"))
    # what goes wrong first
    bob.types("join", "XXXX", "--member", "bob", code=2, alone=True)
    bob.types("loan", "request", "7", "--days", "many", code=2)
    bob.types("lona", code=2, alone=True)
    bob.types("resource", "show", "nothing-like-it", code=1, alone=True)
    bob.types("peer", "connect", "nonsense", code=1, alone=True)
    # joining
    file = alice.house.home / "bob.txt"
    bob.types(
        "join", invited["code"], "--member", "bob", "--passphrase-file", str(file), alone=True
    )
    alice.types("member", "role", "bob", "member")
    # borrowing
    asked = bob.types("loan", "request", "7", "--days", "3")
    assert "Du har bett om Ladder" in asked
    refused = bob.types("loan", "approve", "7", code=4)
    assert "Rollen medlem räcker inte" in refused
    alice.types("loan", "approve", "7")
    bob.types("loan", "accept", "7", code=1)
    alice.types("loan", "handover", "7")
    bob.types("loan", "accept", "7")
    listed = bob.types("loan", "list", alone=True)
    assert "utlånad" in listed
    assert "on loan" not in listed
    bob.types("loan", "return", "7")
    alice.types("loan", "receive", "7")
    shown = bob.types("loan", "show", "7", alone=True)
    assert "återlämnad" in shown
    # looking round
    operation = json.loads(bob.types("activity", "list", "--json", alone=True))["activity"][0]
    bob.read.pop()
    explained = bob.types("explain", operation["operation"], alone=True)
    assert "Den står" in explained
    for words in ("status", "member list", "resource list", "sync why", "sync status",
                  "community acts", "activity list", "peer list", "notice list --as bob",
                  "member here", "part list", "resource show 7", "doctor --quick"):  # fmt: skip
        bob.types(*words.split(), alone="--as" not in words)
    for text in bob.read:
        left = english_in(text)
        assert not left, f"{left} in:\n{text}"


def test_both_ask_at_once_and_each_is_answered_in_their_language(
    readers: tuple[Reader, Reader],
) -> None:
    alice, _bob = readers
    socket = socket_path(alice.house.home, {"XDG_RUNTIME_DIR": ""})

    def refused(language: str) -> tuple[str, str, str]:
        try:
            Client(socket, language=language).view("resource.show", {"resource": "no-such"}, 30.0)
        except ApiError as error:
            return error.code, error.message, error.hint
        raise AssertionError("there is no such thing")

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(refused, ["en", "sv", "sv-SE,en;q=0.1", "fi"] * 10))
    assert {code for code, _message, _hint in said} == {"unknown"}, "a code is no language's"
    assert {message for _code, message, _hint in said[0::4] + said[3::4]} == {
        "No thing is called 'no-such' here."
    }
    assert {message for _code, message, _hint in said[1::4] + said[2::4]} == {
        "Här finns inget som heter 'no-such' (sak)."
    }


def test_what_the_node_logs_stays_english(readers: tuple[Reader, Reader]) -> None:
    alice, bob = readers
    bob.types("resource", "show", "nothing-like-it", code=1, alone=True)
    assert not re.search("[åäöÅÄÖ]", alice.house.whole_log())


def test_json_has_the_same_keys_and_codes_in_both(readers: tuple[Reader, Reader]) -> None:
    alice, bob = readers
    for words in ("status", "loan list", "resource list", "member list"):
        one = json.loads(alice.types(*words.split(), "--json", alone=True))
        two = json.loads(bob.types(*words.split(), "--json", alone=True))
        assert one.keys() == two.keys()
        assert [row.get("state") for row in one.get("loans", [])] == [
            row.get("state") for row in two.get("loans", [])
        ]
