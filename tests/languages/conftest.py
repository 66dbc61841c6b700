"""Languages that exist for tests only."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.languages.pseudo import compiled


@pytest.fixture(scope="session")
def pseudo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("locale"))
