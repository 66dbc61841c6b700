"""Who opens streams without end is not served, and counted; on another stream, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from tests.e2e.test_peering import network, running
from tests.simulation.meeting import neighbourhood

from commons_node.peering import Peering, tokens, visits
from commons_protocol import allowances
from commons_protocol.attendance import ATTEND, Answer
from commons_protocol.network import Network, NetworkError, PeerId, ProtocolName
from commons_protocol.parts import PARTS
from commons_protocol.session import SYNC

LEFT = 4.0
"""Streams that each peer may open here before it has to wait."""


@pytest.fixture(autouse=True)
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer streams than in earnest, and none flow in while the test runs."""
    for module, most, pace in (
        (allowances, "STREAMS", "STREAMS_PER_SECOND"),
        (visits, "_OPENED", "_OPENED_PER_SECOND"),
        (tokens, "_BURST", "_PER_SECOND"),
    ):
        monkeypatch.setattr(module, most, LEFT)
        monkeypatch.setattr(module, pace, 1e-6)


@asynccontextmanager
async def eve_is_here(alice: Peering) -> AsyncIterator[tuple[Network, PeerId]]:
    """A libp2p node of nobody's, connected with alice's."""
    made = network("eve", {}, 0)({}, lambda _event: None)  # type: ignore[arg-type]  # counts are counts
    await made.start()
    try:
        yield made, await made.connect(alice.addresses[0])
    finally:
        await made.stop()


async def refused(_token: bytes) -> Answer:
    """What any token of eve's is worth."""
    return "refused"


@pytest.mark.parametrize(
    ("protocol", "code"),
    [(SYNC, "sync_flood"), (PARTS, "parts_flood"), (ATTEND, "attend_flood")],
)
async def test_streams_without_end_are_refused_and_counted(
    protocol: ProtocolName, code: str
) -> None:
    a, b = neighbourhood("bob")
    async with (
        running(a, attend=refused) as alice,
        running(b) as bob,
        eve_is_here(alice) as (eve, peer),
    ):
        opened = 0
        async with asyncio.timeout(30):
            while alice.refusals.get(code, 0) < 3:
                with suppress(NetworkError):
                    stream = await eve.open(peer, protocol)
                    opened += 1
                    await stream.reset()
        assert opened >= LEFT + 2, "those that she may open are not refused"
        assert not alice.guard.penalties(), "only too much is no broken rule"
        await bob.connect(alice.addresses[0])
        found = await bob.wait_converged([alice.node], timeout=20)
        assert found.converged, "and everybody else is served"
