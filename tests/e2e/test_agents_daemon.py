"""Agents of real nodes: made, agreed to, upgraded, shared with a neighbour, and lied about."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.neighbourhood import House, street


def packed(house: House, folder: Path, version: str, ask: str = "") -> Path:
    """A signed package of a folder that ``agent new`` made; ``ask``: one capability more."""
    toml = folder / "agent.toml"
    text = toml.read_text(encoding="utf-8")
    begin, _old, rest = text.partition('version = "')
    text = f'{begin}version = "{version}"{rest.partition(chr(34))[2]}'
    if ask:
        text = text.replace("[capabilities]\n", f"[capabilities]\n{ask}\n")
    toml.write_text(text, encoding="utf-8")
    file = Path(json.loads(house.cli("agent", "pack", str(folder)).out)["file"])
    json.loads(house.cli("agent", "sign", str(file)).out)
    return file


def test_an_agent_comes_is_upgraded_and_goes() -> None:
    with street() as elm:
        (anna,) = elm.build("anna")
        anna.found()
        folder = anna.home.parent / "reminders"
        made = json.loads(anna.cli("agent", "new", str(folder)).out)
        print(made)
        checked = anna.cli("agent", "check", str(folder))
        print(checked)
        first = packed(anna, folder, "1.0.0")
        print(anna.cli("agent", "install", str(first)))
        print(anna.cli("agent", "install", str(first), "--yes"))
        print(anna.cli("agent", "list"), anna.cli("agent", "show", "reminders"))
