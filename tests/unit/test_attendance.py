"""Attendance tokens before the judge, and private entries in a realm of one member."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.street import homes, open_realm
from tests.unit.town import START_MS, Person, Replica, identity, person, replica, secrets

from commons_crdt.author import Draft, found
from commons_crdt.authority.facts import Genesis
from commons_crdt.document.write import create
from commons_crdt.errors import Refused
from commons_crdt.folds import Fact, Subject
from commons_crdt.ids import DeviceId, DocumentId, MemberId, OperationId, RealmId, digest
from commons_crdt.ring import sign_ring
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.attendance.attending import forget_old
from commons_node.attendance.rings import ring_with
from commons_node.domains import RULES
from commons_node.domains.needed import OlderRules
from commons_node.domains.own.entries import (
    Blank,
    CheckedIn,
    Content,
    Left,
    Regained,
    Shown,
    open_entry,
    seal_entry,
)
from commons_node.domains.own.facts import SEALED
from commons_node.domains.spaces.checking_in import EarlyCode, OldCode, check_code
from commons_node.domains.spaces.facts import ATTENDANCE, SPACE, SPACE_SCHEMA, Attendance
from commons_node.domains.spaces.finding import Space
from commons_node.domains.spaces.mine import mine
from commons_node.domains.spaces.publishing import (
    LargeCircle,
    Said,
    decode_said,
    encode_open,
    encode_sealed,
)
from commons_node.domains.spaces.views import attendance_key, attendance_row
from commons_node.own.realms import DAY_MS, OwnRealm
from commons_node.verifier.pool import VerifierPool
from commons_protocol.attendance import message_of, scope_of
from commons_protocol.venue import (
    DAY_SLOTS,
    SLOT_MS,
    decode_venue_code,
    make_code,
    starts_ms,
)

SLOT = 5_944_100
NODE = secrets("alice's node")


def village() -> tuple[Replica, list[Person], DocumentId]:
    """Alice, four others, and a space."""
    alice = person("alice")
    body = Genesis(identity(alice.device), RULES.version, ())
    realm, genesis = found(body, alice.device, START_MS, lambda: digest("t-salt", b"cafe"))
    town = replica(realm, "cafe", [genesis], RULES)
    town.grant_node(alice, NODE)
    people = [alice, *(town.welcome(name, Role.MEMBER) for name in ("bob", "cia", "dan", "fay"))]
    described = create(alice.device.keys.id, {"name": "Café"}, SPACE_SCHEMA)
    space = town.write(alice.device, Draft(SPACE, described))
    return town, people, DocumentId(space.id)


def token(
    town: Replica,
    space: DocumentId,
    ring: Sequence[bytes],
    who: Person,
    slot: int = SLOT,
    said: int | None = None,
) -> Draft:
    message = message_of(town.realm, space, slot)
    signature = sign_ring(
        message, scope_of(town.realm, space, slot), ring, who.device.signing, os.urandom
    )
    body = Attendance(slot if said is None else said, tuple(ring), signature)
    return Draft.fact(ATTENDANCE, body, document=space, refs=[OperationId(space)])


def keys(people: Sequence[Person]) -> tuple[bytes, ...]:
    return tuple(sorted(one.device.keys.signing for one in people))


def test_a_token_is_one_members_and_counts_once() -> None:
    town, people, space = village()
    ring = keys(people)
    first = town.write(NODE, token(town, space, ring, people[1]))
    assert first.judgement.verdict is Verdict.ACCEPTED, "any member of the ring may have come"
    eve = person("eve")
    wrong = {
        "somebody who is no member": token(town, space, keys([*people[:4], eve]), eve),
        "a ring out of order": token(town, space, ring[::-1], people[1]),
        "another slot than was signed": token(town, space, ring, people[1], said=SLOT + 1),
        "a node's key": token(
            town, space, tuple(sorted([*keys(people[:4]), NODE.keys.signing])), people[1]
        ),
    }
    for what, draft in wrong.items():
        judged = town.write(NODE, draft).judgement
        assert (judged.verdict, judged.reason) == (Verdict.REJECTED, "terms"), what
    own = town.write(people[1].device, token(town, space, ring, people[1]))
    assert own.judgement.reason == "role", "members write none: nobody's chain says who came"


def fact(slot: int, draft: Draft, seq: int) -> Fact:
    from commons_crdt.kinds import decode_fact

    body = decode_fact(Attendance, draft.content, 8192)
    return Fact(
        OperationId(digest("t-fact", bytes([seq]))), ATTENDANCE, MemberId(bytes(32)), Role.MEMBER,
        DeviceId(NODE.keys.id), 1, seq, seq, slot, draft.document or DocumentId(bytes(32)), body,
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=6))
@settings(max_examples=10, deadline=None)
def test_a_day_counts_each_person_once_however_often_they_come(
    visits: list[tuple[int, int]],
) -> None:
    town, people, space = village()
    ring, start = keys(people), SLOT // DAY_SLOTS * DAY_SLOTS
    facts = [
        fact(start + later, token(town, space, ring, people[who], start + later), seq)
        for seq, (who, later) in enumerate(visits)
    ]
    rows: dict[bytes, list[Fact]] = {}
    for one in facts:
        (key,) = attendance_key(one)
        rows.setdefault(key, []).append(one)
    assert len(rows) == len({who for who, _ in visits}), "as many rows as people"
    latest = {who: max(n for other, n in visits if other == who) for who, _ in visits}
    slots = [attendance_row(Subject(key, of)) for key, of in rows.items()]
    assert sorted(row[3] for row in slots if row) == sorted(start + n for n in latest.values())  # type: ignore[type-var]  # slots are numbers
    next_day = token(town, space, ring, people[0], start + DAY_SLOTS)
    (other,) = attendance_key(fact(0, next_day, 99))
    assert other not in rows, "another day's visit is nobody that was seen before"


def test_large_communities_hide_in_even_shares() -> None:
    everybody = {MemberId(digest("t-m", bytes([n]))): digest("t-k", bytes([n])) for n in range(150)}
    scope = digest("t-scope")
    rings = {ring_with(key, everybody, scope) for key in everybody.values()}
    assert sorted(map(len, rings)) == [50, 50, 50], "150 people hide among 50 each"
    assert len({key for ring in rings for key in ring}) == 150, "and everybody is in just one"
    assert ring_with(b"x" * 32, everybody, scope) == (), "but a stranger"


def test_a_code_is_of_one_space_slot_and_node() -> None:
    town, _, space = village()
    code = decode_venue_code(make_code(town.realm, space, SLOT, NODE.signing))
    other = DocumentId(space[:4] + bytes(28))
    assert code.fits(town.realm, space, NODE.keys.signing)
    assert not code.fits(town.realm, other, NODE.keys.signing), "not even with the same beginning"
    assert not code.fits(town.realm, space, secrets("eve's node").keys.signing)


async def test_a_community_of_older_rules_is_told_how_it_gets_spaces(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        with pytest.raises(OlderRules) as caught:
            await north.do("alice", "space.create", name="Café", host="no")
    assert "--version 3" in caught.value.way_out


# --- what is private -----------------------------------------------------------------------------

KEY = digest("t-own")
ENTRIES: list[Content] = [
    CheckedIn(digest("t-in"), digest("t-realm"), digest("t-space"), SLOT, bytes(64), 0, 2**50),
    Left(digest("t-in"), 5),
    Shown(digest("t-in"), digest("t-op"), 6, tuple(digest("t-m", bytes([n])) for n in range(16))),
    Blank(7),
    Regained(digest("t-in"), 8),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_all_entries_look_alike_and_open_with_their_key_alone(entry: Content) -> None:
    sealed = seal_entry(entry, KEY, os.urandom)
    assert len(sealed) == SEALED, "a blank one is as long as any other"
    assert open_entry(sealed, KEY) == entry
    with pytest.raises(Refused):
        open_entry(sealed, digest("t-other"))


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def test_after_two_weeks_entries_are_gone_from_the_disk(
    tmp_path: Path, pool: VerifierPool
) -> None:
    alice = person("alice")
    body = Genesis(identity(alice.device), RULES.version, ())
    realm_id, genesis = found(body, alice.device, START_MS, lambda: bytes(32))
    realm = await open_realm(realm_id, tmp_path / "own.db", pool)
    clock = [START_MS + DAY_MS]
    realm._now_ms = lambda: clock[0]
    try:
        await realm.ingest([genesis], "join")

        async def at_once() -> None:
            return None

        own = OwnRealm(realm, alice.device, KEY, at_once)
        came, town = clock[0], digest("t-realm")
        entry = CheckedIn(
            digest("t-in"), town, digest("t-space"), SLOT, bytes(64), came, came + 3_600_000
        )
        await own.write(entry, Left(entry.id, came + 60_000), Blank(came))
        (one,) = await mine(own, RealmId(town))
        assert one.state(came) == "left"
        assert one.ends_ms == came + 60_000
        (sealed,) = (
            body
            for (body,) in await realm.store.database.read.execute_fetchall(
                "SELECT body FROM operations WHERE kind = 'own.entry.1' ORDER BY n LIMIT 1"
            )
        )
        clock[0] += 13 * DAY_MS
        await forget_old(own, clock[0])
        assert len(await own.entries()) == 3, "for two weeks they are kept"
        clock[0] += 2 * DAY_MS
        await forget_old(own, clock[0])
        assert await own.entries() == [], "then nothing says that there was anything"
        assert sealed[-64:] not in everything(tmp_path), "nor do the sealed bytes stay in any file"
    finally:
        await realm.close()


def test_a_check_in_ends_by_itself() -> None:
    from commons_node.domains.spaces.mine import Mine

    entry = CheckedIn(digest("t-in"), digest("t-r"), digest("t-s"), SLOT, bytes(64), 1000, 2000)
    one = Mine(entry, OperationId(digest("t-op")), None, ())
    assert [one.state(now) for now in (1000, 1999, 2000)] == ["here", "here", "expired"]


def test_a_circle_reads_what_others_cannot() -> None:
    bob, cia, eve = person("bob"), person("cia"), person("eve")
    said = Said(digest("t-space"), 1, 2)
    readers = [bob.device.keys.sealing, cia.device.keys.sealing]
    part = encode_sealed(said, readers)
    assert decode_said(part, bob.device) == decode_said(part, cia.device) == said
    assert decode_said(part, eve.device) is None
    assert len(part) == len(encode_sealed(said, readers[:1])), "nor how many may read it"
    assert decode_said(encode_open(said), None) == said
    with pytest.raises(LargeCircle):
        encode_sealed(said, readers * 9)


@given(st.integers(0, 2**24 - 10), st.integers(-4, 4), st.integers(0, SLOT_MS - 1))
@settings(max_examples=60, deadline=None)
def test_clocks_may_differ_by_a_slot_and_no_more(slot: int, ahead: int, within: int) -> None:
    keys = NODE.keys
    realm = RealmId(digest("t-realm"))
    space = Space(
        DocumentId(digest("t-space")),
        {**dict.fromkeys(SPACE_SCHEMA.fields), "name": "Café", "node": keys.id.hex()},
    )
    community = SimpleNamespace(realm=SimpleNamespace(realm=realm, node_keys=lambda _id: keys))
    made = max(0, slot + ahead)
    text = make_code(realm, space.id, made, NODE.signing)
    now = starts_ms(slot) + within
    try:
        taken = check_code(community, space, text, now)  # type: ignore[arg-type]  # as much as it asks
    except OldCode:
        assert made < slot - 1
    except EarlyCode:
        assert made > slot + 1
    else:
        assert taken[0] == made
        assert abs(made - slot) <= 1, "the code of before, of now or of the next minutes"
