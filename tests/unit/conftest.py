"""What tests of nodes share: one pool of workers a module, and rooms that are closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.unit.rooms import Rooms, workers

from commons_node.verifier.pool import VerifierPool


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with workers() as made:
        yield made


@pytest.fixture
async def rooms(tmp_path: Path, pool: VerifierPool) -> AsyncIterator[Rooms]:
    made = Rooms(tmp_path, pool)
    yield made
    await made.close()
