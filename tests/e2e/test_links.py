"""The soak's relay: what it does to a connection is what a bad network does, and it is counted."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pytest
from tests.e2e.neighbourhood import agree, street, until
from tests.soak.links import Relay
from tests.soak.sockets import listening

_ECHO = """
import socket, sys, threading
server = socket.create_server(("127.0.0.1", 0))
def echo(one):
    try:
        while data := one.recv(65536):
            one.sendall(data)
    except OSError:
        pass
    one.close()
print("ready", flush=True)
while True:
    threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
"""


@dataclass
class Street:
    """Alice echoes behind her front; bob is this process."""

    relay: Relay
    front: tuple[str, int]

    def dial(self) -> socket.socket:
        return dialled(self.front)


def dialled(front: tuple[str, int]) -> socket.socket:
    one = socket.create_connection(front, timeout=5)
    one.settimeout(5)
    return one


@pytest.fixture
def wired() -> Iterator[Street]:
    with subprocess.Popen(
        [sys.executable, "-c", _ECHO], stdout=subprocess.PIPE, text=True
    ) as alice:
        assert alice.stdout is not None
        assert alice.stdout.readline() == "ready\n"
        relay = Relay(lambda: {"alice": alice.pid, "bob": os.getpid()})
        try:
            port = int(relay.front("alice").rpartition("/")[2])
            yield Street(relay, ("127.0.0.1", port))
        finally:
            relay.close()
            alice.kill()


def _say(one: socket.socket, data: bytes) -> None:
    one.sendall(data)
    one.shutdown(socket.SHUT_WR)


def broken(one: socket.socket) -> bool:
    """The connection was reset: no end was said."""
    try:
        one.sendall(b"?")
        return one.recv(10) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


def lets_in(front: tuple[str, int]) -> bool:
    """Somebody new comes through; who does not may be reset before the dial itself is over."""
    try:
        with dialled(front) as one:
            return not broken(one)
    except ConnectionResetError:
        return False


def test_a_whole_link_carries_everything_and_ends_as_its_ends_do(wired: Street) -> None:
    data = os.urandom(300_000)
    with wired.dial() as one, ThreadPoolExecutor(1) as saying:
        saying.submit(_say, one, data)
        heard = b""
        while part := one.recv(65536):
            heard += part
    assert heard == data
    assert wired.relay.counts["connections"] == 1
    assert wired.relay.counts["bytes"] == 2 * len(data), "there and back"


def test_a_cut_link_resets_what_is_open_and_lets_nobody_in_until_it_is_mended(
    wired: Street,
) -> None:
    with wired.dial() as one:
        one.sendall(b"hello")
        assert one.recv(10) == b"hello"
        wired.relay.trouble("bob", "alice", "cut", 1)
        wired.relay.trouble("alice", "bob", "cut", 2)
        assert broken(one)
    assert not lets_in(wired.front)
    wired.relay.mend(1)
    assert not lets_in(wired.front), "the other trouble still holds"
    wired.relay.mend(2)
    with wired.dial() as one:
        one.sendall(b"hello")
        assert one.recv(10) == b"hello"
    assert wired.relay.counts["cut"] == 1
    assert wired.relay.counts["refused"] == 2


@pytest.mark.parametrize(
    ("what", "sender"), [("stall", ""), ("one_way", "bob"), ("one_way", "alice")]
)
def test_a_stalled_link_loses_nothing_and_says_nothing(
    wired: Street, what: str, sender: str
) -> None:
    with wired.dial() as one:
        one.sendall(b"before")
        assert one.recv(10) == b"before"
        wired.relay.trouble("bob", "alice", what, 1, sender)  # type: ignore[arg-type]  # parametrized
        one.sendall(b"during")
        until(lambda: wired.relay.counts["held"] >= 1, "it is held")
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            one.recv(10)
        wired.relay.mend()
        one.settimeout(5)
        assert one.recv(10) == b"during", "it comes when the link is whole again"


def test_a_slow_link_is_slow(wired: Street) -> None:
    wired.relay.trouble("bob", "alice", "slow", 1)
    with wired.dial() as one:
        began = time.monotonic()
        one.sendall(b"x")
        assert one.recv(1) == b"x"
        assert time.monotonic() - began >= 0.1, "there and back"
    assert wired.relay.counts["delayed"] == 2


def test_a_snapped_connection_breaks_in_the_middle_of_what_it_carries(wired: Street) -> None:
    with wired.dial() as one:
        wired.relay.snap("bob", "alice", 1000)
        one.sendall(b"y" * 5000)
        heard = 0
        with suppress(ConnectionResetError):
            while part := one.recv(65536):
                heard += len(part)
        assert heard < 5000
    assert wired.relay.counts["snapped"] == 1
    with wired.dial() as one:
        one.sendall(b"hello")
        assert one.recv(10) == b"hello", "only that one"


def test_who_is_no_node_is_not_let_through() -> None:
    relay = Relay(dict)
    try:
        port = int(relay.front("alice").rpartition("/")[2])
        assert not lets_in(("127.0.0.1", port))
        assert relay.counts["unknown"] == 1
    finally:
        relay.close()


@pytest.mark.long
def test_nodes_that_announce_the_relay_know_each_other_by_nothing_else() -> None:
    """`announce` in `config.toml`: what a host behind a router that forwards a port says."""
    with street() as elm_street:
        relay = Relay(lambda: {house.name: house.process.pid for house in elm_street.houses})
        try:
            fronts = {name: relay.front(name) for name in ("alice", "bob", "cleo")}
            houses = elm_street.community(
                "alice", "bob", "cleo", roles={"bob": "member"},
                config=lambda name: f'announce = ["{fronts[name]}"]\nsync_interval_s = 2\n'
                "verifier_workers = 1\n",
            )  # fmt: skip
            alice, bob, cleo = houses
            assert alice.address.startswith(f"{fronts['alice']}/p2p/"), "the ready line says so"
            assert str(listening(alice.process.pid)) not in alice.address
            for house in houses:
                others = {o.node: [o.address] for o in houses if o is not house}
                until(
                    lambda house=house: len(house.see("peer.list")["peers"]) == 2,  # type: ignore[misc]  # bound now
                    f"{house.name} was introduced to both",
                )
                known = {p["node"]: p["addresses"] for p in house.see("peer.list")["peers"]}
                assert known == others, "nobody ever says where a node listens"
            relay.trouble("alice", "bob", "cut", 1)
            relay.trouble("alice", "cleo", "cut", 2)
            until(lambda: not alice.see("status")["peers"], "alice is alone")
            bob.do("invite.create")
            agree(bob, cleo)
            assert alice.hashes() != bob.hashes()
            relay.mend()
            agree(*houses)
            assert relay.counts["cut"] >= 2
            assert not relay.counts["unknown"], "all of it went through the relay, as itself"
        finally:
            relay.close()
