"""Drivers as a node holds them, and a program that notes what it was given."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from commons_node.drivers.driver import Around, By
from commons_node.drivers.held import Drivers
from commons_node.jobs.outbox import Letter
from commons_node.web import Web


def drivers(folder: Path, **configured: Mapping[str, Any]) -> Drivers:
    return Drivers(configured, Around(Web(), folder))


def letter(driver: str, key: str = "job/1", /, **body: Any) -> Letter:
    return Letter(1, key, f"driver:{driver}", body, 0)


def named(held: Drivers, driver: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as the node keeps it of the agent whose it is."""
    found = held.checked(driver, message, By("0123abcd/helper", "e1" * 32, "Elm Street"))
    assert isinstance(found, dict)
    return found


def program(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> Path:
    """A program of this name that notes what it was given."""
    folder.mkdir(exist_ok=True)
    notes = folder / f"{name}.notes"
    path = folder / name
    path.write_text(
        f'#!/bin/sh\nfor one in "$@"; do echo "$one" >> "{notes}"; done\n'
        f'cat > "{notes}.in"\necho oops >&2\nexit {status}\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return notes
