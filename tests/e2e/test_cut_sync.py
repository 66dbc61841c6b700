"""A sync between real daemons that breaks again and again: what came stays, and is not sent again.

Everything goes through a relay of the test, which counts bytes and breaks the connection in the
middle of what it carries: while the two greet each other, within a frame, and behind megabytes.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from functools import partial
from random import Random
from string import ascii_lowercase

import pytest
from tests.e2e.neighbourhood import House, agree, street, until
from tests.soak.links import Relay

from commons_node.api.client import ApiError
from commons_protocol.network import MAX_FRAME
from commons_protocol.pull import WINDOW

ROWS = 1_000
IN_FLIGHT = WINDOW * MAX_FRAME
"""Bytes that may be on their way, and not on the disk, when a connection breaks."""
GREETING = 64 * 1024
"""More than two nodes say before and beside operations, on one connection."""
CUTS = (1, 700, 3_001, 40_007, 300_011, 4_200_003)
"""Bytes after which each connection breaks, both ways together. The last is behind two windows."""
_SIZE = (
    "SELECT coalesce(sum(length(header) + length(signature) + coalesce(length(body), 0)), 0)"
    " + (SELECT coalesce(sum(length(bytes)), 0) FROM parts) FROM operations"
)


def held(house: House) -> int:
    """Bytes of the operations that a house has on its disk."""
    ((size,),) = house.query(_SIZE)
    return int(size)


def things(first: int) -> dict[str, str]:
    """So many things to import, with long texts."""
    rng = Random(first)
    rows = "\n".join(
        f"{n},Thing {n},{''.join(rng.choices(ascii_lowercase, k=1900))}"  # it hardly shrinks
        for n in range(first, first + ROWS)
    )
    data = base64.b64encode(f"number,name,checkout_notice\n{rows}\n".encode()).decode()
    return {"name": "many.csv", "data": data}


@pytest.mark.long
def test_a_sync_that_breaks_at_many_places_loses_nothing_and_repeats_little() -> None:
    with street() as elm_street:
        relay = Relay(lambda: {house.name: house.process.pid for house in elm_street.houses})
        try:
            fronts = {name: relay.front(name) for name in ("alice", "bob")}
            alice, bob = elm_street.community(
                "alice", "bob", roles={"bob": "member"},
                config=lambda name: f'announce = ["{fronts[name]}"]\nsync_interval_s = 2\n'
                "verifier_workers = 1\n",
            )  # fmt: skip
            relay.trouble("alice", "bob", "cut", "away")
            until(lambda: not alice.see("status")["peers"], "they are apart")
            for first in (1, ROWS + 1):
                assert alice.do("resource.import", file=things(first))["created"] == ROWS
            begin = held(bob)
            missing = held(alice) - begin
            assert missing > sum(CUTS), "it takes longer than to the last cut"

            carried, came = relay.counts["bytes"], begin
            for number, after in enumerate(CUTS, 1):
                relay.snap("alice", "bob", after)
                relay.mend("away")
                until(partial(_struck, relay, number, alice, bob), f"cut {number} strikes", 60)
                now = held(bob)
                assert now >= came, "what came stays"
                came = now
            gone_on = came - begin
            assert CUTS[-1] / 1.1 - IN_FLIGHT - GREETING <= gone_on < missing, "and it goes on"
            with suppress(ApiError):
                alice.do("peer.connect", address=bob.address)
            agree(alice, bob, seconds=120)

            assert relay.counts["snapped"] == len(CUTS)
            assert held(bob) - begin == missing
            carried = relay.counts["bytes"] - carried
            said = f"{carried} bytes for {missing} that were missing"
            windows = sum(min(after, IN_FLIGHT) for after in CUTS)
            assert missing < carried <= missing * 1.1 + windows + (len(CUTS) + 1) * GREETING, said
            assert carried < missing + sum(CUTS), f"{said}: less than if each began from nothing"
            assert not bob.refusals().keys() & {"order", "credit", "flood"}, "nobody is blamed"
        finally:
            relay.close()


def _struck(relay: Relay, number: int, alice: House, bob: House) -> bool:
    """Whether so many connections broke in the middle; nobody waits for a pause to be over."""
    if relay.counts["snapped"] < number:
        with suppress(ApiError):
            alice.do("peer.connect", address=bob.address)
    return relay.counts["snapped"] >= number
