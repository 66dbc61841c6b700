"""Who breaks rules is kept out over kill -9, until the time is over; the next time for longer."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime

import pytest
from tests.e2e.clocks import Shifted
from tests.e2e.eve import Eve, gone_bad
from tests.e2e.neighbourhood import QUICK, House, Street, agree, street, until

from commons_node.peering.penalties import FIRST_MS, PATIENCE
from commons_protocol.names import node_id
from commons_protocol.network import NetworkError

pytestmark = pytest.mark.long
FIRST_S = FIRST_MS / 1000
BEFORE_S = 600
"""A restarted node's clock is so much behind what it was: however slow the machine, no block is
over before the test has looked."""


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


def blocked(alice: House, eve: Eve) -> tuple[float, str] | None:
    """Until when, in seconds, and what alice's node says of it; None: she may come."""
    rows = {row["node"]: row for row in alice.see("peer.list")["peers"]}
    row = rows[node_id(eve.network.peer_id)]
    if row["blocked_until"] is None:
        return None
    return datetime.fromisoformat(row["blocked_until"]).timestamp(), row["sync"]["reason"]


def is_written_down(alice: House, eve: Eve, until_s: float) -> bool:
    """Whether a kill now would leave it: it is known a moment before it is durable."""
    file = f"file:{alice.home / 'node.db'}?mode=ro"
    with closing(sqlite3.connect(file, uri=True, timeout=10)) as connection:
        query = "SELECT until_ms FROM offenders WHERE subject = ?"
        rows = connection.execute(query, (node_id(eve.network.peer_id),)).fetchall()
    return [row[0] // 1000 for row in rows] == [int(until_s)]


def breaks_rules(alice: House, eve: Eve) -> None:
    """As often as is too often."""
    for _ in range(PATIENCE):
        before, talk = alice.refusal("encoding"), eve.talk(alice)
        present = talk.conversation
        talk.say(b"\xff\xff\xff")
        assert talk.ended(present)
        until(lambda n=before: alice.refusal("encoding") > n, "it is counted")  # type: ignore[misc]  # binds it


def is_turned_away(alice: House, eve: Eve) -> None:
    before = alice.refusal("refused_dials_in")
    with suppress(NetworkError):
        eve.dial(alice)
    until(lambda: alice.refusal("refused_dials_in") > before, "eve tries, and is refused")


def test_each_time_lasts_twice_as_long_also_over_kill_9(elm_street: Street) -> None:
    alice = Shifted("alice", elm_street.folder, QUICK)
    house = House("eve", elm_street.folder / "eve", config=QUICK)
    elm_street.houses += [alice, house]
    alice.ready()
    house.ready()
    alice.found()
    house.join(alice.invite())
    agree(alice, house)
    ahead = 0
    with gone_bad(house) as eve:
        for turn, lasts in enumerate((FIRST_S, 2 * FIRST_S), 1):
            began = time.time() + ahead
            breaks_rules(alice, eve)
            until(lambda: blocked(alice, eve) is not None, "eve is kept out")
            found = blocked(alice, eve)
            assert found is not None
            assert began + lasts - 1 <= found[0] <= time.time() + ahead + lasts, f"turn {turn}"
            assert f"it broke rules (encoding), time {turn} in a row" in found[1]
            is_turned_away(alice, eve)
            ends = found[0]
            until(lambda ends=ends: is_written_down(alice, eve, ends), "it lasts")  # type: ignore[misc]  # binds it
            alice.kill()
            alice.clock(ahead - BEFORE_S)
            alice.again()
            assert blocked(alice, eve) == found, "kill -9 lets nobody in"
            is_turned_away(alice, eve)
            ahead += round(lasts) + BEFORE_S // 4
            alice.clock(ahead)
            until(lambda: blocked(alice, eve) is None, "her time is over")
            eve.talk(alice)  # or it would say why not
        assert alice.killed == 2
        assert alice.set_wrong == 4
