"""A member's crafted Automerge changes, validly signed: refused alike everywhere, nothing breaks.

The cases are those of the measured traps of the library (`tests/unit/test_document_traps.py`):
some would kill the process that applies them, some would save what never loads again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from tests.e2e.eve import Eve, gone_bad
from tests.e2e.neighbourhood import House, agree, alive, street, until
from tests.unit.test_document_bytes import (
    COUNTER,
    INTEGER,
    MAKE_TEXT,
    TEXT,
    TIMESTAMP,
    Craft,
    Write,
    altered,
    body_of,
    chunk,
    sleb,
)

from commons_crdt.author import Draft
from commons_crdt.document.change import MalformedChange, parse_change
from commons_crdt.document.write import create, edit
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.operation import operation_id
from commons_node.domains.resources.facts import ITEM, ITEM_SCHEMA

History = Sequence[bytes]


def honest(history: History, eve: bytes, **fields: object) -> bytes:
    """The change that our own software would write."""
    change, _ = edit(history, eve, fields or {"notice": "mine"}, ITEM_SCHEMA)  # type: ignore[arg-type]  # values
    assert change is not None
    return change


def last(history: History) -> bytes:
    return parse_change(history[-1]).hash


def made(history: History, eve: bytes, start_op: int, *writes: Write) -> bytes:
    return Craft(eve, 1, start_op, (last(history),), writes).pack()


def deflated(history: History, eve: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    small = packer.compress(body_of(honest(history, eve))) + packer.flush()
    return chunk(small, 2)


def bomb(_history: History, _eve: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return chunk(packer.compress(bytes(12_000_000)) + packer.flush(), 2)


def unseen(history: History, eve: bytes) -> bytes:
    """It overwrites a write that it does not depend on."""
    nobody = bytes(range(32))
    write = Write("notice", TEXT, b"x", ((parse_change(history[-1]).start_op, nobody),))
    return made(history, eve, _next(history), write)


def _next(history: History) -> int:
    return Craft.of(history[-1]).start_op + len(Craft.of(history[-1]).writes)


def waiting(history: History, eve: bytes) -> bytes:
    first = honest(history, eve, notice="one")
    return honest([*history, first], eve, notice="two")


CASES: dict[str, Callable[[History, bytes], bytes]] = {
    "a start_op at the end of the counter": lambda h, e: made(
        h, e, 2**32 - 1, Write("notice", TEXT, b"boom")
    ),
    "a start_op that is too low": lambda h, e: altered(honest(h, e), start_op=1),
    "a start_op that is too high": lambda h, e: altered(honest(h, e), start_op=2**30),
    "a wrong checksum": lambda h, e: honest(h, e)[:-1] + b"\xff",
    "a chunk that is cut off": lambda h, e: honest(h, e)[:-9],
    "two chunks in one": lambda h, e: honest(h, e) * 2,
    "a whole document": lambda h, e: chunk(body_of(honest(h, e)), 0),
    "an unknown chunk": lambda h, e: chunk(body_of(honest(h, e)), 9),
    "a deflated chunk": deflated,
    "a deflate bomb": bomb,
    "noise": lambda _h, _e: bytes(range(256)),
    "nothing": lambda _h, _e: b"",
    "a counter": lambda h, e: altered(honest(h, e), writes=(Write("notice", COUNTER, sleb(1)),)),
    "a time beyond the year 9999": lambda h, e: altered(
        honest(h, e), writes=(Write("notice", TIMESTAMP, sleb(2**60)),)
    ),
    "a number where text belongs": lambda h, e: altered(
        honest(h, e), writes=(Write("notice", INTEGER, sleb(5)),)
    ),
    "a nested object": lambda h, e: altered(
        honest(h, e), writes=(replace(Write("notice", TEXT, b""), action=MAKE_TEXT),)
    ),
    "a field that no thing has": lambda h, e: altered(
        honest(h, e), writes=(Write("owner", TEXT, b"eve"),)
    ),
    "a thousand writes of one field": lambda h, e: altered(
        honest(h, e), writes=tuple(Write("notice", TEXT, b"x") for _ in range(1000))
    ),
    "somebody else's actor": lambda h, e: altered(honest(h, e), actor=bytes(range(32))),
    "a sequence with a gap": lambda h, e: altered(honest(h, e), seq=7),
    "a dependency that is nowhere": lambda h, e: altered(honest(h, e), deps=(bytes(32),)),
    "a dependency that it keeps back": waiting,
    "more dependencies than allowed": lambda h, e: altered(
        honest(h, e), deps=tuple(bytes([n]) * 32 for n in range(40))
    ),
    "a write over what its author never saw": unseen,
    "a second creation": lambda _h, e: create(e, {"specification": "00" * 32}, ITEM_SCHEMA),
    "a long message": lambda h, e: altered(honest(h, e), message=b"m" * 5000),
    "a number in two forms": lambda h, e: _padded(honest(h, e)),
    "more than a thing may hold": lambda h, e: made(
        h, e, _next(h), Write("notice", TEXT, b"x" * 60_000)
    ),
}


def _padded(change: bytes) -> bytes:
    body = body_of(change)
    assert body[0] == 1, "one dependency, as a number in one byte"
    return chunk(bytes([0x81, 0x00]) + body[1:])


CSV = "number,name\n" + "".join(f"{n},Thing {n}\n" for n in range(1, len(CASES) + 3))


@pytest.fixture(scope="module")
def neighbours(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[House, House, Eve]]:
    things = tmp_path_factory.mktemp("csv") / "things.csv"
    things.write_text(CSV)
    with street() as elm_street:
        alice, bob, eve = elm_street.community("alice", "bob", "eve", roles={"eve": "steward"})
        alice.acts("resource", "import", str(things))
        agree(alice, bob, eve)
        with gone_bad(eve) as bad:
            yield alice, bob, bad


def document(alice: House, number: int) -> bytes:
    return bytes.fromhex(alice.see("resource.show", resource=str(number))["resource"])


def draft(eve: Eve, ident: bytes, change: bytes) -> Draft:
    """A signed operation's content, with the references that go with the change."""
    edits = eve.edits_of(ident)
    known = {parse_change(body).hash: operation for operation, body in edits}
    try:
        deps = parse_change(change).deps
    except MalformedChange:
        deps = ()
    refs = [known[dep] for dep in deps if dep in known] or [edits[-1][0]]
    return Draft(ITEM, change, document=DocumentId(ident), refs=refs)


def result_at(house: House, ident: OperationId) -> tuple[int, str, str | None]:
    ((verdict, reason, applied),) = house.query(
        "SELECT verdict, reason, applied FROM operations WHERE id = ?", ident
    )
    return verdict, reason, applied


def test_crafted_changes_are_refused_alike_and_the_document_lives_on(
    neighbours: tuple[House, House, Eve],
) -> None:
    alice, bob, eve = neighbours
    device = eve.secrets.keys.id
    workers = {house.name: house.children() for house in (alice, bob)}
    documents = {name: document(alice, n) for n, name in enumerate(CASES, 1)}
    before = {name: alice.see("resource.show", resource=i.hex()) for name, i in documents.items()}
    drafts = []
    for name, ident in documents.items():
        history = [change for _, change in eve.edits_of(ident)]
        assert history, "Eve's node holds the document"
        drafts.append(draft(eve, ident, CASES[name](history, device)))
    operations = eve.draw(*drafts)
    talk = eve.talk(alice)
    for operation in operations:
        talk.push(operation)
    ids = {name: operation_id(o.header) for name, o in zip(CASES, operations, strict=True)}
    for house in (alice, bob):
        until(
            lambda house=house: {i.hex() for i in ids.values()} <= set(house.verdicts()),  # type: ignore[misc]  # binds it
            f"{house.name} knows every operation: they are well signed",
            60,
        )
    eve.keep(*operations)
    for name, ident in ids.items():
        results = {house.name: result_at(house, ident) for house in (alice, bob)}
        results["eve"] = result_at(eve.house, ident)
        assert len(set(results.values())) == 1, f"{name}: the same on all nodes: {results}"
        verdict, reason, applied = results["alice"]
        assert verdict in {1, 2}, f"{name} is judged for good"
        assert (verdict, applied) != (1, ""), f"{name} is not applied"
        assert reason or applied, f"{name}: it is said why"
        told = alice.see("explain", operation=ident.hex())
        assert told["sentence"]
    assert alice.hashes() == bob.hashes()
    for name, found in before.items():
        now = alice.see("resource.show", resource=documents[name].hex())
        same = {key: now[key] for key in found if key not in {"as_of", "missing", "conflicts"}}
        assert same == {key: found[key] for key in same}, f"{name} has changed nothing"

    for number in range(1, len(CASES) + 1):
        answer = alice.do("resource.edit", resource=str(number), notice=f"look at {number}")
        assert answer["verdict"] == "accepted", "an honest edit of the same document works"
    agree(alice, bob)
    for number in range(1, len(CASES) + 1):
        shown = bob.see("resource.show", resource=str(number))
        assert shown["notice"] == f"look at {number}", f"{list(CASES)[number - 1]}"
    for house in (alice, bob):
        assert house.children() == workers[house.name], "no worker was lost"
        assert all(map(alive, workers[house.name]))


def test_two_changes_of_one_author_at_one_place(neighbours: tuple[House, House, Eve]) -> None:
    """The library knows the first that it sees, and never agrees with a node that saw the other."""
    alice, bob, eve = neighbours
    ident = document(alice, len(CASES) + 1)
    history = [change for _, change in eve.edits_of(ident)]
    device = eve.secrets.keys.id
    one, two = (honest(history, device, notice=text) for text in ("yes", "no"))
    assert parse_change(one).seq == parse_change(two).seq, "the same place in the same document"
    operations = eve.draw(draft(eve, ident, one), draft(eve, ident, two))
    ids = [operation_id(operation.header) for operation in operations]
    first, second = eve.talk(alice), eve.talk(bob)
    first.push(*operations)
    second.push(*reversed(operations))  # the other way round
    for house in (alice, bob):
        until(
            lambda house=house: {i.hex() for i in ids} <= set(house.verdicts()),  # type: ignore[misc]  # binds it
            "both know both",
        )
    results = [[result_at(house, i) for i in ids] for house in (alice, bob)]
    assert results[0] == results[1], "the order of arrival decides nothing"
    assert [applied for _, _, applied in results[0]].count("") <= 1, "at most one of them applies"
    eve.keep(*operations)
    answer = bob.refused("resource.edit", resource=ident.hex(), notice="mine")
    assert answer.code == "not_permitted", "Bob is no steward"
    assert alice.do("resource.edit", resource=ident.hex(), notice="ours")["verdict"] == "accepted"
    agree(alice, bob)
    assert bob.see("resource.show", resource=ident.hex())["notice"] == "ours"


def test_the_cases_are_what_they_say(neighbours: tuple[House, House, Eve]) -> None:
    """An honest change through the same hands is applied: it is the change that is refused."""
    alice, bob, eve = neighbours
    ident = document(alice, len(CASES) + 2)
    history = [change for _, change in eve.edits_of(ident)]
    (operation,) = eve.draw(draft(eve, ident, honest(history, eve.secrets.keys.id)))
    eve.talk(bob).push(operation)
    found = operation_id(operation.header)
    for house in (alice, bob):
        until(lambda house=house: found.hex() in house.verdicts(), "it arrives")  # type: ignore[misc]  # binds it
        assert result_at(house, found) == (1, "", "")
    assert alice.see("resource.show", resource=ident.hex())["notice"] == "mine"
    eve.keep(operation)
    agree(alice, bob)
