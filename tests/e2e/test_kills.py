"""``kill -9`` of any daemon at any moment: what was acknowledged is everywhere in the end."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.e2e.household import Household
from tests.e2e.neighbourhood import agree, street

KILLS = 24
SECONDS = 300.0
"""An end where a machine is slow; elsewhere it takes half a minute."""
_AWAY = {"stopped", "not_running"}


DEEDS = (
    "imports", "adds", "edits", "edits", "asks", "asks", "decides", "hands_over", "takes",
    "returns", "receives", "blocks", "unblocks", "unblocks",
)  # fmt: skip


def live(one: Household, over: threading.Event, rng: random.Random) -> None:
    """Act until it is over."""
    while not over.is_set():
        if not one.up.wait(0.1):
            continue
        one.resident.act(rng.choice(DEEDS), rng)
        time.sleep(rng.random() * 0.05)


def come_back(one: Household, rng: random.Random) -> None:
    """Now and then a daemon does not even get to its first word."""
    one.comes_back(rng.random() * 2 if rng.random() < 0.3 else None)


@pytest.mark.long
def test_nothing_that_was_acknowledged_is_lost() -> None:
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")  # noqa: T201 - how to repeat it
    rng = random.Random(seed)
    with street() as elm_street:
        houses = elm_street.community(
            "alice", "bob", "cleo", roles={"bob": "steward", "cleo": "steward"}
        )
        acknowledged: set[str] = set()
        residents = [
            Household(
                house,
                [other for other in houses if other is not house],
                lambda _node, _verb, operations: acknowledged.update(operations),
            )
            for house in houses
        ]
        kills = live_and_die(residents, rng)
        for one in residents:
            for other in one.others:
                one.house.do("peer.unblock", node=other.node)
        for one in residents:
            for other in one.others:
                one.house.do("peer.connect", address=other.address)
        agree(*houses, seconds=60)

        did = sum((one.resident.did for one in residents), Counter[str]())
        errors = sum((one.resident.errors for one in residents), Counter[str]())
        told = f"SEED={seed}: {kills} kills, {dict(did)}, errors {dict(errors)}"
        assert kills >= 20, f"many daemons were killed: {told}"
        assert len({house.killed > 0 for house in houses}) == 1, "each of them"
        assert sum(errors[code] for code in _AWAY) > 0, f"some in the middle of a call: {told}"
        assert not errors["internal"], f"a restart is no fault: {told}"
        for verb in ("resource.import", "resource.edit", "loan.request", "peer.block"):
            assert did[verb] > 0, f"the scenario happened: {told}"
        assert len(acknowledged) > 100, told
        for house in houses:
            held = house.verdicts()
            lost = acknowledged - set(held)
            assert not lost, f"{len(lost)} acknowledged operations are not at {house.name}: {told}"
            wrong = {one for one in acknowledged if held[one] != 1}
            assert not wrong, f"{house.name} accepts them all, but {wrong}: {told}"
            counts = house.operations()
            assert counts["contested"] == counts["pending"] == 0, f"{house.name}: {counts}: {told}"
        assert len({house.hashes() for house in houses}) == 1
        print(told)  # noqa: T201 - a figure
        for house in houses:
            assert house.stop() == 0
            house.assert_whole()


def live_and_die(residents: list[Household], rng: random.Random) -> int:
    """Everybody writes while one daemon after the other is killed; how many were."""
    over = threading.Event()
    deadline = time.monotonic() + SECONDS
    kills = 0
    with ThreadPoolExecutor(len(residents)) as lives, ThreadPoolExecutor(2) as rescue:
        living = [
            lives.submit(live, one, over, random.Random(rng.randrange(2**32))) for one in residents
        ]
        try:
            back = []
            while kills < KILLS and time.monotonic() < deadline:
                time.sleep(rng.random() * 1.5)
                standing = [one for one in residents if one.up.is_set()]
                if len(standing) < 2:
                    continue  # somebody should be there to hear of it
                one = rng.choice([each for each in standing if not each.house.killed] or standing)
                one.dies()
                back.append(rescue.submit(come_back, one, random.Random(rng.randrange(2**32))))
                kills = sum(each.house.killed for each in residents)
            for each in back:
                each.result(90)
        finally:
            over.set()
        for life in living:
            life.result(90)
    return sum(one.house.killed for one in residents)
