"""What the terminal interface reads that it did not write itself: its settings, and times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from tests.fuzz.files import _folder
from tests.fuzz.target import Target, hold

from commons_tui import settings
from commons_tui.themes import NAMES
from commons_tui.words import ago, at, day, lasted

_TODAY = date(2026, 11, 21)


def _settings(data: bytes) -> bool:
    path = _folder() / settings.FILE
    path.write_bytes(data)
    found = settings.load(_folder())
    hold(found.theme in NAMES, "whatever the file says, there is a theme")
    hold(found.idle_s > 0, "and it locks at some time")
    if found.problem:
        return False
    path.unlink()
    settings.save(_folder(), found)
    hold(settings.load(_folder()) == found, "settings mean one thing")
    return True


def _settings_seeds() -> Mapping[str, bytes]:
    return {
        "nothing": b"",
        "everything": b'theme = "light"\nidle_lock = "10m"\n[keys]\n"loan.approve" = "y,f2"\n',
        "number": b"idle_lock = 90\n",
        "bad theme": b'theme = "pink"\n',
        "bad idle": b'idle_lock = "soon"\n',
        "bad keys": b"keys = 3\n",
        "bad key": b'[keys]\n"app.help" = 1\n',
        "bad other": b"colour = true\n",
        "bad syntax": b"theme =\n",
        "bad bytes": b'theme = "\xff"\n',
    }


def _times(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    said = (day(text, _TODAY), ago(text), at(text), lasted(text))
    hold(all(said), "every time is said somehow")
    return set(said) != {"-"}


def _times_seeds() -> Mapping[str, bytes]:
    return {
        "day": b"2026-05-01",
        "moment": b"2026-05-01T18:00:00Z",
        "bad first": b"0001-01-01T00:00:00+23:59",
        "bad last": b"9999-12-31T23:59:59-23:59",
        "bad naive": b"2026-05-01T18:00:00",
        "bad word": b"soon",
    }


TARGETS = (
    Target("tui-settings", _settings, _settings_seeds, "text"),
    Target("tui-time", _times, _times_seeds, "text"),
)
