"""A connection that stands and leads nowhere: nobody calls it agreement, and it is made anew.

A neighbour whose connection stood and carried nothing was listed as connected for as long as that
lasted, never dialled again, and `status` said "synced" of the others meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from commons_crdt.ids import RealmId, digest
from commons_node.peering.states import state_with_all
from commons_node.peering.talks import Talks
from commons_node.peering.types import KnownPeer, PeerState, Settings
from commons_protocol.names import NodeId, node_id, peer_of_key
from commons_protocol.network import Address, PeerId, Unreachable
from commons_protocol.reasons import CATALOGUE, State
from commons_protocol.status import SyncStatus

ELM, OAK = RealmId(digest("t-elm")), RealmId(digest("t-oak"))
BOB = peer_of_key(digest("t-bob"))
WHERE = (Address(f"/ip4/10.0.0.2/tcp/4001/p2p/{BOB}"),)


def peer(state: State, *realms: RealmId, connected: bool = True) -> PeerState:
    sync = SyncStatus(next(code for code, one in CATALOGUE.items() if one.state == state))
    node = NodeId(digest("t-node", state.encode()).hex())
    return PeerState(node, (), connected, False, None, sync, dict.fromkeys(realms, sync))


def said(*peers: PeerState) -> str | None:
    found = state_with_all(ELM, peers)
    return found.state if found is not None else None


def test_a_community_is_as_well_as_the_worst_of_those_who_are_here() -> None:
    assert said() is None, "nobody is"
    assert said(peer("synced", ELM), peer("synced", ELM)) == "synced"
    assert said(peer("synced", ELM), peer("behind", ELM)) == "behind"
    assert said(peer("synced", ELM), peer("behind", OAK)) == "synced", "that is another community"


def test_who_is_connected_and_has_not_compared_may_hold_anything() -> None:
    assert said(peer("synced", ELM), peer("unknown")) == "unknown"
    assert said(peer("unknown")) == "unknown", "alone is who has nobody"


@pytest.mark.parametrize(
    "other",
    [
        peer("unreachable", connected=False),
        peer("unknown", connected=False),
        peer("stranger"),
        peer("blocked", connected=False),
    ],
)
def test_who_is_not_here_or_not_of_us_does_not_count(other: PeerState) -> None:
    assert said(peer("synced", ELM), other) == "synced"


class Network:
    """Bob is connected; his connection answers, or not, and so does his address."""

    def __init__(self, *, dead: bool, answers: bool) -> None:
        self.dead, self.answers = dead, answers
        self.dialled: list[Sequence[Address]] = []
        self.opened = 0

    def peers(self) -> dict[PeerId, object]:
        return {BOB: object()}

    async def open(self, _peer: PeerId, _protocol: str, _seconds: float) -> Any:
        self.opened += 1
        raise Unreachable("response timed out" if self.dead else "too many streams are open")

    async def connect_any(self, addresses: Sequence[Address], _seconds: float) -> PeerId:
        self.dialled.append(addresses)
        if not self.answers:
            raise Unreachable("no answer")
        return BOB


@pytest.mark.parametrize("answers", [True, False])
async def test_a_peer_that_opens_no_stream_is_looked_for_at_its_addresses(answers: bool) -> None:
    network = Network(dead=True, answers=answers)
    known = KnownPeer(node_id(BOB), WHERE)
    talks = Talks(
        SimpleNamespace(  # type: ignore[arg-type]  # as much of it as is asked for
            network=network,
            book=SimpleNamespace(get=lambda _node: known, heard=lambda _node: ()),
            settings=Settings(),
            relays=SimpleNamespace(to=lambda _peer: ()),
            places=SimpleNamespace(may_dial=lambda _peer: True),
        )
    )
    with pytest.raises(Unreachable, match="timed out"):
        await talks._dial(BOB)
    assert network.opened == 1, "the next attempt uses what the dial has made"
    assert network.dialled == [WHERE]
