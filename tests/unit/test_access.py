"""What a token may, which tokens count, what the audit holds: each without a daemon."""

from __future__ import annotations

import ast
import json
import logging
import os
import resource
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from commons_node.api.permits import BadToken, NotAllowed, Permits, TokenNeeded
from commons_node.api.scopes import BadScope, allows, checked
from commons_node.audit import Audit
from commons_node.domains import registry
from commons_node.keystore.sessions import Sessions
from commons_node.keystore.tokens import DamagedTokens, NoToken, Tokens
from commons_node.logs import COMPONENTS, levels, set_up
from commons_node.registry import Command, Registry
from commons_node.rotating import RotatingFile

ROOT = Path(__file__).parents[2]
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def verbs() -> Registry:
    return registry()


# -- scopes -----------------------------------------------------------------------------------


def test_every_verb_says_what_it_needs(verbs: Registry) -> None:
    needs = {verb.name: verb.need for verb in verbs.verbs()}
    assert set(needs.values()) == {"view", "act", "host", "session"}
    assert needs["loan.request"] == "act"
    assert needs["status"] == "view"
    assert needs["peer.block"] == "host"
    assert {needs[name] for name in ("member.unlock", "member.lock", "join")} == {"session"}
    for command in verbs.commands:
        assert command.need != "act" or command.member, "who acts is unlocked"
        assert not command.member or command.need == "act", f"{command.name} acts for somebody"
    described = {one["name"]: one for one in verbs.describe()["verbs"]}  # type: ignore[attr-defined]
    assert {name: one["needs"] for name, one in described.items()} == needs


def test_a_scope_covers_what_it_names_and_nothing_else(verbs: Registry) -> None:
    def covered(*only: str) -> set[str]:
        return {verb.name for verb in verbs.verbs() if allows(only, verb)}

    assert covered("view:status") == {"status"}
    assert covered("view:loan.*") == {v.name for v in verbs.views if v.name.startswith("loan.")}
    assert covered("host:status", "act:status", "view:stat", "view:*", "view:peer") == set()
    assert covered("view:peer.relay.*") == {"peer.relay.list"}, "whole words only"
    assert covered("host:session.token", "host:session.*", "view:session.*") == set(), (
        "who is limited makes no tokens"
    )


@pytest.mark.parametrize(
    "scope",
    ["", "status", "view:", "view:nothing", "act:status", "view:*", "host:session.token", "x:y",
     "view:status.*", "view:status\n"],
)  # fmt: skip
def test_a_scope_that_allows_nothing_is_refused(verbs: Registry, scope: str) -> None:
    with pytest.raises(BadScope):
        checked([scope], verbs)
    with pytest.raises(BadScope):
        checked([], verbs)
    assert checked(["events", "view:status"], verbs) == {"events", "view:status"}


# -- tokens and doors --------------------------------------------------------------------------


def test_a_token_counts_at_both_doors_until_it_is_revoked(tmp_path: Path, verbs: Registry) -> None:
    now = [1000]
    file = tmp_path / "tokens.json"
    tokens, sessions = Tokens(file, lambda: now[0]), Sessions()
    own, guests = Permits(sessions, tokens, "own"), Permits(sessions, tokens, "guests")
    secret, made = tokens.make(frozenset({"view:status"}), "hall", 60)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret not in file.read_text(), "only its hash is kept"
    status, block = verbs.view("status"), verbs.command("peer.block")
    assert status is not None
    assert block is not None
    for door in (own, guests):
        session = door.session(secret)
        door.check(session, status)
        with pytest.raises(NotAllowed) as refused:
            door.check(session, block)
        assert refused.value.way_out.endswith("--only host:peer.block")
        with pytest.raises(NotAllowed):
            door.check_events(session)
    assert own.session(None) is None, "the owner needs none"
    own.check(None, block)
    terminal = sessions.new()
    assert own.session(terminal.token) is terminal
    for without in (None, "", terminal.token, "0" * 64):
        with pytest.raises(TokenNeeded):
            guests.session(without)
    again = Tokens(file, lambda: now[0])
    assert again.find(secret) == made, "it outlives the process"
    assert again.list() == (made,)
    again.revoke(made.token)
    with pytest.raises(NoToken):
        again.revoke(made.token)
    for door in (Permits(sessions, again, "own"), Permits(sessions, again, "guests")):
        with pytest.raises(BadToken):
            door.session(secret)
    now[0] += 60_000
    assert tokens.find(secret) is None, "its time is over"
    file.write_bytes(b"[{]")
    with pytest.raises(DamagedTokens):
        Tokens(file).find(secret)


def test_a_limited_session_is_one_and_stays_limited() -> None:
    sessions = Sessions()
    first = sessions.limited("cn1", frozenset({"events"}))
    assert sessions.limited("cn1", frozenset({"events"})) is first
    other = sessions.limited("cn1", frozenset({"view:status"}))
    assert other is not first, "a token that may otherwise is another session"
    assert sessions.find("cn1") is other
    sessions.drop_key(other.key)
    assert sessions.find("cn1") is None


# -- the audit ---------------------------------------------------------------------------------


def test_the_audit_is_private_and_holds_no_value(tmp_path: Path) -> None:
    audit = Audit(tmp_path, 90)
    answer = {"community": "ab" * 32, "operation": "not an id", "note": "a text of somebody"}
    audit.note("loan.request", "ok", member="cd" * 32, given=["resource"], answer=answer,
               caller=(1000, 77))  # fmt: skip
    audit.note("member.unlock", "wrong_passphrase", member="cd" * 32)
    file = tmp_path / "audit.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first, second = map(json.loads, file.read_text().splitlines())
    assert first | {"at": "", "ms": 0} == {
        "at": "", "verb": "loan.request", "outcome": "ok", "given": ["resource"], "ms": 0,
        "member": "cd" * 32, "community": "ab" * 32, "uid": 1000, "pid": 77,
    }  # fmt: skip
    assert second["outcome"] == "wrong_passphrase"
    with file.open("ab") as out:
        out.write(b"torn in the mid\n")
    assert [one.verb for one in audit.newest(5)] == ["member.unlock", "loan.request"]
    audit.close()


def test_nothing_is_written_where_nobody_wants_it(tmp_path: Path) -> None:
    audit = Audit(tmp_path, 0)
    audit.note("status", "ok")
    audit.sweep()
    assert (audit.newest(5), list(tmp_path.iterdir())) == ([], [])


def test_a_full_disk_stops_no_command_and_is_counted(tmp_path: Path) -> None:
    audit = Audit(tmp_path, 90)
    audit.note("a", "ok")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "audit.jsonl").stat().st_size
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
    try:
        with capture_logs() as logged:  # a log is a file, too
            audit.note("b", "ok")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert audit.lost == 1, "the disk was full"
    assert [one["event"] for one in logged] == ["not_audited"]
    assert (tmp_path / "audit.jsonl").stat().st_size == size, "no half line"
    audit.note("c", "ok")
    assert [one.verb for one in audit.newest(5)] == ["c", "a"]
    audit.close()


# -- files that turn -----------------------------------------------------------------------------


def test_a_file_turns_when_it_is_large_and_keeps_so_many(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "log", 100, 2)
    for number in range(20):
        file.append(f"{number:029d}\n".encode())
    kept = b"".join(p.read_bytes() for p in [*reversed(file.older()), file.path])
    assert [int(line) for line in kept.splitlines()] == list(range(12, 20)), "the newest stay"
    assert {p.name for p in tmp_path.iterdir()} == {"log", "log.1", "log.2"}
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o600}
    file.close()


def test_no_line_outlives_its_days(tmp_path: Path) -> None:
    now = [1_000_000.0]
    file = RotatingFile(tmp_path / "audit", 1 << 20, 3, 90, lambda: now[0])
    oldest = []
    for day in range(400):
        file.append(f"{day}\n".encode())
        os.utime(file.path, (now[0], now[0]))
        kept = b"".join(p.read_bytes() for p in [*file.older(), file.path])
        oldest.append(day - min(map(int, kept.split())))
        now[0] += 86_400
    assert 60 < max(oldest) <= 92, "they stay for as long as that, and no longer"
    now[0] += 91 * 86_400
    file.sweep()
    now[0] += 91 * 86_400
    file.sweep()
    assert file.path.read_bytes() == b"", "also while nothing is written"
    assert file.older() == []
    file.close()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine\n")
    (tmp_path / "log").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        RotatingFile(tmp_path / "log", 100, 2).append(b"x\n")
    assert (tmp_path / "other").read_text() == "mine\n"


# -- logs ----------------------------------------------------------------------------------------


@pytest.fixture
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    levels.set("info", {})
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("as_before")
def test_a_component_has_a_level_of_its_own_and_it_changes_while_it_runs(tmp_path: Path) -> None:
    set_up("warning", of=["store=debug"], file=RotatingFile(tmp_path / "log", 1 << 20, 1))
    store, realm = structlog.get_logger(component="store"), structlog.get_logger(component="realm")

    def said() -> list[str]:
        text = (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""
        lines = [json.loads(line) for line in text.splitlines()]
        assert all({"timestamp", "level", "event"} <= set(one) for one in lines)
        return [one["event"] for one in lines]

    store.debug("one")
    realm.info("two")
    realm.warning("three", passphrase="a secret of somebody")
    logging.getLogger("libp2p.x").info("four")
    logging.getLogger("commons_node.peering.peering").info("neither")
    logging.getLogger("libp2p.x").warning("five\nlines")
    assert said() == ["one", "three", "five\nlines"]
    levels.set("info", {"realm": "error", "libp2p": "debug", "peering": "debug"})
    logging.getLogger("commons_node.peering.peering").debug("a half")
    store.debug("six")
    store.info("seven")
    realm.warning("eight")
    logging.getLogger("libp2p.x").debug("nine")
    logging.getLogger("uvicorn.error").info("ten")
    assert said()[3:] == ["a half", "seven", "nine"]
    text = (tmp_path / "log").read_text()
    assert '"component": "peering"' in text
    assert "a secret" not in text
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_the_components_are_those_that_log() -> None:
    found = set()
    for path in sorted([*(ROOT / "node").rglob("*.py"), *(ROOT / "protocol").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "structlog.get_logger":
                (word,) = node.keywords
                assert isinstance(word.value, ast.Constant), path
                found.add(word.value.value)
            if isinstance(node, ast.Call) and ast.unparse(node) == "logging.getLogger(__name__)":
                found.add(path.parent.name)
    assert found == set(COMPONENTS)


def test_commands_that_go_on_need_no_more(verbs: Registry) -> None:
    """What a person is led on to is allowed to whoever may begin it, or is asked for again."""
    for command in verbs.commands:
        if command.then:
            following = verbs.command(command.then)
            assert isinstance(following, Command)
            assert following.need == command.need
