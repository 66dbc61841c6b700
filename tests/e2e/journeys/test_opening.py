"""Journey 1: Anna opens a tool library, while her line to the street goes off and on."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.journeys.telling import in_both_languages, says, speak
from tests.e2e.neighbourhood import QUICK, House, agree, cli, street, until
from tests.soak.links import Relay

from commons_node.api.client import ApiError
from commons_node.example.people import inventories

NEIGHBOURS = ("Bo", "Cia", "Dan", "Elin", "Farid")
_ON_S, _OFF_S = 2.5, 2.0


@contextmanager
def flaky(relay: Relay, host: str, others: tuple[str, ...]) -> Iterator[None]:
    """The host's uplink goes off and on every few seconds, until the block ends."""
    over = threading.Event()

    def flicker() -> None:
        while not over.wait(_ON_S):
            for other in others:
                relay.trouble(host, other, "cut", "uplink")
            over.wait(_OFF_S)
            relay.mend("uplink")

    thread = threading.Thread(target=flicker, name="uplink")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        relay.mend("uplink")


def join(house: House, code: str) -> str:
    """A neighbour types the code, and again if nobody answered yet; the state in the end."""
    state = ""
    for _ in range(6):
        try:
            state = str(house.join(code, wait=15)["state"])
        except ApiError as error:  # somebody answered after we had stopped waiting
            state = "joined" if error.code == "exists" else error.code
        if state == "joined":
            break
    return state


def members(house: House) -> str:
    """A hash of the list of members as a house shows it."""
    rows = [
        [row[field] for field in ("member", "name", "role", "devices", "standing")]
        for row in house.see("member.list")["members"]
    ]
    return blake2b(json.dumps(sorted(rows)).encode()).hexdigest()


def forty() -> bytes:
    """The first 40 things of a real tool library's list."""
    lines: list[bytes] = []
    for _, _, _, data in inventories(random.Random(4)):
        first, *rows = data.splitlines()
        lines += rows if lines else [first, *rows]
    return b"\n".join(lines[:41]) + b"\n"


@pytest.mark.long
@in_both_languages
def test_a_tool_library_opens_over_a_line_that_goes_off_and_on(
    language: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speak(monkeypatch, language)
    with street() as elm:
        relay = Relay(lambda: {house.name: house.process.pid for house in elm.houses})
        fronts = {name: relay.front(name) for name in ("Anna", *NEIGHBOURS)}
        try:
            anna, *others = elm.build(
                "Anna",
                *NEIGHBOURS,
                config=lambda name: QUICK + f'announce = ["{fronts[name]}"]\n',
            )
            with flaky(relay, "Anna", NEIGHBOURS):
                _opens(anna, tmp_path)
                code = _sheet(anna, tmp_path)
                with ThreadPoolExecutor(2) as pool:
                    states = list(pool.map(lambda house: join(house, code), others))
                assert states == ["joined"] * 5, "sooner or later everybody is in"
                for who in ("Bo", "Cia", "Dan"):
                    anna.do("member.role", who=who, role="member")
                until(lambda: _is_away(anna), "the line is off at some time", 20)
                for house in (anna, *others):
                    told = says(house, "status")
                    assert "error" not in told.casefold(), "an outage is no error"
                seen = anna.reads("peer", "list")["peers"]
                assert all(peer["last_seen"] for peer in seen), "only when they were last seen"
                assert all(peer["sync"]["next_action"] is not None for peer in seen)
                says(anna, "peer", "list")
            counts = dict(relay.counts)
            assert counts.get("cut", 0) + counts.get("refused", 0) > 3, f"it really broke: {counts}"
            agree(anna, *others)
            for house in (anna, *others):
                told = house.reads("resource", "list")["resources"]
                assert len(told) == 40
                assert {one["custodian"] for one in told} == {anna.member}, "each has a steward"
                listed = house.reads("member", "list")["members"]
                assert sorted(one["role"] for one in listed) == [
                    "coordinator", "member", "member", "member", "newcomer", "newcomer",
                ], "two newcomers wait for somebody to vouch for them"  # fmt: skip
                says(house, "member", "list")
            assert len({members(house) for house in (anna, *others)}) == 1
            assert len({house.hashes() for house in (anna, *others)}) == 1
            _drills(anna, tmp_path)
        finally:
            relay.close()


def _opens(anna: House, folder: Path) -> None:
    """Anna founds by the command line, brings her tools in, and prints labels."""
    said = cli(
        anna.home, "community", "init", "Elm Street", "--member", "Anna", "--timezone",
        "Europe/Stockholm", "--passphrase-file", str(anna.passphrase_file), "--json",
    )  # fmt: skip
    anna.member = said.json["member"]
    anna.unlock()
    inventory = folder / "tools.csv"
    inventory.write_bytes(forty())
    report = anna.acts("resource", "import", str(inventory))
    assert (report["read"], report["created"], report["failed"]) == (40, 40, 0)
    labels = folder / "labels.html"
    made = anna.reads("resource", "labels", "--out", str(labels))
    assert made["labels"] == 40
    page = labels.read_text(encoding="utf-8")
    assert page.count("<svg") == 40
    for row in report["rows"]:
        assert f">{row['number']}<" in page, "every label carries its number"


def _sheet(anna: House, folder: Path) -> str:
    """The page on the wall, and the code that is printed on it."""
    sheet = folder / "join.html"
    made: dict[str, Any] = anna.acts("invite", "sheet", "--uses", "5", "--out", str(sheet))
    code: str = made["code"]
    assert code in sheet.read_text(encoding="utf-8")
    return code


def _drills(anna: House, folder: Path) -> None:
    """The library is backed up while it runs, read back, and restored for a rehearsal."""
    phrase = folder / "safe.txt"
    phrase.write_text("two rivers meet in the old town\n")
    phrase.chmod(0o600)
    words = [str(folder / "backups"), "--passphrase-file", str(phrase)]
    state, count = anna.hashes()[1], sum(anna.operations().values())
    made = anna.reads("backup", "create", *words)
    read = anna.reads("backup", "verify", *words)
    assert read["operations"] == made["operations"] >= count
    assert state in json.dumps(read), "what was read back is the library as it stands"
    rehearsed = anna.reads("backup", "rehearse", *words)
    assert rehearsed["operations"] == read["operations"]
    assert state in json.dumps(rehearsed), "backup restore drill passed"
    says(anna, "backup", "rehearse", *words)
    assert anna.hashes()[1] == state, "and the node that runs is as it was"


def _is_away(house: House) -> bool:
    try:
        peers = house.see("peer.list")["peers"]
    except ApiError:
        return False
    return bool(peers) and not any(peer["connected"] for peer in peers)
