"""Who sits at a terminal in these tests, with nothing set from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.shed import Shed, served
from tests.cli.terminals import Terminal


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, light: None) -> None:
    """No settings from outside, and the zone is known."""
    for name in ("COMMONS_HOME", "COMMONS_AS", "COMMONS_COMMUNITY", "COLUMNS", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def alone(tmp_path: Path, capsys: pytest.CaptureFixture[str], bare: None) -> Terminal:
    """A terminal where no node runs."""
    return Terminal(tmp_path, capsys)


@pytest.fixture
def shed(tmp_path: Path, bare: None) -> Iterator[Shed]:
    with served(tmp_path) as found:
        yield found


@pytest.fixture
def terminal(shed: Shed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal whose node runs."""
    return Terminal(tmp_path, capsys)
