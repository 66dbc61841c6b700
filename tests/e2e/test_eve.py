"""A member whose node runs other software: what she signs and sends is refused, and counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest
from tests.e2e.eve import Eve, Talk, gone_bad, now_ms
from tests.e2e.neighbourhood import QUICK, SEEN, House, Street, agree, alive, street, until
from tests.unit.town import resign

from commons_crdt import canonical
from commons_crdt.author import Draft
from commons_crdt.authority.facts import NodeGrant
from commons_crdt.authority.kinds import NODE
from commons_crdt.device import DeviceKeys, sign_claim
from commons_crdt.ids import DocumentId
from commons_crdt.operation import (
    MAX_HEADER,
    Operation,
    decode_header,
    encode_header,
    operation_id,
    sign,
)
from commons_node.domains.lending.facts import REQUEST, Request
from commons_protocol import carriage, wire
from commons_protocol.network import MAX_FRAME

DAY_MS = 86_400_000
CSV = "number,name\n" + "".join(f"{n},Thing {n}\n" for n in range(1, 20))


@pytest.fixture(scope="module")
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture(scope="module")
def neighbours(
    elm_street: Street, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[House, House, Eve]]:
    """Alice and Bob, and Eve, a steward who has replaced her node by this program."""
    things = tmp_path_factory.mktemp("csv") / "things.csv"
    things.write_text(CSV)
    alice, bob, eve = elm_street.community(
        "alice", "bob", "eve", roles={"eve": "steward"}, config=QUICK + SEEN
    )
    alice.acts("resource", "import", str(things))
    agree(alice, bob, eve)
    with gone_bad(eve) as bad:
        yield alice, bob, bad


def request(alice: House, number: int = 1) -> Draft:
    """An honest request for a thing."""
    thing = bytes.fromhex(alice.see("resource.show", resource=str(number))["resource"])
    now = now_ms()
    return Draft.fact(REQUEST, Request(thing, now, now + DAY_MS, "Europe/Stockholm"))


def assert_healthy(alice: House, bob: House) -> None:
    """An ordinary step works, and honest nodes agree."""
    assert alive(alice.process.pid), "the node runs"
    loan = bob.do("loan.request", resource="7", days=1)["loan"]
    until(
        lambda: loan in {one["loan"] for one in alice.see("loan.list")["loans"]},
        "a request arrives at the other node",
    )
    bob.do("loan.cancel", loan=loan)
    agree(alice, bob)


def assert_refused(house: House, talk: Talk, code: str, operation: Operation, what: str) -> None:
    """What Eve sends is refused with this code, which is counted, and is not stored."""
    before = house.refusal(code)
    ident = operation_id(operation.header).hex()
    known = ident in house.verdicts()
    talk.push(operation)
    until(
        lambda: house.refusal(code) > before,
        f"{what} is refused as {code}, and counted: {house.refusals()}",
        15,
    )
    assert (ident in house.verdicts()) is known, f"{what}: it is not stored"


# -- forged and broken operations ------------------------------------------------------------------


def test_forged_operations_are_refused_by_everybody(
    neighbours: tuple[House, House, Eve],
) -> None:
    alice, bob, eve = neighbours
    (mine,) = eve.draw(request(alice))
    his = bob.do("loan.request", resource="2", days=1)["operation"]
    eve.talk(alice)
    until(lambda: bytes.fromhex(his) in _stored(eve), "Eve's node is told of Bob's request")
    bobs = _stored(eve)[bytes.fromhex(his)]
    header = decode_header(mine.header)

    def edited(operation: Operation, **changes: object) -> Operation:
        """Another header under the old signature."""
        new = msgspec.structs.replace(decode_header(operation.header), **changes)
        return replace(operation, header=encode_header(new))

    def by_eve(**changes: object) -> Operation:
        """A header of Eve's own, well signed."""
        return resign(mine, eve.secrets, **changes)

    flipped = bytes([mine.signature[0] ^ 1]) + mine.signature[1:]
    other = os.urandom(32)
    raw = canonical.decode(mine.header, MAX_HEADER)
    assert isinstance(raw, list)
    longer = canonical.encode([*raw, 0])
    newer = canonical.encode([2, *raw[1:]])
    sloppy = mine.header.replace(bytes([raw[3]]), b"\x18" + bytes([raw[3]]), 1)
    cases: list[tuple[str, str, Operation]] = [
        ("signature", "a wrong signature", replace(mine, signature=flipped)),
        ("signature", "no signature", replace(mine, signature=bytes(64))),
        ("signature", "Bob's request under another document", edited(bobs, document=other)),
        ("signature", "Bob's request at another time", edited(bobs, time_ms=now_ms() + 1)),
        ("signature", "Bob's request signed by Eve", resign(bobs, eve.secrets, document=other)),
        ("realm", "an operation of another realm", by_eve(realm=other)),
        ("realm", "Bob's request in another realm", edited(bobs, realm=other)),
        ("stranger", "a device that nobody granted", by_eve(device=other)),
        ("chain", "a link into somebody else's chain", by_eve(prev=bytes.fromhex(his))),
        ("chain", "a gap in the sequence", by_eve(seq=header.seq + 3)),
        ("lamport", "a counter that is too high", by_eve(lamport=header.lamport + 1000)),
        ("time", "a time before the one before", by_eve(time_ms=1)),
        ("authority", "an authority that is in the past", by_eve(authority=(bobs_grant(eve),))),
        ("budget", "more than any budget allows", replace(by_eve(body_length=2**50), body=None)),
        ("body", "another body than the one that was signed", replace(mine, body=os.urandom(80))),
        ("part", "a part that nobody announced", replace(mine, parts=(os.urandom(40),))),
        ("version", "a version that is not known", _signed(newer, mine, eve)),
        ("format", "a position too many", _signed(longer, mine, eve)),
        ("encoding", "a second encoding of the same", _signed(sloppy, mine, eve)),
        ("encoding", "noise for a header", _signed(b"\xff" + os.urandom(199), mine, eve)),
    ]  # fmt: skip
    for house in (alice, bob):
        talk = eve.talk(house)
        for code, what, operation in cases:
            assert operation.header != mine.header or operation != mine, f"{what} is a forgery"
            assert_refused(house, talk, code, operation, what)
    eve.talk(alice).push(mine)
    ident = operation_id(mine.header).hex()
    for house in (alice, bob):
        until(
            lambda house=house: house.verdicts().get(ident) == 1,  # type: ignore[misc]  # binds it
            "the honest one, sent afterwards, is accepted",
        )
    eve.keep(mine)
    assert_healthy(alice, bob)


def _signed(header: bytes, like: Operation, eve: Eve) -> Operation:
    return replace(like, header=header, signature=sign(header, eve.secrets.signing))


def _stored(eve: Eve) -> dict[bytes, Operation]:
    rows = eve.elsewhere.run(eve.realm.store.everything("1"))
    return {bytes(standing.id): operation for standing, operation in rows}


def bobs_grant(eve: Eve) -> bytes:
    """A log-0 operation that every operation of Eve's has in its past already: the genesis."""
    return bytes(eve.realm.realm)


def test_keys_of_small_order_are_granted_to_nobody(
    neighbours: tuple[House, House, Eve],
) -> None:
    """Eve grants a node whose keys let anybody sign, or to whom nothing can be sealed."""
    alice, bob, eve = neighbours
    member = bytes.fromhex(eve.house.member)
    signing = os.urandom(32)
    usual = eve.secrets.keys
    bad = [
        (DeviceKeys(1, b"\x01" + bytes(31), usual.sealing), bytes(64), "consent"),
        (DeviceKeys(1, bytes(32), usual.sealing), bytes(64), "consent"),
        (_keys(signing, bytes(32)), None, "keys"),
        (_keys(signing, b"\x01" + bytes(31)), None, "keys"),
    ]
    talk = eve.talk(alice)
    for keys, signature, reason in bad:
        consent = signature or sign_claim("consent", signing, eve.realm.realm, member)
        body = NodeGrant(keys, consent, ())
        (grant,) = eve.draw(Draft.fact(NODE, body, log=0, document=DocumentId(member)))
        talk.push(grant)
        ident = operation_id(grant.header).hex()
        until(lambda ident=ident: ident in alice.verdicts(), "the grant is judged")  # type: ignore[misc]  # binds it
        told = alice.see("explain", operation=ident)
        assert (told["verdict"], told["reason"]) == ("rejected", reason), told
        assert told["sentence"], "and the reason is told in words"
        eve.keep(grant)
        (note,) = eve.draw(request(alice))
        as_granted = resign(note, eve.secrets, device=keys.id, seq=1, prev=bytes.fromhex(ident))
        forged = replace(as_granted, signature=bytes(64))
        assert_refused(alice, talk, "signature", forged, "a signature of nobody")
    assert_healthy(alice, bob)


def _keys(signing_seed: bytes, sealing: bytes) -> DeviceKeys:
    from nacl.signing import SigningKey

    return DeviceKeys(1, bytes(SigningKey(signing_seed).verify_key), sealing)


def test_an_operation_from_the_future_is_kept_aside(neighbours: tuple[House, House, Eve]) -> None:
    alice, bob, eve = neighbours
    (late,) = eve.draw(request(alice, 3), at_ms=now_ms() + 3 * DAY_MS)
    accepted = alice.operations()["accepted"]
    talk = eve.talk(alice)
    talk.push(late)
    until(
        lambda: {"waiting": "clock", "operations": 1} in alice.see("community.hash")["missing"],
        f"three days ahead of the clock it waits: {alice.see('community.hash')['missing']}",
    )
    assert alice.operations()["accepted"] == accepted, "and counts for nothing"
    assert operation_id(late.header).hex() not in alice.verdicts(), "nor is it passed on"
    assert_healthy(alice, bob)


def test_an_unknown_kind_is_stored_and_counts_for_nothing(
    neighbours: tuple[House, House, Eve],
) -> None:
    alice, bob, eve = neighbours
    state = alice.hashes()[1]
    (strange,) = eve.draw(Draft("lending.teleport.1", b"\x80"))
    ident = operation_id(strange.header).hex()
    talk = eve.talk(alice)
    talk.push(strange)
    until(lambda: ident in alice.verdicts(), "it is stored for those who will know it")
    until(lambda: ident in bob.verdicts(), "and passed on")
    for house in (alice, bob):
        told = house.see("explain", operation=ident)
        assert (told["verdict"], told["reason"]) == ("unknown", "unlisted")
    assert alice.hashes()[1] == state, "it changes nothing that anybody sees"
    eve.keep(strange)
    assert_healthy(alice, bob)


# -- messages that break the protocol --------------------------------------------------------------


def test_a_proven_member_who_breaks_the_protocol_is_shown_out(
    neighbours: tuple[House, House, Eve],
) -> None:
    alice, bob, eve = neighbours
    (mine,) = eve.draw(request(alice, 4))
    empty = Operation(b"", mine.signature, None)

    def breaks(talk: Talk) -> list[tuple[str, bytes, str]]:
        slot = talk.slot
        return [
            ("encoding", b"\xff" + os.urandom(49), "noise"),
            ("encoding", b"\x81" * 5000 + b"\x00", "a deep message"),
            ("encoding", b"\x9b" + b"\xff" * 8, "a list of 2^64 entries"),
            ("encoding", b"\xc1\x1a" + bytes(4), "a tagged value"),
            ("message", carriage.pack_push(slot, [empty]), "an operation without a header"),
            ("message", b"\x83\x12\x19\xff\xff\x80", "a slot that does not exist"),
            ("order", wire.pack(wire.Hello(1, bytes(32))), "a second greeting"),
            ("order", wire.pack(wire.Served((slot + 1) % 16)), "a realm that was not proven"),
            ("order", wire.pack(wire.Done(slot)), "the end of a round that never began"),
            ("unasked", wire.pack(wire.Operations(slot, (_packed(mine),))), "unasked operations"),
            ("credit", wire.pack(wire.Credit(slot, 64)), "credit without end"),
        ]

    for n in range(len(breaks(eve.talk(alice)))):
        talk = eve.talk(alice)
        code, frame, what = breaks(talk)[n]
        assert len(frame) <= MAX_FRAME
        before, present = alice.refusal(code), talk.conversation
        talk.say(*[frame] * (8 if code == "credit" else 1))
        assert talk.ended(present), f"{what} ends the conversation"
        until(
            lambda code=code, before=before: alice.refusal(code) > before,  # type: ignore[misc]  # binds both
            f"{what} is counted as {code}: {alice.refusals()}",
        )
    assert_healthy(alice, bob)


def _packed(operation: Operation) -> carriage.WireOperation:
    return operation.header, operation.signature, operation.body, operation.parts


def test_a_flood_of_pushes_is_shed(neighbours: tuple[House, House, Eve]) -> None:
    alice, bob, eve = neighbours
    (mine,) = eve.draw(request(alice, 5))
    junk = [replace(mine, signature=os.urandom(64)) for _ in range(30)]
    before = alice.refusal("push_flood")
    talk = eve.talk(alice)
    frame = carriage.pack_push(talk.slot, junk)
    talk.say(*[frame] * 60)
    until(lambda: alice.refusal("push_flood") > before, "too many at once are not looked at")
    assert_healthy(alice, bob)


# -- the fork that she can always make -------------------------------------------------------------


def test_a_fork_freezes_her_chain_and_nobody_elses(neighbours: tuple[House, House, Eve]) -> None:
    """Last, since Eve's chain ends with it: two operations at one place, one to each node."""
    alice, bob, eve = neighbours
    (one,) = eve.draw(request(alice, 5))
    (two,) = eve.draw(request(alice, 6))
    assert decode_header(one.header).seq == decode_header(two.header).seq
    eve.talk(alice).push(one)
    eve.talk(bob).push(two)
    ids = [operation_id(o.header).hex() for o in (one, two)]
    for house in (alice, bob):
        until(
            lambda house=house: set(ids) <= set(house.verdicts()),  # type: ignore[misc]  # binds it
            f"{house.name} gets to know both branches",
            40,
        )
        until(
            lambda house=house: (
                [house.see("explain", operation=i)["reason"] for i in ids]  # type: ignore[misc]  # binds it
                == ["fork", "fork"]
            ),
            "neither stands",
        )
    agree(alice, bob)
    assert alice.operations()["contested"] == 2
    assert_healthy(alice, bob)
