"""What the daemon is told of the connections with a peer: where it was dialled, if it was.

When two nodes dialled each other at once, the passing port of the other's own dial was taken for an
address, remembered on the disk, tried first, and told to all neighbours.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from libp2p.rcmgr import Direction

from commons_protocol.libp2p_host.connections import described
from commons_protocol.network import Address, PeerConnection

LISTENS, PASSING = Address("/ip4/10.0.0.2/tcp/4001"), Address("/ip4/10.0.0.2/tcp/50123")


def conn(direction: Direction, remote: Address) -> Any:
    return SimpleNamespace(direction=direction, muxed_conn=SimpleNamespace(remote=remote))


OUT, IN = conn(Direction.OUTBOUND, LISTENS), conn(Direction.INBOUND, PASSING)


@pytest.mark.parametrize("conns", [[OUT], [OUT, IN], [IN, OUT], [OUT, OUT, IN]])
def test_a_peer_that_was_dialled_is_where_it_was_dialled(conns: list[Any]) -> None:
    assert described(conns) == PeerConnection((LISTENS,), "out")


def test_a_peer_that_came_in_is_somewhere_else() -> None:
    assert described([IN]) == PeerConnection((PASSING,), "in")
