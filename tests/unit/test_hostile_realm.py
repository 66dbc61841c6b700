"""What a hostile neighbour, a bad clock or an impatient caller may try on one realm on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.street import Home, homes
from tests.unit.town import DAY_MS, Person, person

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Candidate, Judge, Standing
from commons_crdt.ids import DocumentId
from commons_crdt.kinds import encode_fact
from commons_crdt.operation import Operation, salted
from commons_node.domains.lending.facts import Decision
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.realm.authoring import ClockBehind
from commons_node.store.upgrading import Unusable
from commons_node.verifier.pool import VerifierPool
from commons_protocol.replica import Range

VERIFIERS = 1
pytestmark = pytest.mark.anyio

BOB, CIA = person("bob"), person("cia")


@pytest.fixture
async def street(tmp_path: Path, pool: VerifierPool) -> AsyncIterator[list[Home]]:
    async with homes(tmp_path, pool, "north south east") as opened:
        yield opened


def called(who: Person, name: str) -> Draft:
    document = DocumentId(who.member)
    return Draft.fact(PROFILE, Profile(), document=document, parts=[(NAME, name.encode())])


async def says(home: Home, who: Person, name: str) -> None:
    grant = home.realm.judge.authority.devices[who.device.keys.id].id
    await home.realm.write([called(who, name)], who.device, grant)


async def test_a_write_that_fails_for_the_clock_is_not_kept_to_fork_its_author(
    street: list[Home],
) -> None:
    north, *_ = street
    north.now += 3 * DAY_MS
    await says(north, BOB, "bob in the future")
    north.now -= 3 * DAY_MS
    for name in ("bob today", "bob again"):
        with pytest.raises(ClockBehind):
            await says(north, BOB, name)
    north.now += 4 * DAY_MS
    await north.realm.tick()
    assert not north.realm.judge.forks, "what was said not to be written is never written"
    await says(north, BOB, "bob, back in time")


async def test_an_impatient_caller_leaves_no_transaction_behind(
    street: list[Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    north, *_ = street
    write = north.realm.store.database.write
    execute: Any = type(write)._execute
    countdown = [0]

    async def interrupted(connection: Any, *arguments: Any, **more: Any) -> Any:
        work = asyncio.ensure_future(execute(connection, *arguments, **more))
        await asyncio.sleep(0)
        countdown[0] -= 1
        if countdown[0] == 0 and (task := asyncio.current_task()) is not None:
            task.cancel()
        return await work

    monkeypatch.setattr(type(write), "_execute", interrupted)
    for step in range(1, 40):
        countdown[0] = step
        await asyncio.gather(
            asyncio.create_task(says(north, BOB, f"bob {step}")), return_exceptions=True
        )
        countdown[0] = 0
        seen = await north.realm.hashes()
        assert not write.in_transaction, f"cancelled at statement {step}"
        north.realm._hashes.forget()
        assert seen == await north.realm.hashes(), "hashes are those of the disk"
        await says(north, BOB, f"bob after {step}")
    await north.realm.fold_again()
    seen = await north.realm.hashes()
    await north.realm.memory.load()
    assert seen == await north.realm.hashes(), "hashes are those of the disk"
    assert not north.realm.judge.forks


async def test_bytes_that_a_peer_withheld_are_asked_for_again(street: list[Home]) -> None:
    north, south, _ = street
    await says(north, BOB, "robert")
    operations = await north.operations()
    stripped = [replace(one, body=None, parts=()) for one in operations[-1:]]
    south.now = north.now
    await south.realm.ingest([*operations[:-1], *stripped], "eve")
    assert south.realm.digest() != north.realm.digest(), "who lacks contents is not in sync"
    await north.tell(south)
    assert south.realm.digest() == north.realm.digest()
    assert await south.realm.hashes() == await north.realm.hashes()


async def test_withheld_bytes_come_back_as_their_author_wrote_them_or_not_at_all(
    street: list[Home],
) -> None:
    north, south, _ = street
    await north.do("cia", "resource.add", name="Drill", number="1622")
    await north.do("bob", "loan.request", resource="1622", days=3)
    (ask,) = await north.rows("loan.list", "loans")
    await north.do("cia", "loan.decline", loan=ask["loan"])
    operations = await north.operations()
    no = operations[-1]
    assert no.body is not None
    south.now = north.now
    await south.realm.ingest([*operations[:-1], replace(no, body=None)], "eve")
    yes = salted(no.body[:32], encode_fact(Decision(approve=True)))
    await south.realm.ingest([replace(no, body=yes)], "eve")
    assert (await south.rows("loan.list", "loans"))[0]["state"] != "approved", "cia said no"
    await north.tell(south)
    assert (await south.rows("loan.list", "loans"))[0]["state"] == "declined"
    assert await south.realm.hashes() == await north.realm.hashes()


async def test_a_third_sibling_shows_in_the_ends_at_once(street: list[Home]) -> None:
    north, *_ = street
    for home in street:
        home.now += 1000
        await says(home, BOB, f"bob at {home.name}")
    chains = {home.name: await _chain(home, BOB) for home in street}
    for home in street:
        for other in ("north", "south", "east"):
            await home.realm.ingest(chains[other], other)
    assert len({home.realm.digest() for home in street}) == 1, "the same siblings, the same ends"
    before = north.realm.digest()
    await north.realm.memory.load()
    assert north.realm.digest() == before, "and the same after a start"


async def _chain(home: Home, who: Person) -> Sequence[Operation]:
    found, _ = await home.realm.read([Range(who.device.keys.id, 1, 1, 1 << 40)], None, 1 << 22)
    return found


async def test_a_fork_in_what_somebody_says_freezes_their_chain_and_judges_nobody_again(
    street: list[Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    north, south, _ = street
    await north.do("cia", "resource.add", name="Drill", number="1622")
    await north.do("cia", "resource.add", name="Saw", number="7")
    await north.do("bob", "loan.request", resource="1622", days=3)
    await north.tell(south)
    await north.do("cia", "resource.edit", resource="7", notice="sharp")
    await north.do("bob", "loan.request", resource="7", days=2)
    await north.do("cia", "loan.approve", loan="1622")
    await south.do("bob", "loan.request", resource="7", days=5)
    await south.do("cia", "resource.edit", resource="7", notice="blunt")
    again: list[str] = []
    judged = Judge.rejudge

    def counted(self: Judge, candidate: Candidate, *more: Any) -> Standing:
        again.append(candidate.header.device.hex())
        return judged(self, candidate, *more)

    monkeypatch.setattr(Judge, "rejudge", counted)
    theirs = [await _chain(south, who) for who in (CIA, BOB)]
    for operations in (*theirs, *[await _chain(north, who) for who in (BOB, CIA)]):
        for home in (south, north):
            await home.realm.ingest(operations, "the other")
    assert set(again) == {who.device.keys.id.hex() for who in (CIA, BOB)}, "a fork costs one chain"
    monkeypatch.undo()
    assert len(north.realm.judge.forks) == 2
    assert north.realm.digest() == south.realm.digest()
    seen = await north.realm.hashes()
    assert seen == await south.realm.hashes()
    for home in (north, south):
        await home.realm.fold_again()
        await home.realm.memory.load()
        assert seen == await home.realm.hashes(), "and is what folding all from nothing gives"


async def test_a_full_disk_is_said_so_and_forgotten_when_there_is_room(street: list[Home]) -> None:
    north, *_ = street
    write = north.realm.store.database.write
    ((pages,),) = await write.execute_fetchall("PRAGMA page_count")
    await write.execute_fetchall(f"PRAGMA max_page_count = {pages + 2}")

    async def go_on() -> None:
        for n in range(200):
            await says(north, BOB, f"{n} {'x' * 100}")

    with pytest.raises(Unusable, match="full"):
        await go_on()
    before = await north.realm.hashes()
    await north.realm.memory.load()
    north.realm._hashes.forget()
    assert before == await north.realm.hashes()
    await write.execute_fetchall("PRAGMA max_page_count = 1000000")
    await says(north, BOB, "bob has room again")
    assert not north.realm.judge.forks, "what found no room was not half written"
