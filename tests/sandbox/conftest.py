"""What no test of the sandbox can forget: every worker that it makes is held as it must be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.sandbox.held import Held

from commons_node.jobs import frames, workers


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """Unprivileged, and within all layers, each time that one becomes ready."""
    made, ready = Held(), workers.Worker.ready

    async def look(worker: workers.Worker, told: frames.Prepare) -> None:
        await ready(worker, told)
        made.look(worker)

    monkeypatch.setattr(workers.Worker, "ready", look)
    yield made
    assert not made.faults
