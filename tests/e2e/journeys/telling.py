"""What every journey asks of what a node says to people, in each of its languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from tests.e2e.neighbourhood import House, cli

LANGUAGES = ("en", "sv")
in_both_languages = pytest.mark.parametrize("language", LANGUAGES)
_RAW = re.compile(r"\{[a-z_]+(:[a-z]+)?\}|%\([a-z_]+\)|Traceback|None\b")


def speak(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """Every process that is started from now on speaks this language."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGUAGE", language)


def says(house: House, *words: str, as_member: bool = False) -> str:
    """What a person reads after a command that works: something, and no template of ours."""
    who: Sequence[str] = ()
    if as_member:
        who = ("--as", house.name, "--passphrase-file", str(house.passphrase_file))
    said = cli(house.home, *words, *who)
    assert said.code == 0, f"{house.name}: {' '.join(words)}: {said}"
    assert said.out.strip(), f"{' '.join(words)} says something"
    assert not _RAW.search(said.out), f"{' '.join(words)} fills its gaps: {said.out}"
    return said.out


def assert_cut(caller: House, called: House) -> None:
    """The line is really cut: a dial does not work, and both houses say that they are apart."""
    caller.refused("peer.connect", address=called.address)
    for one, other in ((caller, called), (called, caller)):
        (peer,) = [p for p in one.see("peer.list")["peers"] if p["node"] == other.node]
        assert (peer["connected"], peer["sync"]["state"]) == (False, "blocked"), peer


def at(hours: float) -> str:
    """A moment so many hours from now, as the API takes it."""
    moment = datetime.now(UTC) + timedelta(hours=hours)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
