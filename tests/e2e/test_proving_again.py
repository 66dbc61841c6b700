"""A community that was not proven on a stream is proven on a later one; others go on meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.e2e.test_peering import ALICE, BOB, running, until
from tests.simulation.meeting import Home, home, neighbourhood
from tests.unit import town

from commons_crdt.device import DeviceKeys
from commons_crdt.ids import DeviceId, OperationId, digest
from commons_crdt.roles import Role
from commons_node.peering import patience
from commons_node.peering.patience import FIRST_S, LAST_S, Patience
from commons_protocol.network import PeerId


@dataclass
class Busy(Home):
    """Has not read in time who its neighbour is."""

    busy: bool = True
    asked: int = 0

    def node_keys(self, device: DeviceId) -> DeviceKeys | None:
        self.asked += 1
        return None if self.busy else super().node_keys(device)


async def test_what_was_not_proven_in_time_is_proven_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "FIRST_S", 0.5)
    street = neighbourhood("bob")
    garden = town.town(constitution=(("timezone", "UTC"),))
    bob = garden.welcome("bob", Role.MEMBER)
    garden.grant_node(bob, town.secrets("bob's node"))
    hers = home(garden, ALICE)
    known = home(garden.island("bob"), BOB)
    his = Busy(known.copy, known.device)
    for one in (hers, his):
        one.keys = [(OperationId(digest("t-garden")), digest("t-epoch", b"garden"))]
    async with (
        running(street[0], hers, name="alice") as alice,
        running(street[1], his, name="bob") as other,
    ):
        await alice.connect(other.addresses[0])
        await until(lambda: his.asked >= 2, 10)
        (talk,) = alice.talks.now.values()
        assert street[0].realm in talk.session.realms, "the street is shared"
        assert hers.realm not in talk.session.realms, "the garden was not proven"
        his.busy = False
        both = {street[0].realm, hers.realm}  # in either order: each is proven by itself
        await until(
            lambda: any(both <= t.session.realms.keys() for t in alice.talks.now.values()), 15
        )


def test_the_wait_doubles_while_it_fails() -> None:
    one, peer, now = Patience(), PeerId("bob"), 0.0
    waits = []
    for _ in range(10):
        assert not one.over(peer, lacking=True, now=now)
        began = now
        while not one.over(peer, lacking=True, now=now):
            now += 1.0
        waits.append(now - began)
    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert waits[-1] == LAST_S
    assert not one.over(peer, lacking=False, now=now)
    assert not one.over(peer, lacking=True, now=now)
    assert one.over(peer, lacking=True, now=now + FIRST_S), "all was well: it begins anew"
