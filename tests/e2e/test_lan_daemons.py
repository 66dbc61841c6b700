"""Two daemons that know no address of each other find each other on the local network."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import ExitStack, closing

import pytest
from tests.e2e.neighbourhood import QUICK, House, agree, street, until

LOOPBACK = QUICK + 'lan_interfaces = ["127.0.0.1"]\n'


def move(house: House) -> None:
    """Let a stopped node forget its port and where its peers were: it has moved to another flat."""
    with closing(sqlite3.connect(house.home / "node.db", isolation_level=None)) as database:
        gone = database.execute("DELETE FROM settings WHERE name = 'port'").rowcount
        database.execute("UPDATE peers SET addresses = '[]'")
    assert gone == 1, "the node had kept its port"


@pytest.mark.long
@pytest.mark.parametrize("lan", [True, False], ids=["with a LAN", "without"])
def test_members_find_each_other_on_the_local_network(lan: bool) -> None:
    with street() as elm_street:
        alice, bob = elm_street.build("alice", "bob", config=LOOPBACK, lan=lan)
        alice.found()
        bob.join(alice.invite(), address=alice.address)
        agree(alice, bob)
        old = alice.address, bob.address
        alice.stop()
        bob.stop()
        move(alice)
        move(bob)
        with ExitStack() as taken:
            for address in old:  # or the kernel may give one of them the same again
                where = "127.0.0.1", int(address.split("/")[4])
                taken.enter_context(socket.create_server(where))
            alice.again()
            bob.again()
        assert alice.address != old[0], "they are somewhere else now"
        assert bob.address != old[1]
        if not lan:
            said = alice.cli("sync", "wait", "--timeout", "4")
            assert said.code == 5, "without it nobody tells them where they are"
            return
        until(
            lambda: any(peer["connected"] for peer in alice.see("peer.list")["peers"]),
            f"they find each other: {alice.see('peer.list')}",
            40,
        )
        alice.unlock()
        new = alice.do("invite.create", uses=1)["operation"]
        until(lambda: new in bob.verdicts(), "and tell each other what is new")
        agree(alice, bob)
