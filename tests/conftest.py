"""What every test shares: async tests run on asyncio, as the daemon does, and read English.

A test of the libp2p host asks for Trio by itself:
`@pytest.mark.parametrize("anyio_backend", ["trio"])`.
"""

import os
from pathlib import Path

import pytest

# Whatever this machine speaks; a test of another language says so itself.
os.environ["LANGUAGE"] = "en"
for _name in ("LC_ALL", "LC_MESSAGES"):
    os.environ.pop(_name, None)


def pytest_configure() -> None:
    """Compile the catalogues if their sources are newer: nobody tests yesterday's sentences."""
    for source in Path(__file__).parents[1].glob("node/commons_node/locale/*/LC_MESSAGES/*.po"):
        made = source.with_suffix(".mo")
        if not made.exists() or made.stat().st_mtime_ns < source.stat().st_mtime_ns:
            from scripts import texts  # babel only when there is something to do

            texts.compiled(source)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
