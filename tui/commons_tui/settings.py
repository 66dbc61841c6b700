"""What a person has chosen for this interface: ``tui.toml`` in the node's folder.

    theme = "light"
    language = "sv"
    idle_lock = "10m"

    [keys]
    "loan.approve" = "y"

Ids of keys are stable; ``docs/guide/terminal.md`` lists them. A file that cannot be read is said
to be so, and the defaults hold.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from commons_cli.calls import write_file
from commons_cli.texts import _
from commons_cli.values import Duration, show_duration
from commons_node.api.language import languages
from commons_tui.themes import DEFAULT, NAMES

FILE: Final = "tui.toml"
IDLE_S: Final = 15 * 60
IDLES: Final = (2 * 60, 5 * 60, IDLE_S, 60 * 60)
"""What the settings offer; the file takes any duration."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``idle_s``: seconds without a key until whoever is unlocked is locked. ``problem``: why the
    file was not taken as it is."""

    theme: str = DEFAULT
    idle_s: int = IDLE_S
    keys: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    language: str = ""
    """"" is that of the environment."""


def load(home: Path) -> Settings:
    """The settings of this node's folder; the defaults where there is no file."""
    path = home / FILE
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError, RecursionError) as error:  # not all of tomllib's are its own
        told = _("{file} cannot be read: {why}.").format(file=path, why=error)
        return Settings(problem=told)
    return _settings(found, path)


def _settings(found: Mapping[str, object], path: Path) -> Settings:
    wrong = [key for key in found if key not in {"theme", "idle_lock", "keys", "language"}]
    theme = found.get("theme", DEFAULT)
    if theme not in NAMES:
        wrong.append("theme")
        theme = DEFAULT
    language = found.get("language", "")
    if language and language not in languages():
        wrong.append("language")
        language = ""
    idle = IDLE_S
    try:
        idle = Duration().convert(found.get("idle_lock", IDLE_S), None, None) or IDLE_S
    except click.UsageError:
        wrong.append("idle_lock")
    given = found.get("keys", {})
    keys = given if isinstance(given, dict) else {}
    good = {name: key for name, key in keys.items() if isinstance(key, str) and key}
    if len(good) < len(keys) or not isinstance(given, dict):
        wrong.append("keys")
    problem = ""
    if wrong:
        problem = _("{file}: not understood: {keys}.").format(file=path, keys=", ".join(wrong))
    return Settings(str(theme), idle, good, problem, str(language))


def save(home: Path, settings: Settings) -> None:
    """Write the file anew, whole or not at all. Raises OSError."""
    # A string of JSON is one of TOML.
    lines = [
        f"theme = {json.dumps(settings.theme, ensure_ascii=False)}",
        f"idle_lock = {json.dumps(show_duration(settings.idle_s), ensure_ascii=False)}",
    ]
    if settings.language:
        lines.append(f"language = {json.dumps(settings.language)}")
    if settings.keys:
        pairs = sorted(settings.keys.items())
        lines += [
            "",
            "[keys]",
            *(
                f"{json.dumps(name, ensure_ascii=False)} = {json.dumps(key, ensure_ascii=False)}"
                for name, key in pairs
            ),
        ]
    text = "\n".join(lines).replace("\x7f", "\\u007f")  # which JSON takes as it is
    write_file(home / FILE, f"{text}\n".encode())
