"""Change chunks made by hand, for the other document tests; and the proof that they are well made.

A real change is taken apart, altered and put together again with a right checksum: what an attacker
can do who signs with a valid key but runs other software.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Self

from commons_crdt.document.change import parse_change
from commons_crdt.document.leb import uleb
from commons_crdt.document.operations import Operation, OperationId, read_operations
from commons_crdt.document.schema import DocumentSchema, Field
from commons_crdt.document.values import Value
from commons_crdt.document.write import create, edit

ALICE = bytes(range(32))
BOB = bytes(range(32, 64))
EVE = bytes(range(64, 96))

THING = DocumentSchema(
    "thing",
    {
        "name": Field.text(80, required=True),
        "note": Field.text(200),
        "count": Field.integer(0, 1000),
        "open": Field.boolean(),
    },
)

PUT, INCREMENT, DELETE, MAKE_MAP, MAKE_LIST, MAKE_TEXT = 1, 5, 3, 0, 2, 4
NULL, FALSE, TRUE, UNSIGNED, INTEGER, FLOAT, TEXT, BYTES, COUNTER, TIMESTAMP = range(10)


def sleb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if value == (-1 if byte & 0x40 else 0):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def chunk(body: bytes, kind: int = 1) -> bytes:
    """A chunk with this body, and a right length and checksum."""
    hashed = bytes((kind,)) + uleb(len(body)) + body
    return b"\x85\x6f\x4a\x83" + sha256(hashed).digest()[:4] + hashed


def body_of(change: bytes) -> bytes:
    at = 9
    while change[at] & 0x80:
        at += 1
    return change[at + 1 :]


def runs(values: Sequence[bytes]) -> bytes:
    """Run-length encoding in its shortest form, of values that are encoded already."""
    out = bytearray()
    at = 0
    literal: list[bytes] = []
    while at < len(values):
        count = 1
        while at + count < len(values) and values[at + count] == values[at]:
            count += 1
        if count == 1:
            literal.append(values[at])
        else:
            out += _literal(literal) + sleb(count) + values[at]
            literal = []
        at += count
    return bytes(out + _literal(literal))


def _literal(values: list[bytes]) -> bytes:
    return sleb(-len(values)) + b"".join(values) if values else b""


@dataclass(frozen=True)
class Write:
    """One operation at the root, as it stands in the columns."""

    field: str
    kind: int
    raw: bytes = b""
    predecessors: tuple[OperationId, ...] = ()
    action: int = PUT

    @classmethod
    def of(cls, operation: Operation) -> Self:
        kind, raw = encoded(operation.value)
        action = DELETE if operation.settles else PUT
        return cls(operation.field, kind, raw, operation.predecessors, action)


def encoded(value: Value) -> tuple[int, bytes]:
    if value is None:
        return NULL, b""
    if isinstance(value, bool):
        return (TRUE if value else FALSE), b""
    if isinstance(value, int):
        return INTEGER, sleb(value)
    return TEXT, value.encode()


@dataclass(frozen=True)
class Craft:
    """The parts of a change; `columns` replaces the encoding of `writes` when it is given."""

    actor: bytes
    seq: int = 1
    start_op: int = 1
    deps: tuple[bytes, ...] = ()
    writes: tuple[Write, ...] = ()
    time: int = 0
    message: bytes = b""
    others: tuple[bytes, ...] | None = None
    columns: dict[int, bytes] = field(default_factory=dict)
    extra: bytes = b""

    @classmethod
    def of(cls, change: bytes) -> Self:
        header = parse_change(change)
        writes = tuple(map(Write.of, read_operations(header)))
        return cls(header.actor, header.seq, header.start_op, header.deps, writes)

    def pack(self) -> bytes:
        others = self.others
        if others is None:
            actors = {actor for write in self.writes for _, actor in write.predecessors}
            others = tuple(sorted(actors - {self.actor}))
        body = bytearray(uleb(len(self.deps)) + b"".join(self.deps))
        body += uleb(len(self.actor)) + self.actor + uleb(self.seq) + uleb(self.start_op)
        body += sleb(self.time) + uleb(len(self.message)) + self.message + uleb(len(others))
        for other in others:
            body += uleb(len(other)) + other
        columns = {**self._columns((self.actor, *others)), **self.columns}
        filled = [(name, data) for name, data in sorted(columns.items()) if data]
        body += uleb(len(filled))
        for name, data in filled:
            body += uleb(name) + uleb(len(data))
        return chunk(bytes(body) + b"".join(data for _, data in filled) + self.extra)

    def _columns(self, actors: tuple[bytes, ...]) -> dict[int, bytes]:
        writes = self.writes
        predecessors = [id_ for write in writes for id_ in write.predecessors]
        counters = [counter for counter, _ in predecessors]
        steps = [b - a for a, b in zip([0, *counters], counters, strict=False)]
        names = [write.field.encode() for write in writes]
        return {
            0x15: runs([uleb(len(name)) + name for name in names]),
            0x34: uleb(len(writes)),
            0x42: runs([uleb(write.action) for write in writes]),
            0x56: runs([uleb(len(write.raw) << 4 | write.kind) for write in writes]),
            0x57: b"".join(write.raw for write in writes),
            0x70: runs([uleb(len(write.predecessors)) for write in writes]),
            0x71: runs([uleb(actors.index(actor)) for _, actor in predecessors]),
            0x73: runs([sleb(step) for step in steps]),
        }


def altered(change: bytes, **parts: object) -> bytes:
    """The same change with some parts of `Craft` replaced, and a right checksum."""
    return replace(Craft.of(change), **parts).pack()  # type: ignore[arg-type]


def history_of(*edits: tuple[bytes, dict[str, Value]]) -> list[bytes]:
    """A document that its authors edit one after another, the first of them creating it."""
    (creator, fields), *later = edits
    history = [create(creator, fields, THING)]
    for actor, changed in later:
        change, _ = edit(history, actor, changed, THING)
        assert change is not None, "each edit of a history changes something"
        history.append(change)
    return history


def contended() -> list[bytes]:
    """Alice's thing, renamed by Bob and by Eve at the same time, then merged by Alice."""
    start = history_of((ALICE, {"name": "drill", "count": 1}), (ALICE, {"note": "red"}))
    by_bob, _ = edit(start, BOB, {"name": "hammer drill", "count": 2}, THING)
    by_eve, _ = edit(start, EVE, {"name": "driller", "open": True, "note": None}, THING)
    assert by_bob is not None
    assert by_eve is not None
    merged, _ = edit([*start, by_bob, by_eve], ALICE, {"name": "drill 2", "open": False}, THING)
    assert merged is not None
    return [*start, by_bob, by_eve, merged]


def honest_changes() -> Iterable[bytes]:
    yield from contended()
    yield from contended_and_settled()[-1:]
    yield create(ALICE, {"name": "é" * 80, "count": 1000, "open": True, "note": ""}, THING)


def contended_and_settled() -> list[bytes]:
    """As `contended`, but Alice keeps the name that is displayed already."""
    history = contended()[:-1]
    shown = max(BOB, EVE)
    name = "driller" if shown == EVE else "hammer drill"
    change, _ = edit(history, ALICE, {"name": name}, THING)
    assert change is not None, "keeping the displayed name settles the conflict"
    return [*history, change]


def test_a_change_taken_apart_and_put_together_is_the_same() -> None:
    for change in honest_changes():
        assert Craft.of(change).pack() == change, "there is one encoding of each change"
