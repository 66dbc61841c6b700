"""Two real daemons of Elm meet at a real relay that belongs to Oak, over loopback."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.neighbourhood import QUICK, House, agree, street, until

from commons_protocol.codes import decode_invite

RELAY = QUICK + "relay = true\n"


def peer_of(house: House, other: House) -> dict[str, Any]:
    """What ``peer list`` says of another node."""
    found: dict[str, Any]
    (found,) = [one for one in house.see("peer.list")["peers"] if one["node"] == other.node]
    return found


@pytest.mark.long
def test_a_code_leads_through_a_relay_of_another_community_and_then_past_it() -> None:
    with street() as elm_street:
        alice, bob, oak = elm_street.build(
            "alice", "bob", "oak", config=lambda name: RELAY if name == "oak" else QUICK
        )
        alice.found()
        oak.found("Oak")
        added = alice.cli("peer", "relay", "add", oak.address)
        assert added.json["state"] == "reserved", added
        (listed,) = alice.cli("peer", "relay", "list").json["relays"]
        assert (listed["address"], listed["state"]) == (oak.address, "reserved")
        code = alice.invite()
        (where,) = decode_invite(code).addresses
        port = oak.address.split("/")[4]
        assert where.startswith(f"/ip4/127.0.0.1/tcp/{port}/p2p-circuit/"), (
            "the relay is in the code"
        )
        assert bob.join(code)["state"] == "joined"
        assert oak.see("peer.relay.list")["serves"]["reservations"] == 1
        agree(alice, bob)
        until(
            lambda: peer_of(bob, alice)["way"] == "lan",
            "on loopback there is a direct way, and it is taken",
        )
        agree(alice, bob)
        until(lambda: not oak.see("peer.relay.list")["serves"]["circuits"], "the relay is left")
        assert oak.see("peer.list")["peers"] == [], "a relay knows no peers by it"
        assert oak.node not in [one["node"] for one in alice.see("peer.list")["peers"]]
        dropped = alice.cli("peer", "relay", "drop", oak.address)
        assert dropped.code == 0, dropped
        assert alice.see("peer.relay.list")["relays"] == []
        until(lambda: not oak.see("peer.relay.list")["serves"]["reservations"], "its place is free")
