"""Bytes that nobody should send, and more of them than anybody should: counted, never fatal."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rooms import Room, Rooms, bytes_of, ident, note, open_room, village
from tests.unit.tales import plain
from tests.unit.town import NOTE, NOTICE, Number, resign, secrets, town

from commons_crdt import canonical
from commons_crdt.author import Draft
from commons_crdt.ids import DocumentId
from commons_crdt.operation import Operation
from commons_node.realm.intake import Intake
from commons_node.store import waiting
from commons_node.verifier.pool import VerifierPool


async def told(rooms: Rooms) -> Room:
    home, _ = plain()
    return await rooms.open("a", home, *bytes_of(home))


async def test_garbage_is_counted_and_changes_nothing(rooms: Rooms) -> None:
    room = await told(rooms)
    before = await room.facts()
    rng = random.Random(1)
    home, _ = plain()
    count = 0
    for operation in bytes_of(home):
        flipped = bytearray(operation.header)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        for bad in (
            replace(operation, header=bytes(flipped)),
            replace(operation, header=rng.randbytes(rng.randrange(300))),
            replace(operation, header=operation.header + b"\x00"),
            replace(operation, header=b"\x9f" * 2000),
            replace(operation, header=canonical.encode([[[[[[]]]]]])),
        ):
            await room.take(bad, replace(bad, signature=b"", parts=(b"", None) * 9))
            count += 2
    assert await room.facts() == before, "nothing was stored"
    counted = room.realm.refusals.total() + sum(room.realm.store.waiting.counts.values())
    assert counted > 0.9 * count, "all but what only names an unknown past is counted"
    assert set(room.realm.refusals) <= {
        "encoding", "format", "version", "size", "realm", "signature", "stranger", "part",
    }  # fmt: skip


@given(st.lists(st.tuples(st.binary(max_size=80), st.binary(max_size=70), st.binary(max_size=40))))
@settings(max_examples=20, deadline=None)
def test_any_bytes_at_all(triples: list[tuple[bytes, bytes, bytes]]) -> None:
    import asyncio
    import tempfile

    async def take() -> None:
        with tempfile.TemporaryDirectory() as folder:
            home = town()
            room = await open_room(Path(folder) / "a.db", home.realm, VerifierPool(1), home.now_ms)
            result = await room.take(*(Operation(h, s, b, (b,)) for h, s, b in triples))
            assert sum(result.refused.values()) == len(triples)
            await room.close()

    asyncio.run(take())


async def test_bodies_and_signatures_that_are_not_the_authors(rooms: Rooms) -> None:
    home, town_ = plain()
    room = await told(rooms)
    mine = home.draw(town_.bob.device, Draft.fact(NOTE, Number(1), parts=[("text", b"hello")]))
    eve = town_.eve.device
    forgeries = {
        "signature": replace(mine, signature=bytes(64)),
        "body": replace(mine, body=(mine.body or b"") + b"!"),
        "part": replace(mine, parts=(bytes(37),)),
        "chain": resign(mine, eve, device=eve.keys.id),
        "lamport": resign(mine, town_.bob.device, lamport=99_999),
        "time": resign(mine, town_.bob.device, time_ms=1),
        "realm": resign(mine, town_.bob.device, realm=bytes(32)),
        "stranger": resign(mine, secrets("mallory"), device=secrets("mallory").keys.id),
    }
    for why, forgery in forgeries.items():
        result = await room.take(forgery)
        assert (result.new, dict(result.refused)) == (0, {why: 1}), f"refused as {why}"
    assert (await room.take(mine)).new == 1, "none of them kept the author's own out"
    assert (await room.take(mine)).known == 1, "a replay is known"
    assert set(room.realm.refusals) == set(forgeries)


async def test_an_oversize_body_is_not_kept_and_its_chain_goes_on(rooms: Rooms) -> None:
    home, town_ = village()
    big = home.write(town_.cia.device, Draft(NOTICE, b"\x81\x00" + b"x" * 5000))
    after = home.write(town_.cia.device, Draft.fact(NOTICE, Number(1)))
    room = await rooms.open("a", home, *bytes_of(home))
    facts = await room.facts()
    assert facts.verdicts[big.id] == (2, "oversize")
    assert facts.verdicts[after.id] == (1, "")
    (kept,) = [op for op in await room.everything() if ident(op) == big.id]
    assert kept.body is None, "its bytes are not stored and not relayed"
    other = await rooms.open("b", home, *await room.everything())
    assert await other.facts() == facts


async def test_a_node_that_keeps_an_oversize_body_is_noticed(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Intake, "_kept", lambda _intake, item, _standing: item.operation)
    with pytest.raises(AssertionError, match="not stored and not relayed"):
        await test_an_oversize_body_is_not_kept_and_its_chain_goes_on(rooms)


async def test_an_unknown_kind_is_stored_and_relayed_whole(rooms: Rooms) -> None:
    home, town_ = village()
    draft = Draft("town.dream.1", b"what a newer version says", parts=[("text", b"in part")])
    dream = home.write(town_.bob.device, draft)
    hollow = replace(home.operations[dream.id], body=None, parts=())
    room = await rooms.open("a", home, *bytes_of(home)[:-1], hollow)
    assert (await room.facts()).verdicts[dream.id] == (4, "unlisted")
    await room.take(home.operations[dream.id])
    assert home.operations[dream.id] in await room.everything(), "filled in, and told to others"


async def test_the_waiting_room_has_a_size(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_COUNT", 5)
    home, town_ = village()
    known = len(home.operations)
    for n in range(10):
        note(home, town_.bob, n)
    room = await rooms.open("a", home, *bytes_of(home)[:known])
    result = await room.take(*bytes_of(home)[known + 1 :])
    assert room.realm.store.waiting.counts == {"missing": 5}
    assert dict(result.refused) == {"limit": 4}, "the others are refused, and counted"
    await room.take(*bytes_of(home))
    facts = await room.facts()
    assert len(facts.verdicts) == len(home.operations), "and taken when they come in order"


async def test_the_waiting_room_has_a_weight(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_BYTES", 4000)
    home, town_ = village()
    known = len(home.operations)
    for n in range(10):
        note(home, town_.bob, n, "x" * 500)
    room = await rooms.open("a", home, *bytes_of(home)[:known])
    result = await room.take(*bytes_of(home)[known + 1 :])
    held = room.realm.store.waiting.counts["missing"]
    assert 0 < held < 9
    assert dict(result.refused) == {"limit": 9 - held}


async def test_ten_thousand_at_once(rooms: Rooms) -> None:
    """In one batch, in the wrong order; memory keeps a bounded part of them."""
    home, town_ = village()
    drafts = [Draft.fact(NOTE, Number(n)) for n in range(5000)]
    author = await rooms.open("author", home, *bytes_of(home))
    for who in (town_.alice, town_.cia):
        grant = author.realm.judge.authority.devices[who.device.keys.id].id
        await author.realm.write(drafts, who.device, grant)
    everything = await author.everything()
    room = await rooms.open("a", home)
    result = await room.take(*reversed(everything))
    assert (result.new, dict(result.refused)) == (len(everything), {})
    assert await room.facts() == await author.facts()
    assert len(everything) > 10_000


async def test_many_drafts_about_one_document_id_stay_apart(rooms: Rooms) -> None:
    """Facts may name any document; a name that nobody created is just a name."""
    home, town_ = village()
    home.write(
        town_.bob.device, Draft.fact("town.loan.1", Number(0), document=DocumentId(bytes([7] * 32)))
    )
    room = await rooms.open("a", home, *bytes_of(home))
    assert (await room.facts()).rows["loans"] == [(bytes([7] * 32), 0)]
