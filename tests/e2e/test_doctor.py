"""The doctor at a real node: what is well, what is broken in a copy of its home, what it tells."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pwd
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.neighbourhood import House, agree, cli, street

from commons_node.doctor.check import Check
from commons_node.doctor.report import report
from commons_node.doctor.seeing import examine
from commons_node.home import Home

CSV = "number,name\n1,Drill\n2,Saw\n3,Ladder\n"
PRESENT = (
    "program", "home", "modes", "keys", "config", "database node", "forks", "backup", "disk",
    "clock", "zone", "memory", "entropy", "files", "sandbox", "runner", "doors", "node", "port",
    "multicast", "peers", "versions",
)  # fmt: skip

Checks = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A node that shares three things with bob's."""
    things = tmp_path_factory.mktemp("csv") / "things.csv"
    things.write_text(CSV)
    with street() as elm_street:
        houses = elm_street.community("alice", "bob")
        houses[0].acts("resource", "import", str(things))
        agree(*houses)
        yield houses[0]


def examined(home: Path, *words: str) -> Checks:
    said = cli(home, "doctor", "--json", *words)
    assert said.code == 0, said
    answer = said.json
    checks: list[dict[str, str]] = answer["checks"]
    assert all(set(one) == {"check", "state", "detail", "fix"} for one in checks)
    states = [one["state"] for one in checks]
    order = ("ok", "warn", "fail")
    assert answer["state"] == max(states, key=order.index)
    assert all(one["fix"] for one in checks if one["state"] != "ok"), "each fault says what to do"
    return {one["check"]: one for one in checks}


def truth(checks: Checks) -> dict[str, str]:
    (found,) = [one for name, one in checks.items() if name.startswith("truth ")]
    return found


def test_a_running_node_is_well_and_is_not_disturbed(alice: House) -> None:
    before = alice.hashes()
    checks = examined(alice.home)
    assert set(PRESENT) <= set(checks)
    told = {name: one["state"] for name, one in checks.items()}
    assert told.pop("backup") == "warn", "there is none yet"
    told.pop("sandbox")  # as this machine is
    told.pop("memory")
    told.pop("disk")
    told.pop("multicast")
    assert set(told.values()) == {"ok"}, checks
    assert "1 of 1 are connected: 1 synced" in checks["peers"]["detail"]
    count = sum(alice.operations().values())
    assert truth(checks)["detail"].startswith(f"{count} operations")
    assert alice.hashes() == before


def test_the_words_for_a_person(alice: House) -> None:
    said = cli(alice.home, "doctor", "--quick")
    assert said.code == 0
    assert "truth" not in said.out, "it is quick"
    assert "✓ ok    zone: Known here: Europe/Stockholm." in said.out
    assert said.out.splitlines()[-1] in {"All is well.", "It works; look at what is marked with !."}


def test_without_a_home_it_says_so(tmp_path: Path) -> None:
    checks = examined(tmp_path / "nowhere")
    assert checks["home"]["state"] == "fail"
    assert checks["node"]["state"] == "warn"
    assert not (tmp_path / "nowhere").exists(), "it looks, and makes nothing"


def _readable(home: Path) -> None:
    (home / "node.key").chmod(0o644)


def _bad_key(home: Path) -> None:
    (file,) = (home / "keys").glob("*.key")
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)


def _bad_setting(home: Path) -> None:
    (home / "config.toml").write_text("log_levle = 'info'\n")


def _bad_page(home: Path) -> None:
    """Garbage over the middle of the largest table."""
    (file,) = (home / "realms").glob("*.db")
    size = file.stat().st_size
    with file.open("r+b") as out:
        out.seek(size // 2 // 4096 * 4096)
        out.write(b"\xa5" * 4096 * 4)


def _lying_view(home: Path) -> None:
    (file,) = (home / "realms").glob("*.db")
    with closing(sqlite3.connect(file)) as connection:
        changed = connection.execute("UPDATE v_items SET number = '77' WHERE number = '1'").rowcount
        connection.commit()
    assert changed == 1


def _newer(home: Path) -> None:
    with closing(sqlite3.connect(home / "node.db")) as connection:
        connection.execute("PRAGMA user_version = 99")


def _later(home: Path) -> None:
    """The newest that was written here claims to be of the day after tomorrow."""
    (file,) = (home / "realms").glob("*.db")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE operations SET time_ms = time_ms + 2 * 86400000")
        connection.commit()


BROKEN: list[tuple[Callable[[Path], None], str, str]] = [
    (_readable, "modes", "chmod go-rwx"),
    (_bad_key, "keys", "copy"),
    (_bad_setting, "config", "did you mean log_level?"),
    (_bad_page, "database", "restart the node"),
    (_lying_view, "truth", "backup restore FILE"),
    (_newer, "database node", "newer version"),
    (_later, "clock", "timedatectl"),
]


@pytest.mark.parametrize(
    ("breaks", "check", "words"), BROKEN, ids=[one.__name__ for one, _, _ in BROKEN]
)
def test_what_is_broken_is_found(
    alice: House, tmp_path: Path, breaks: Callable[[Path], None], check: str, words: str
) -> None:
    home = copied(alice, tmp_path / "home")
    breaks(home)
    found = looked_at(home, quick=check != "truth")
    states = {one.state: one for name, one in found.items() if name.startswith(check)}
    assert "fail" in states, found
    assert words in states["fail"].fix


def test_a_copy_that_nothing_happened_to_is_well(alice: House, tmp_path: Path) -> None:
    found = looked_at(copied(alice, tmp_path / "home"), quick=False)
    machine = {"sandbox", "memory", "disk", "node", "port", "backup"}
    states = {name: one.state for name, one in found.items() if name not in machine}
    assert set(states.values()) == {"ok"}, states
    assert found["node"].state == "warn", "it does not run"
    assert found["port"].state == "warn", "alice's own node has the port"


def copied(house: House, home: Path) -> Path:
    """The files of a home as they are, with what the write-ahead log holds."""
    shutil.copytree(house.home, home, ignore=shutil.ignore_patterns("run", "log", "*-shm"))
    with closing(sqlite3.connect(next((home / "realms").glob("*.db")))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (home / "config.toml").write_text("lan = false\n")
    return home


def looked_at(home: Path, *, quick: bool) -> dict[str, Check]:
    checks, _config = asyncio.run(examine(Home(home), {}, quick=quick))
    return {one.check: one for one in checks}


def secrets_of(house: House) -> set[str]:
    """Everything that would tell who or where this is."""
    status: Any = house.see("status")
    members: Any = house.see("member.list")["members"]
    peers: Any = house.see("peer.list")["peers"]
    found = {"Elm Street", "Drill", "Saw", "Ladder", str(house.home), house.home.name, "127.0.0.1"}
    found |= {status["node"], status["communities"][0]["community"]}
    found |= {one[key] for one in members for key in ("member", "name")}
    found |= {peer["node"] for peer in peers} | {a for peer in peers for a in peer["addresses"]}
    found |= {a.split("/tcp/")[1].split("/")[0] for peer in peers for a in peer["addresses"]}
    keys = json.loads((house.home / "node.key").read_text())["secrets"].values()
    found |= set(keys) | {base64.b64decode(key).hex() for key in keys}
    made = house.do("session.token", only=["view:status"], name="screen in the hall")
    found |= {made["secret"], "screen in the hall"}
    found |= {str(one["key"]) for one in json.loads((house.home / "tokens.json").read_text())}
    lines = (house.home / "audit.jsonl").read_text().splitlines()
    assert len(lines) > 2, "who did what is written down, and not told"
    found |= {json.loads(line)["member"] for line in lines if "member" in json.loads(line)}
    for file in (house.home / "keys").glob("*.key"):
        found |= {file.stem, base64.b64encode(file.read_bytes()[-64:]).decode()}
    return found


def test_a_report_names_nobody(alice: House, tmp_path: Path) -> None:
    planted = secrets_of(alice)
    assert len(planted) > 15
    file = tmp_path / "report.json"
    shown = cli(alice.home, "doctor", "--quick", "--json", "--report", str(file)).json
    assert shown["report"] == str(file)
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    for secret in planted:
        for part in {secret, secret[:8]} if len(secret) >= 32 else {secret}:
            # The digits of a port may stand within another number.
            word = rf"(?<!\d){part}(?!\d)" if part.isdigit() else re.escape(part)
            assert not re.search(word, text, re.IGNORECASE), f"the report tells {part}"
    told = json.loads(text)
    assert told["settings"] == {
        "jobs_at": "changed",
        "sync_interval_s": 5.0,
        "verifier_workers": 1,
    }
    assert {one["check"] for one in told["checks"]} >= {"database 1", "node", "peers"}
    leaking = str(shown)
    assert any(secret[:8] in leaking for secret in planted), "what is shown here does name them"


TOLD = """
lan = false
jobs_zone = "Atlantic/Faroe"
announce = ["/ip4/203.0.113.77/tcp/4177"]
log_file = "/srv/the-old-mill/node.log"
backup_to = "/srv/the-old-mill/safe"
backup_passphrase_file = "/srv/the-old-mill/phrase"
metrics_listen = "0.0.0.0:9477"
"""
"""Settings of a host, each of which would tell somebody something."""
PLANTED = ("Atlantic/Faroe", "Faroe", "203.0.113.77", "4177", "the-old-mill", "9477", "Stockholm")


@pytest.mark.long
@pytest.mark.parametrize(
    "breaks", [lambda _home: None, *(one for one, _, _ in BROKEN)],
    ids=["sound", *(one.__name__ for one, _, _ in BROKEN)],
)  # fmt: skip
def test_a_report_of_any_home_names_nobody(
    alice: House, tmp_path: Path, breaks: Callable[[Path], None]
) -> None:
    """Whatever is broken, whatever the settings: figures, states and words of this program."""
    home = copied(alice, tmp_path / "home")
    (home / "config.toml").write_text(TOLD)
    breaks(home)
    checks, config = asyncio.run(examine(Home(home), {}, quick=breaks is not _lying_view))
    planted = secrets_of(alice) | {*PLANTED, str(tmp_path), tmp_path.name}
    planted |= {socket.gethostname(), pwd.getpwuid(os.getuid()).pw_name}
    planted |= {path.name for path in home.rglob("*.db")} - {"node.db", "jobs.db"}
    told = report(checks, config, 1_760_000_000_000)
    values = [str(one) for one in leaves(told)]
    assert len(values) > 40
    for secret in planted:
        for part in {secret, secret[:8]} if len(secret) >= 32 else {secret}:
            word = re.compile(rf"(?<!\w){re.escape(part)}(?!\w)", re.IGNORECASE)
            assert not any(map(word.search, values)), f"the report tells {part}"
    shown = " ".join(f"{one.detail} {one.fix}" for one in checks)
    assert str(home) in shown, "what stays here does name them"


def leaves(value: object) -> Iterator[object]:
    """Everything that a report says; its own field names are this program's."""
    match value:
        case dict():
            for one in value.values():
                yield from leaves(one)
        case list():
            for one in value:
                yield from leaves(one)
        case _:
            yield value


def test_a_report_that_cannot_be_written(alice: House, tmp_path: Path) -> None:
    said = cli(alice.home, "doctor", "--quick", "--json", "--report", str(tmp_path / "no" / "file"))
    assert said.code == 2
    assert json.loads(said.err.splitlines()[-1])["error"]["code"] == "bad_file"
