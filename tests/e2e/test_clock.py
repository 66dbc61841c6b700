"""A clock that is set back a year, or forward a day: what holds, what is said, and what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tests.e2e.clocks import Shifted
from tests.e2e.neighbourhood import (
    QUICK,
    House,
    Street,
    agree,
    meet,
    street,
    until,
)
from tests.e2e.safes import Safe, assert_no_fork, writes

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
DAY = 86_400
YEAR = 365 * DAY
NIGHTLY = QUICK.replace("integrity=off", "integrity=17 4 * * *")
"""One job is due by a schedule."""


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture
def houses(elm_street: Street) -> list[Shifted]:
    """Alice and bob in one community; he has a thing of hers, due the day after tomorrow."""
    made = [Shifted(name, elm_street.folder, NIGHTLY) for name in ("alice", "bob")]
    elm_street.houses.extend(made)
    for house in made:
        house.ready()
    alice, bob = made
    alice.found()
    bob.join(alice.invite())
    alice.do("member.role", who="bob", role="steward")
    alice.do("resource.add", name="Drill", number="1")
    agree(*made)
    loan = bob.do("loan.request", resource="1", days=2)["loan"]
    agree(*made)
    if alice.see("loan.show", loan=loan)["state"] == "requested":
        alice.do("loan.approve", loan=loan)
    alice.do("loan.handover", loan=loan)
    agree(*made)
    bob.do("loan.accept", loan=loan)
    agree(*made)
    return made


def overdue(house: House) -> int:
    return len(house.see("loan.list", overdue=True)["loans"])


def waiting_for_the_clock(house: House) -> int:
    """What is kept aside because it claims a time that has not come."""
    found: dict[str, int] = house.see("status")["communities"][0]["held"]
    return sum(count for why, count in found.items() if "clock" in why)


def next_run(house: House) -> float:
    """When the nightly check is due, in seconds of the world's clock."""
    listed = house.see("job.list")["jobs"]
    told = next(str(one["next"]) for one in listed if one["job"] == "integrity")
    return datetime.fromisoformat(told).timestamp()


def test_set_back_a_year(houses: list[Shifted]) -> None:
    alice, bob = houses
    before, verdicts = alice.hashes(), alice.verdicts()
    alice.clock(-YEAR)

    # whoever is unlocked stays so; but nothing is signed that would claim a time of the future
    error = alice.refused("invite.create", uses=1)
    assert error.code == "clock"
    assert "this machine's clock says" in str(error)
    assert "set the clock right" in error.hint
    assert (alice.hashes(), alice.verdicts()) == (before, verdicts), "and nothing is otherwise"
    assert overdue(alice) == 0
    found = alice.doctor()["clock"]
    assert found["state"] == "fail"
    assert "timedatectl" in found["fix"]

    # what others write is kept aside until then, and said
    news = set(writes(bob, 2))
    until(lambda: waiting_for_the_clock(alice) == len(news), "it comes, and waits")
    assert not news & set(alice.verdicts())
    until(lambda: "clock" in str(alice.see("sync.why")), "she is told why")

    # a job runs by hand at once, and none waits for a year
    assert alice.do("job.run", job="figures", wait=60)["state"] == "done"
    assert next_run(alice) < time.time() - YEAR + 2 * DAY

    # over a restart, too
    alice.stop()
    alice.again()
    alice.unlock()
    assert alice.refused("invite.create", uses=1).code == "clock"
    alice.stop()
    alice.clock(0)
    alice.again()
    alice.unlock()
    meet(alice, bob)
    agree(alice, bob, seconds=60)
    more = writes(alice, 2)
    agree(alice, bob)
    assert all(bob.verdicts()[one] == 1 for one in [*news, *more])
    assert_no_fork(alice, bob)
    assert alice.set_wrong == 1
    assert alice.doctor()["clock"]["state"] == "ok"


def test_set_forward_a_day(houses: list[Shifted]) -> None:
    alice, bob = houses
    acts = alice.see("community.acts")["acts"]
    alice.clock(DAY)
    early = set(writes(alice, 2))
    assert all(alice.verdicts()[one] == 1 for one in early)
    until(lambda: waiting_for_the_clock(bob) >= len(early), "bob's node keeps them aside")
    assert not early & set(bob.verdicts())
    until(lambda: "clock" in str(bob.see("sync.why")), "he is told why")
    assert bob.doctor()["clock"]["state"] == "ok", "his clock is right"
    assert bob.see("loan.list")["loans"], "and everything else goes on"
    theirs = set(writes(bob, 1))
    until(lambda: theirs <= set(alice.verdicts()), "at alice's, too")
    assert overdue(alice) == 0, "it is not late yet"
    alice.clock(4 * DAY)
    until(lambda: overdue(alice) == 1, "now it is late")

    # and right again
    alice.clock(0)
    assert overdue(alice) == 0, "being late is looked up, never written"
    assert alice.see("community.acts")["acts"] == acts, "no seal was made of a clock alone"
    assert next_run(alice) < time.time() + 2 * DAY
    assert alice.refused("invite.create", uses=1).code == "clock", "its chain claims a later time"
    found = alice.doctor()["clock"]
    assert found["state"] == "fail"
    assert "timedatectl" in found["fix"]

    # a day later all of it counts
    for house in houses:
        house.clock(DAY + 60)
    for house in houses:
        house.stop()
        house.again()
        house.unlock()
    meet(alice, bob)
    more = writes(alice, 1)
    agree(alice, bob, seconds=60)
    assert all(bob.verdicts()[one] == 1 for one in [*early, *theirs, *more])
    assert_no_fork(alice, bob)
    assert (alice.set_wrong, bob.set_wrong) == (3, 1)


def test_backups_go_on_under_any_clock(elm_street: Street) -> None:
    """The newest is the one that was made last, whatever its clock said."""
    safe = Safe(elm_street.folder)
    more = f'backup_to = "{safe.path}"\nbackup_passphrase_file = "{safe.phrase}"\nbackup_keep = 2\n'
    alice = Shifted("alice", elm_street.folder, QUICK + more)
    elm_street.houses.append(alice)
    alice.ready()
    alice.found()

    def verified() -> str:
        return str(alice.see("status")["backup"]["verified"])

    until(lambda: verified() != "None", "the first one", 60)
    for shift in (DAY, 0, -YEAR, 0):
        before = verified()
        alice.stop()
        alice.clock(shift)
        alice.again()
        alice.unlock()
        if not shift:
            writes(alice)
        if shift == -YEAR:
            until(lambda last=before: verified() != last, "at once: not first in a year", 60)  # type: ignore[misc]
        else:
            assert alice.do("job.run", job="backup", wait=60)["state"] == "done"
        found = safe.does("verify", elm_street.folder)
        assert found.json["state_hash"] == alice.hashes()[1], f"the newest, {shift} s ahead"
    assert len(list(safe.path.glob("*.backup"))) == 2
    assert alice.set_wrong == 2
