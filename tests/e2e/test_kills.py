"""``kill -9`` of any daemon at any moment: what was acknowledged is everywhere in the end."""

from __future__ import annotations

import base64
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.e2e.neighbourhood import House, agree, street

from commons_node.api.client import ApiError

KILLS = 24
SECONDS = 110.0
_AWAY = {"stopped", "not_running"}


class Resident:
    """Somebody who goes on writing at their own node, whatever happens to it."""

    def __init__(self, house: House, others: list[House], seed: int) -> None:
        """``others``: whom they cut off and let in again now and then."""
        self.house = house
        self.others = others
        self.rng = random.Random(seed)
        self.up = threading.Event()
        self.up.set()
        self.acknowledged: set[str] = set()
        self.did: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._number = 0

    def live(self, over: threading.Event) -> None:
        """Act until it is over."""
        while not over.is_set():
            if not self.up.wait(0.1):
                continue
            act = self.rng.choice(
                [self.imports, self.adds, self.edits, self.edits, self.asks, self.asks,
                 self.decides, self.hands_over, self.takes, self.returns, self.receives,
                 self.blocks, self.unblocks, self.unblocks]
            )  # fmt: skip
            try:
                act()
            except ApiError as error:
                self.errors[error.code] += 1
            time.sleep(self.rng.random() * 0.05)

    def _writes(self, verb: str, **arguments: Any) -> None:
        answer = self.house.do(verb, **arguments)
        self.acknowledged.add(answer["operation"])
        self.did[verb] += 1

    def _thing(self) -> str:
        found = self.house.see("resource.list")["resources"]
        if not found:
            raise ApiError("nothing", "", "", 1)  # type: ignore[arg-type]  # counted, no more
        thing: str = self.rng.choice(found)["resource"]
        return thing

    def _loan(self, state: str) -> str:
        found = self.house.see("loan.list", state=state)["loans"]
        if not found:
            raise ApiError("nothing", "", "", 1)  # type: ignore[arg-type]  # counted, no more
        loan: str = self.rng.choice(found)["loan"]
        return loan

    def _numbers(self, count: int) -> list[str]:
        self._number += count
        return [f"{self.house.name}-{self._number - n}" for n in range(count)]

    def imports(self) -> None:
        """A small inventory: all of its things are acknowledged together."""
        rows = "".join(f"{number},Thing of {self.house.name}\n" for number in self._numbers(8))
        data = base64.b64encode(f"number,name\n{rows}".encode()).decode()
        report = self.house.do("resource.import", file={"name": "x.csv", "data": data})
        assert report["created"] == 8, report
        self.acknowledged.update(row["resource"] for row in report["rows"])
        self.did["resource.import"] += 1

    def adds(self) -> None:
        (number,) = self._numbers(1)
        self._writes("resource.add", name=f"Lamp of {self.house.name}", number=number)

    def edits(self) -> None:
        self._writes("resource.edit", resource=self._thing(), notice=self.rng.randbytes(6).hex())

    def asks(self) -> None:
        self._writes("loan.request", resource=self._thing(), days=self.rng.randint(1, 5))

    def decides(self) -> None:
        verb = self.rng.choice(["loan.approve", "loan.approve", "loan.decline"])
        self._writes(verb, loan=self._loan("requested"))

    def hands_over(self) -> None:
        self._writes("loan.handover", loan=self._loan("approved"))

    def takes(self) -> None:
        self._writes("loan.accept", loan=self._loan("offered"))

    def returns(self) -> None:
        self._writes("loan.return", loan=self._loan("on_loan"))

    def receives(self) -> None:
        self._writes("loan.receive", loan=self._loan("returning"))

    def blocks(self) -> None:
        if self.rng.random() < 0.3:
            self.house.do("peer.block", node=self.rng.choice(self.others).node)
            self.did["peer.block"] += 1

    def unblocks(self) -> None:
        self.house.do("peer.unblock", node=self.rng.choice(self.others).node)
        self.did["peer.unblock"] += 1

    def dies(self) -> None:
        """``kill -9``, wherever it was."""
        self.up.clear()
        self.house.kill()

    def comes_back(self) -> None:
        """A new daemon on the same home; now and then it does not even get to its first word."""
        if self.rng.random() < 0.3:
            self.house.process = self.house.start()
            time.sleep(self.rng.random() * 2)
            self.house.kill()
        self.house.again()
        self.house.unlock()
        self.up.set()


@pytest.mark.long
def test_nothing_that_was_acknowledged_is_lost() -> None:
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")  # noqa: T201 - how to repeat it
    rng = random.Random(seed)
    with street() as elm_street:
        houses = elm_street.community(
            "alice", "bob", "cleo", roles={"bob": "steward", "cleo": "steward"}
        )
        residents = [
            Resident(house, [o for o in houses if o is not house], rng.randrange(2**32))
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

        did = sum((one.did for one in residents), Counter[str]())
        errors = sum((one.errors for one in residents), Counter[str]())
        told = f"SEED={seed}: {kills} kills, {dict(did)}, errors {dict(errors)}"
        assert kills >= 20, f"many daemons were killed: {told}"
        assert len({house.killed > 0 for house in houses}) == 1, "each of them"
        assert sum(errors[code] for code in _AWAY) > 0, f"some in the middle of a call: {told}"
        assert not errors["internal"], f"a restart is no fault: {told}"
        for verb in ("resource.import", "resource.edit", "loan.request", "peer.block"):
            assert did[verb] > 0, f"the scenario happened: {told}"
        acknowledged = set().union(*(one.acknowledged for one in residents))
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


def live_and_die(residents: list[Resident], rng: random.Random) -> int:
    """Everybody writes while one daemon after the other is killed; how many were."""
    over = threading.Event()
    deadline = time.monotonic() + SECONDS
    kills = 0
    with ThreadPoolExecutor(len(residents)) as lives, ThreadPoolExecutor(2) as rescue:
        living = [lives.submit(one.live, over) for one in residents]
        try:
            back = []
            while kills < KILLS and time.monotonic() < deadline:
                time.sleep(rng.random() * 1.5)
                standing = [one for one in residents if one.up.is_set()]
                if len(standing) < 2:
                    continue  # somebody should be there to hear of it
                one = rng.choice(standing)
                one.dies()
                back.append(rescue.submit(one.comes_back))
                kills = sum(each.house.killed for each in residents)
            for each in back:
                each.result(90)
        finally:
            over.set()
        for life in living:
            life.result(90)
    return sum(one.house.killed for one in residents)
