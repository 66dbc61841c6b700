"""Homes on one local network: they find each other, go on when it changes, and say nothing outside.

Each node is a real daemon in a namespace of its own; between them real multicast over a switch.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest
from tests.e2e.neighbourhood import QUICK, House, Street, agree, street, until
from tests.e2e.test_lan_daemons import move
from tests.netns.overheard import Overheard, overhear
from tests.netns.wires import NO_NAMES, Place, Wires, wires
from zeroconf._protocol.incoming import DNSIncoming

from commons_protocol.codes import decode_invite

EVERYWHERE = "/ip4/0.0.0.0/tcp/0"
FOUND_S = 60
"""Longer than a dead connection and the back-off take together."""
NO_MULTICAST = (
    "table bridge deaf {\n"
    " chain through {\n"
    "  type filter hook forward priority 0\n"
    "  ip protocol udp udp dport 5353 counter drop\n"
    " }\n"
    "}\n"
)
"""An access point that keeps its clients' multicast from each other, as many do."""
_SHOUT = "import socket; s = socket.socket(2, 2); s.sendto(b'hello', ('198.51.100.9', 9))"
_LOOK_UP = "import socket; socket.getaddrinfo('elm.example', 80)"


@dataclass
class Lan:
    """A switch with a computer for each name, 10.77.0.2 and so on."""

    wires: Wires
    street: Street
    switch: Place
    places: dict[str, Place]

    def build(self, *names: str) -> list[House]:
        return self.street.build(
            *names,
            lan=True,
            config=QUICK,
            under=lambda name: self.places[name].under,
            listen=EVERYWHERE,
        )


@contextmanager
def lan(*names: str) -> Iterator[Lan]:
    """The street ends before its network does."""
    with wires() as made, street() as houses:
        switch = made.switch("switch")
        places = {}
        for number, name in enumerate(names, 2):
            places[name] = made.place(name)
            made.plug(places[name], switch, f"10.77.0.{number}/24")
        yield Lan(made, houses, switch, places)


def together(first: House, second: House) -> None:
    """The first founds a community, the second joins by a code and becomes a member."""
    first.found()
    assert second.join(first.invite())["state"] == "joined"
    first.do("member.role", who=second.name, role="member")
    agree(first, second)


def connected(one: House, other: House) -> str | None:
    """The way by which one is connected with the other."""
    for peer in one.see("peer.list")["peers"]:
        if peer["node"] == other.node and peer["connected"]:
            return str(peer["way"])
    return None


def writes(house: House, *others: House) -> None:
    """Something new of one is with all soon."""
    house.unlock()
    new = house.do("invite.create", uses=1)["operation"]
    for other in others:
        until(partial(_has, other, new), "what is new comes over", FOUND_S)


def _has(house: House, operation: str) -> bool:
    return operation in house.verdicts()


def meet_again(alice: House, bob: House) -> None:
    """Both start anew, without port or any address of the other."""
    old = alice.address, bob.address
    for house in (alice, bob):
        house.stop()
        move(house)
    for house in (alice, bob):
        house.again()
    assert (alice.address, bob.address) != old, "they are somewhere else now"


def questions(heard: Overheard) -> list[str]:
    """Who asked for a name outside the local network: by DNS, or for the way to its server."""
    return [
        f"{one.kind} {one.source} {one.target}:{one.port}"
        for one in heard.packets()
        if (one.port == 53 and one.kind in {"udp", "tcp"}) or one.target == NO_NAMES
    ]


def names_on_air(heard: Overheard) -> set[str]:
    """Every name that somebody gave to a node or a computer, without where it belongs."""
    found: set[str] = set()
    for one in heard.packets():
        if one.kind == "udp" and one.port == 5353:
            for record in DNSIncoming(one.data[8:]).answers():
                found |= {getattr(record, key, "") for key in ("name", "alias", "server")}
    bare = {name.removesuffix("local.").removesuffix("_commons._tcp.") for name in found}
    return bare - {"", "_services._dns-sd._udp."}


@pytest.mark.long
@pytest.mark.parametrize("routed", [True, False], ids=["with a router", "no default route"])
def test_neighbours_find_each_other_and_nothing_leaves_the_network(routed: bool) -> None:
    with lan("alice", "bob") as here:
        net = here.wires.switch("net")
        router = here.wires.router("router", here.switch, "10.77.0.1/24", net, "198.51.100.1/24")
        router.default("198.51.100.254")
        for place in here.places.values():
            if routed:
                place.default("10.77.0.1")
            else:
                # Where to ask for names stands on the own network: a question is an ARP for it.
                place.ip("route", "add", f"{NO_NAMES}/32", "dev", "eth0")
        with overhear(router, "wan") as outside, overhear(here.switch, "br0") as inside:
            alice, bob = here.build("alice", "bob")
            together(alice, bob)
            meet_again(alice, bob)
            until(lambda: connected(alice, bob) == "lan", "they find each other", FOUND_S)
            writes(alice, bob)
            agree(alice, bob)
            assert [one for one in outside.packets() if one.kind != "arp"] == [], "not one packet"
            assert outside.packets() == [], "nor the wish to send one"
            assert questions(inside) == [], "nobody asked for a name"
            inside.assert_sealed("alice", "Elm Street", alice.member, bob.member)
            names = names_on_air(inside)
            assert len(names) >= 4, f"each start took a new name: {names}"
            assert all(re.fullmatch(r"[0-9a-f]{16}\.", name) for name in names), names

            # Had anybody asked or sent anything, it would have been seen:
            one = here.places["alice"]
            with pytest.raises(AssertionError, match="gaierror"):
                one.run(sys.executable, "-c", _LOOK_UP)
            if routed:
                one.run(sys.executable, "-c", _SHOUT)
                until(outside.packets, "what leaves is overheard")
            until(lambda: questions(inside) or questions(outside), "and so is a question")


@pytest.mark.long
def test_a_computer_that_gets_another_address_goes_on() -> None:
    with lan("alice", "bob") as here:
        alice, bob = here.build("alice", "bob")
        together(alice, bob)
        place = here.places["bob"]
        place.loses("10.77.0.3/24")
        place.has("10.77.0.33/24")
        writes(bob, alice)
        until(
            lambda: any("10.77.0.33" in a for a in bob_at(alice, bob)),
            "alice knows where bob is now",
            FOUND_S,
        )
        writes(alice, bob)
        agree(alice, bob)
        (where,) = decode_invite(bob.invite()).addresses
        assert "10.77.0.33" in where, "codes too"


def bob_at(alice: House, bob: House) -> Sequence[str]:
    """Where alice believes bob to be."""
    (peer,) = [one for one in alice.see("peer.list")["peers"] if one["node"] == bob.node]
    found: list[str] = peer["addresses"]
    return found


@pytest.mark.long
def test_without_multicast_last_known_and_given_addresses_do() -> None:
    with lan("alice", "bob") as here:
        here.switch.rules(NO_MULTICAST)
        alice, bob = here.build("alice", "bob")
        together(alice, bob)
        for house in (alice, bob):
            house.stop()
        for house in (alice, bob):
            house.again()
        until(lambda: connected(alice, bob), "they know each other's last address", FOUND_S)
        writes(alice, bob)
        meet_again(alice, bob)
        said = alice.cli("sync", "wait", "--timeout", "4")
        assert said.code == 5, "nobody tells them where they are"
        assert alice.cli("peer", "connect", bob.address).code == 0, "but a person can"
        until(lambda: connected(alice, bob), "and that is enough", FOUND_S)
        writes(bob, alice)
        (held,) = re.findall(r"counter packets ([0-9]+)", here.switch.run("nft", "list", "ruleset"))
        assert int(held) > 0, "multicast was tried, and held back"


def test_what_is_said_on_a_wire_is_overheard() -> None:
    """The harness: two places, a switch, a listener, and nothing left afterwards."""
    with wires() as made:
        switch = made.switch("switch")
        one, two = made.place("one"), made.place("two")
        made.plug(one, switch, "10.77.0.2/24")
        made.plug(two, switch, "10.77.0.3/24")
        with overhear(switch, "br0") as heard:
            one.run(
                sys.executable,
                "-c",
                "import socket; socket.socket(2, 2).sendto(b'hi there', ('10.77.0.3', 4242))",
            )
            until(
                lambda: any(
                    (p.kind, p.source, p.target, p.port) == ("udp", "10.77.0.2", "10.77.0.3", 4242)
                    for p in heard.packets()
                ),
                "it passes the switch",
            )
        assert b"hi there" in heard.raw()
        full = one.full
    with pytest.raises(AssertionError, match="Cannot open network namespace"):
        Place("one", full).ip("link")
