"""Every node folds what a seal settles by itself, and says so where the seal says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from tests.unit.council_of_three import (
    Three,
    honest_seal,
    in_force,
    look,
    put,
    settled_ids,
    three,
    verdicts,
)
from tests.unit.street import HOUR_MS, Home, open_realm
from tests.unit.town import erasure, person

from commons_crdt.authority.ballots import answer
from commons_crdt.ids import OperationId
from commons_crdt.operation import Operation, operation_id
from commons_node.certainty import standing_of_seals
from commons_node.community import Community
from commons_node.explaining.doubting import Doubt, doubt_of
from commons_node.notices import told_at_unlock
from commons_node.registry import Request
from commons_node.sealing.comparing import compared
from commons_node.sealing.keeper import table_of, write_step
from commons_node.verifier.pool import VerifierPool

EVE_FIRST = "eve bob alice"
LIE = bytes(range(32))


async def joiner(town: Three, folder: Path, name: str = "joiner") -> Home:
    """A node that has nothing yet; dan lives there."""
    realm = await open_realm(town.alice.realm.realm, folder / f"{name}.db", town.pool)
    home = Home(name, realm, {"dan": person("dan")}, town.alice.now)
    realm._now_ms = home.now_ms
    realm.notices.residents.add(person("dan").member)
    return home


async def doubt(home: Home) -> Doubt | None:
    return await doubt_of(Community(home.realm))


async def lie(town: Three) -> None:
    """Eve's program claims a state that never was, and bob's endorses without looking."""
    honest = await honest_seal(town.eve, "eve")
    await put(town.eve, "eve", msgspec.structs.replace(honest, state=LIE))
    await town.eve.tell(town.bob)
    table = table_of(town.bob.realm)
    assert table is not None
    ((act,),) = [table[0].acts[table[1]]]
    keys = person("bob").device.keys.id
    step = answer(*table, keys, table[0].book.entries[act].id)
    assert step is not None
    actor = await town.bob.actor(Request(town.bob, member="bob"), Community(town.bob.realm))
    await write_step(Community(town.bob.realm), actor, step)
    assert in_force(town.bob), "two of three: it is in force, whatever it claims"


async def test_who_joins_folds_what_is_sealed_and_only_then_calls_it_settled(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with three(tmp_path, pool) as town:
        await town.borrow()
        await look(town.alice)
        await town.meet()
        assert await look(town.bob) == "in_force"
        await town.alice.do("cia", "resource.add", name="Saw", number="8")
        new = await joiner(town, tmp_path)
        await town.bob.tell(new)
        assert len(in_force(new)) == 1
        assert await settled_ids(new), "its verdicts are final by the rules"
        rows = await new.rows("resource.list", "resources")
        assert not any(row["settled"] for row in rows), "nobody has looked at the hash yet"
        assert (await compared(new.realm)).state == "unknown"
        assert await new.compare() == "equal"
        (row,) = await new.rows("resource.list", "resources")
        assert row["settled"] is True
        assert all(one["settled"] for one in await new.rows("member.list", "members"))
        await town.alice.tell(new)
        rows = await new.rows("resource.list", "resources")
        assert {one["number"]: one["settled"] for one in rows} == {"7": True, "8": False}
        said = await standing_of_seals(Community(new.realm))
        assert (said["compared"], said["doubt"]) == ("equal", None)
        await town.restart(new)
        assert (await compared(new.realm)).state == "equal", "it is done once for each seal"
        await new.realm.close()


async def test_a_seal_whose_hash_lies_raises_an_alarm_and_settles_no_view(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with three(tmp_path, pool, order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        await lie(town)
        new = await joiner(town, tmp_path)
        await town.bob.tell(new, town.alice)
        before = await new.comparing.news(new.realm, new.now)
        assert before is not None
        assert before.state == "differs", "the daemon publishes it as an event"
        assert await new.comparing.news(new.realm, new.now) is None, "once"
        found = await doubt(new)
        assert found is not None
        assert found.code == "seal_differs"
        assert "bob and eve" in found.sentence, "those whose keys signed it are named"
        assert "commons-node community propose seal" in found.next_action
        assert all(not row["settled"] for row in await new.rows("resource.list", "resources"))
        assert all(not row["settled"] for row in await new.rows("member.list", "members"))
        shown: Any = (await standing_of_seals(Community(new.realm)))["doubt"]
        assert shown["code"] == "seal_differs"
        told = await told_at_unlock(Community(new.realm), person("dan").member, 0)
        assert told[1] is not None
        assert "A seal of the council does not fit" in told[1], "dan hears it when unlocking"
        await town.restart(new)
        again = await doubt(new)
        assert again is not None, "a start does not make it good"
        assert await new.compare() == "differs"

        await town.meet()
        for home in town.all:
            assert await home.compare() == "differs", "not at joiners alone"
        await town.alice.do("cia", "resource.add", name="Saw", number="8")
        await town.meet()
        for name, home in (("eve", town.eve), ("bob", town.bob)):
            if name == "eve":
                await put(home, name, await honest_seal(home, name))
            else:
                assert await look(home) == "in_force"
            await town.meet()
        await town.bob.tell(new)
        assert await new.compare() == "equal"
        assert await doubt(new) is None, "the next right seal ends it"
        assert all(row["settled"] for row in await new.rows("resource.list", "resources"))
        await new.realm.close()


async def test_a_tip_that_does_not_come_is_named_and_waited_for(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with three(tmp_path, pool) as town:
        await town.borrow()
        await look(town.alice)
        await town.meet()
        assert await look(town.bob) == "in_force"
        cia = person("cia").device.keys.id
        whole = await town.bob.operations()
        top = town.bob.realm.memory.top(cia, 1)
        assert top is not None
        new = await joiner(town, tmp_path)
        await new.realm.ingest([one for one in whole if not _is(one, top.id)], "bob withholds")
        assert await new.compare() == "unsealed", "what is not whole is not compared"
        found = await doubt(new)
        assert found is not None
        assert found.code == "seal_withheld"
        (tip,) = found.awaited
        assert (tip.tip.device, tip.tip.seq, tip.tip.id) == (cia, top.seq, top.id)
        assert tip.member in found.sentence
        assert tip.member == person("cia").member.hex()[:8], "her name is in log 1, which waits"
        await new.realm.ingest([one for one in whole if _is(one, top.id)], "alice")
        assert await new.compare() == "equal"
        assert await doubt(new) is None
        await new.realm.close()


async def test_what_a_fallen_erasure_took_waits_for_its_bytes_and_is_as_it_was_settled(
    tmp_path: Path, pool: VerifierPool
) -> None:
    """Alice's node erases dan's name, dan is removed, and with him falls his erasure."""
    async with three(tmp_path, pool) as town:
        alice, bob = town.alice, town.bob
        await town.borrow()
        await look(alice)
        await town.meet()
        assert await look(bob) == "in_force"
        await town.meet()
        rows = await Community(alice.realm).query(
            "SELECT operation FROM v_profiles WHERE key = ?", (person("dan").member,)
        )
        name = OperationId(rows[0][0])
        target = await alice.realm.standing(name)
        assert target is not None
        assert alice.realm.judge.settled(target)
        erasing = (await town.write_as(alice, "dan", erasure(target))).id
        assert (await verdicts(alice))[name] == (1, ""), "erased, by its header alone"
        await town.remove("dan")
        assert (await verdicts(alice))[erasing][1] == "cut", "it was not settled, and falls"
        assert (await verdicts(alice))[name] == (0, "contents"), "its bytes are gone here"
        new = await joiner(town, tmp_path)
        await alice.tell(new)
        assert await new.compare() == "hollow", "who has it from alice cannot fold the seal"
        found = await doubt(new)
        assert found is not None
        assert found.code == "seal_contents"
        assert all(not row["settled"] for row in await new.rows("member.list", "members"))
        await alice.tell(bob)
        assert (await verdicts(bob))[name] == (1, ""), "bob never dropped them"
        await bob.tell(alice, new)
        for home in (alice, bob, new):
            assert (await verdicts(home))[name] == (1, ""), "it is as it was settled"
        assert await alice.realm.hashes() == await bob.realm.hashes() == await new.realm.hashes()
        new.now += 2 * HOUR_MS
        assert await new.compare() == "equal", "and is tried again"
        await new.realm.close()


def _is(operation: Operation, ident: bytes) -> bool:
    return operation_id(operation.header) == ident
