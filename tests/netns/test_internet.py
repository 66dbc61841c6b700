"""Two homes behind two routers with NAT, and a relay of strangers on the net between them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from tests.e2e.neighbourhood import QUICK, House, Street, agree, street, until
from tests.netns.overheard import overhear
from tests.netns.test_lan import EVERYWHERE, FOUND_S, bob_at, connected, together, writes
from tests.netns.wires import Place, Wires, wires

from commons_node.api.client import ApiError

OAK = "198.51.100.10"
RELAY = QUICK + f'relay = true\nannounce = ["/ip4/{OAK}/tcp/4001"]\n'
_KNOCK = "import socket; socket.create_connection(('{}', {}), 2)"


@dataclass
class Net:
    """Alice's and bob's homes with the same private addresses, and oak in the open."""

    wires: Wires
    street: Street
    net: Place
    places: dict[str, Place]

    def build(self, *names: str, listen: str = EVERYWHERE) -> list[House]:
        return self.street.build(
            *names,
            lan=True,
            config=lambda name: RELAY if name.startswith("oak") else QUICK,
            under=lambda name: self.places[name].under,
            listen=listen,
        )


@contextmanager
def internet(*, keeps_ports: bool = False) -> Iterator[Net]:
    with wires() as made, street() as houses:
        net = made.switch("net")
        places = {}
        for number, name in enumerate(("alice", "bob"), 21):
            home = made.switch(f"{name}-lan")
            made.router(
                f"{name}-r",
                home,
                "192.168.1.1/24",
                net,
                f"198.51.100.{number}/24",
                keeps_ports=keeps_ports,
            )
            places[name] = made.place(name)
            made.plug(places[name], home, "192.168.1.2/24")
            places[name].default("192.168.1.1")
        for number, name in enumerate(("oak", "oak2"), 10):
            places[name] = made.place(name)
            made.plug(places[name], net, f"198.51.100.{number}/24")
        yield Net(made, houses, net, places)


def unreachable(place: Place, ip: str, port: str) -> bool:
    """Nobody gets in there who was not asked for."""
    try:
        place.run(sys.executable, "-c", _KNOCK.format(ip, port))
    except AssertionError:
        return True
    return False


def at_oak(house: House, state: str = "reserved") -> bool:
    """How a house stands with its relay."""
    return any(one["state"] == state for one in house.see("peer.relay.list")["relays"])


@pytest.mark.long
def test_two_homes_behind_nat_meet_through_a_relay_that_dies_and_comes_back() -> None:
    with internet() as here:
        (oak,) = here.build("oak", listen="/ip4/0.0.0.0/tcp/4001")
        alice, bob = here.build("alice", "bob")
        port = alice.address.split("/")[4]
        assert unreachable(here.places["bob"], "198.51.100.21", port), "alice's router lets none in"
        assert unreachable(here.places["oak"], "198.51.100.21", port)
        oak.found("Oak")
        with overhear(here.net, "br0") as heard:
            where = f"/ip4/{OAK}/tcp/4001"
            added = alice.do("peer.relay.add", address=where)
            assert added["state"] == "reserved", added
            assert added["address"] == f"{where}/p2p/{oak.address.rpartition('/')[2]}"
            together(alice, bob)
            assert (connected(alice, bob), connected(bob, alice)) == ("relayed", "relayed")
            writes(alice, bob)
            writes(bob, alice)
            assert any(OAK in one for one in bob_at(bob, alice)), "bob knows where alice is reached"

            oak.kill()
            until(lambda: not connected(alice, bob), "without the relay there is no way", FOUND_S)
            until(lambda: at_oak(alice, "unreachable"), "which alice is told", FOUND_S)
            assert alice.see("peer.relay.list")["relays"][0]["next_action"]
            until(lambda: _says_relay(bob), "and bob is told what failed", FOUND_S)
            alice.unlock()
            apart = alice.do("invite.create", uses=1)["operation"]
            oak.again()
            until(lambda: at_oak(alice), "alice takes her place again by herself", FOUND_S)
            until(lambda: apart in bob.verdicts(), "and bob finds her there", 2 * FOUND_S)
            agree(alice, bob)
            assert connected(bob, alice) == "relayed"
            heard.assert_sealed(OAK, "alice", "Elm Street", "/commons/sync")
            heard.assert_sealed(alice.member, bob.member)
        assert oak.see("peer.list")["peers"] == [], "the relay is nobody's peer"
        assert len(oak.see("status")["communities"]) == 1, "and in no community but its own"
        served = oak.see("peer.relay.list")["serves"]
        assert served["reservations"] == 1
        assert served["bytes"] > 1000, "it carried them"


def _says_relay(bob: House) -> bool:
    (peer,) = bob.see("peer.list")["peers"]
    sync = peer["sync"]
    return sync["state"] == "unreachable" and "peer relay" in sync["next_action"]


@pytest.mark.long
def test_behind_routers_that_keep_ports_they_get_past_the_relay() -> None:
    """Both dial at once; through routers that take any port they stay relayed, as above."""
    with internet(keeps_ports=True) as here:
        (oak,) = here.build("oak", listen="/ip4/0.0.0.0/tcp/4001")
        alice, bob = here.build("alice", "bob")
        port = alice.address.split("/")[4]
        assert unreachable(here.places["bob"], "198.51.100.21", port), "alice's router lets none in"
        added = alice.do("peer.relay.add", address=f"/ip4/{OAK}/tcp/4001")
        assert added["state"] == "reserved", added
        together(alice, bob)
        until(lambda: connected(bob, alice) == "direct", "they meet in the middle", 2 * FOUND_S)
        until(lambda: connected(alice, bob) == "direct", "both see it so", FOUND_S)
        until(lambda: not oak.see("peer.relay.list")["serves"]["circuits"], "the relay is left")
        oak.kill()
        writes(alice, bob)
        writes(bob, alice)
        agree(alice, bob)


@pytest.mark.long
def test_a_relay_that_both_use_is_where_they_find_each_other() -> None:
    """Alice has moved behind a router; bob knows her old address only."""
    with internet() as here:
        (oak,) = here.build("oak", listen="/ip4/0.0.0.0/tcp/4001")
        here.places["bob2"] = here.wires.place("bob2")
        here.wires.plug(here.places["bob2"], here.net, "198.51.100.31/24")
        alice, bob = here.build("alice", "bob2")
        together(bob, alice)
        assert connected(alice, bob) == "direct"
        for house in (alice, bob):
            assert house.do("peer.relay.add", address=f"/ip4/{OAK}/tcp/4001")["state"] == "reserved"
        place = here.places["bob2"]
        place.loses("198.51.100.31/24")
        place.has("198.51.100.32/24")
        writes(bob, alice)
        until(lambda: connected(alice, bob), "bob is found", FOUND_S)
        assert oak.see("peer.relay.list")["serves"]["reservations"] == 2


@pytest.mark.long
def test_a_full_relay_says_so_and_another_does() -> None:
    with internet() as here:
        (oak,) = here.build("oak", listen="/ip4/0.0.0.0/tcp/4001")
        oak.stop()
        (oak.home / "config.toml").write_text(RELAY + "relay_reservations = 1\n")
        oak.again()
        (oak2,) = here.build("oak2", listen="/ip4/0.0.0.0/tcp/4001")
        alice, bob = here.build("alice", "bob")
        assert alice.do("peer.relay.add", address=f"/ip4/{OAK}/tcp/4001")["state"] == "reserved"
        full = bob.do("peer.relay.add", address=f"/ip4/{OAK}/tcp/4001")
        assert full["state"] == "refused"
        assert "peer relay add" in full["next_action"]
        second = bob.do("peer.relay.add", address="/ip4/198.51.100.11/tcp/4001")
        assert second["state"] == "reserved", "another one does"
        bob.found()
        code = bob.invite()
        oak.kill()
        assert alice.join(code)["state"] == "joined", "by the relay that takes bob"
        agree(alice, bob)
        with pytest.raises(ApiError):
            bob.do("peer.relay.drop", address="/ip4/203.0.113.1")
        assert oak2.see("peer.relay.list")["serves"]["circuits"] >= 1
