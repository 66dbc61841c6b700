"""An archive is checked with Python alone: what is true passes, any change of a byte does not."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.vectors import vectors
from tests.unit.council_of_three import three
from tests.unit.rooms import VIEWS, Room, Rooms, bytes_of, note, page, retitle, village
from tests.unit.street import Home
from tests.unit.test_bundle_photos import photo
from tests.unit.test_realm_pruning import Story, grown
from tests.unit.test_seals_nodes import sealed
from tests.unit.town import RULES

from commons_crdt.folds import set_hash, state_hash
from commons_crdt.operation import Operation, operation_id
from commons_node.archive import standalone
from commons_node.archive.format import BadArchive, Head, PartOf, Reader, Writer
from commons_node.archive.standalone import Bad, verify
from commons_node.archive.verifying import verify_archive
from commons_node.archive.writing import standalone_script, write_archive
from commons_node.verifier.pool import VerifierPool


def test_it_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(standalone_script())
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@dataclass
class Parts:
    """An archive taken apart; ``packed`` puts it together with the right hash at its end."""

    head: Head
    operations: list[Operation] = field(default_factory=list)
    verdicts: bytearray = field(default_factory=bytearray)
    rows: list[tuple[str, bytes, list[Any]]] = field(default_factory=list)
    large: list[tuple[PartOf, bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, data: bytes) -> Parts:
        """From a file's bytes."""
        reader = Reader(io.BytesIO(data))
        found = cls(reader.head, list(reader.operations()), bytearray(b"".join(reader.verdicts())))
        found.rows = [(row.view, row.key, row.values) for row, _packed in reader.rows()]
        found.large = [(one, b"".join(pieces)) for one, pieces in reader.parts()]
        return found

    def packed(self) -> bytes:
        """As somebody might write it who is no node of ours."""
        out = io.BytesIO()
        writer = Writer(out, self.head)
        for operation in self.operations:
            writer.add(operation)
        writer.close()
        writer.verdicts(bytes(self.verdicts))
        writer.close()
        for row in self.rows:
            writer.row(*row)
        writer.close()
        for one, data in self.large:
            writer.part(one)
            for at in range(0, len(data), 50_000):
                writer.piece(data[at : at + 50_000])
            writer.close()
        writer.close()
        writer.end()
        return out.getvalue()

    def change(self, at: int, **changes: Any) -> None:
        """Another header, signature, body or parts of an operation."""
        found = self.operations[at]
        fields = {n: getattr(found, n) for n in ("header", "signature", "body", "parts")}
        self.operations[at] = Operation(**{**fields, **changes})

    def claim(self, **changes: Any) -> None:
        """The head says something else."""
        self.head = msgspec.structs.replace(self.head, **changes)


def check(data: bytes) -> standalone.Found:
    return standalone.check(io.BytesIO(data))


def flipped(data: bytes | None) -> bytes:
    assert data
    return data[:-1] + bytes([data[-1] ^ 1])


async def full(rooms: Rooms) -> tuple[Room, Path]:
    """A room with texts, a photo that is here, one that is not, something erased; its archive."""
    home, people = village()
    first = page(home, people.alice, "Tools")
    retitle(home, people.bob, first, "Our tools")
    erased = note(home, people.eve, 3, "forget me")
    home.erase(people.eve, erased)
    note(home, people.bob, 4, "keep me")
    photo(home, people.eve, 1, 150_000)
    elsewhere = photo(home, people.bob, 2, 80_000)
    operations = bytes_of(home)
    room = await rooms.open("a", home, *operations)
    (absent,) = [
        one for one in await room.realm.store.large.parts() if one.operation == elsewhere.id
    ]
    await room.realm.parts.drop(absent)
    path = room.path.with_name("town.archive")
    await write_archive(room.realm, path)
    return room, path


async def test_a_true_archive_passes_and_what_is_absent_is_said(rooms: Rooms) -> None:
    room, path = await full(rooms)
    path.unlink()
    written = await write_archive(room.realm, path)
    script = room.path.with_name("town.archive.verify.py")
    script.write_bytes(standalone_script())
    alone = [sys.executable, "-I", "-S", str(script), str(path)]
    said = subprocess.run(alone, capture_output=True, text=True, check=False, timeout=60)  # noqa: ASYNC221 - a test
    assert said.returncode == 0, said
    data = path.read_bytes()
    found = check(data)
    assert found.operations == written["operations"]
    assert (found.set_hash, found.state_hash) == (written["set_hash"], written["state_hash"])
    assert (found.parts, found.parts_absent) == (written["parts"], written["parts_missing"])
    assert (found.parts, found.parts_absent) == (1, 1), "one photo is here, one is elsewhere"
    assert len(written["not_here"]) == 1  # type: ignore[arg-type]  # a list
    assert found.rows == written["rows"] == len(Parts.of(data).rows) > 0
    assert found.absent, "what was erased is absent, and said"
    assert found.set_hash in said.stdout
    assert "Not proven is what takes the rules" in said.stdout
    verified = await verify_archive(path, RULES, VIEWS, rooms.pool)
    assert (verified["parts"], verified["parts_missing"], verified["rows"]) == (1, 1, found.rows)
    path.write_bytes(data[:-1])
    said = subprocess.run(alone, capture_output=True, text=True, check=False, timeout=60)  # noqa: ASYNC221 - a test
    assert (said.returncode, said.stdout.startswith("NOT TRUE")) == (1, True)
    small = room.path.with_name("small.archive")
    less = await write_archive(room.realm, small, parts_up_to=100_000)
    assert (less["parts"], less["parts_missing"]) == (0, 2)
    assert check(small.read_bytes()).state_hash == found.state_hash


def _operation(one: Parts, **changes: Callable[[Any], Any]) -> None:
    """Change the first operation that has what is to be changed, from the end."""
    for at in reversed(range(len(one.operations))):
        values = {name: getattr(one.operations[at], name) for name in changes}
        if all(any(v) if isinstance(v, tuple) else v for v in values.values()):
            one.change(at, **{name: change(values[name]) for name, change in changes.items()})
            return
    raise AssertionError("there is none")


def _other_part(parts: tuple[bytes | None, ...]) -> tuple[bytes | None, ...]:
    return tuple(flipped(part) if part else part for part in parts)


def _swap(ones: Any, first: int = -2, second: int = -1) -> None:
    ones[first], ones[second] = ones[second], ones[first]


def _row(one: Parts) -> None:
    view, key, values = one.rows[-1]
    one.rows[-1] = view, key, [*values[:-1], "x"]


def _verdict(one: Parts) -> None:
    one.verdicts[-1] = 2 if one.verdicts[-1] == 1 else 1


def _held(one: Parts, data: Callable[[bytes], bytes]) -> None:
    (at,) = [n for n, (_one, held) in enumerate(one.large) if held]
    one.large[at] = one.large[at][0], data(one.large[at][1])


TAMPERING: dict[str, tuple[Callable[[Parts], Any], str]] = {
    "the realm": (lambda a: a.claim(realm=bytes(32)), ""),
    "the pin": (lambda a: a.claim(pin=bytes(32)), "council"),
    "the council": (lambda a: a.claim(chain=(*a.head.chain, bytes(32))), "council"),
    "the count": (lambda a: a.claim(operations=a.head.operations + 1), "as many"),
    "the set hash": (lambda a: a.claim(set_hash=bytes(32)), "verdicts"),
    "the state hash": (lambda a: a.claim(state_hash=bytes(32)), "rows"),
    "a header": (lambda a: _operation(a, header=flipped), ""),
    "a signature": (lambda a: _operation(a, signature=flipped), "signature"),
    "a body": (lambda a: _operation(a, body=flipped), "body"),
    "a text": (lambda a: _operation(a, parts=_other_part), "part of it"),
    "another text beside it": (lambda a: _operation(a, parts=lambda p: (*p, b"x")), "more parts"),
    "an operation is gone": (lambda a: a.operations.pop(5), ""),
    "an operation is twice": (lambda a: a.operations.append(a.operations[-1]), "twice"),
    "two operations are swapped": (lambda a: _swap(a.operations, 0, 1), ""),
    "a verdict": (_verdict, "verdicts"),
    "a verdict is gone": (lambda a: a.verdicts.pop(), "verdicts"),
    "a row": (_row, "rows"),
    "a row is gone": (lambda a: a.rows.pop(), "rows"),
    "two rows are swapped": (lambda a: _swap(a.rows), "rows"),
    "a photo": (lambda a: _held(a, flipped), "large part"),
    "a photo is cut": (lambda a: _held(a, lambda data: data[:-1]), "large part"),
    "a photo grows": (lambda a: _held(a, lambda data: data + b"x"), "large part"),
    "a photo's name is gone": (lambda a: a.large.pop(), "large parts"),
    "two photos are swapped": (lambda a: _swap(a.large), "large parts"),
    "a photo that nobody signed": (
        lambda a: a.large.append((PartOf(bytes(32), 0), b"x")), "large parts",
    ),
}  # fmt: skip
"""What is changed, the hash at the end made right again, and a word of what is said of it."""


@pytest.mark.long
async def test_each_kind_of_tampering_is_found_by_the_script_and_by_the_program(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standalone, "verify", lru_cache(verify))  # its arithmetic is slow, and pure
    _room, path = await full(rooms)
    data = path.read_bytes()
    assert check(Parts.of(data).packed()) == check(data), "it can be put together again"
    bad = path.with_name("bad.archive")
    for name, (tamper, word) in TAMPERING.items():
        changed = Parts.of(data)
        tamper(changed)
        with pytest.raises(Bad, match=word or None):
            pytest.fail(f"{name}: {check(changed.packed())}")
        bad.write_bytes(changed.packed())
        with pytest.raises(BadArchive):
            pytest.fail(f"{name}: {await verify_archive(bad, RULES, VIEWS, rooms.pool)}")
    for at in range(16, len(data) - 40, max(1, len(data) // 12)):
        other = bytearray(data[:-32])
        other[at] ^= 1
        with pytest.raises(Bad):
            check(bytes(other) + blake2b(other, digest_size=32).digest())


@pytest.mark.long
async def test_rows_that_the_rules_do_not_give_are_found_by_judging_alone(rooms: Rooms) -> None:
    """What the script says that it does not prove."""
    _room, path = await full(rooms)
    changed = Parts.of(path.read_bytes())
    _row(changed)
    changed.claim(state_hash=state_hash(changed.rows))
    assert check(changed.packed()).state_hash == changed.head.state_hash.hex()
    path.write_bytes(changed.packed())
    with pytest.raises(BadArchive) as caught:
        await verify_archive(path, RULES, VIEWS, rooms.pool)
    assert caught.value.code == "archive_state"


@pytest.mark.long
async def test_a_seal_states_the_state_by_the_coordinators_keys(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with three(tmp_path, pool) as town:
        await sealed(town)
        data = await of_home(town.bob, tmp_path)
        found = check(data)
        assert "endorsed by 2 of 3 coordinators' keys, states the very state" in found.seal
        assert found.state_hash in found.seal
        lie = Parts.of(data)
        _row(lie)
        lie.claim(state_hash=state_hash(lie.rows))
        assert "an earlier state" in check(lie.packed()).seal, "the seal speaks against it"
        await town.alice.do("cia", "resource.add", name="Saw", number="9")
        await town.meet()
        later = check(await of_home(town.bob, tmp_path))
        assert "an earlier state" in later.seal
        assert found.state_hash in later.seal, "which one it states is said"

        short = Parts.of(data)
        endorsing = [at for at, one in enumerate(short.operations)
                     if b"council.endorse" in one.header]  # fmt: skip
        assert endorsing
        for at in reversed(endorsing):
            del short.operations[at], short.verdicts[at]
        ids = [operation_id(one.header) for one in short.operations]
        of_set = set_hash(zip(ids, short.verdicts, strict=True))
        short.claim(operations=len(ids), pin=short.head.realm, set_hash=of_set)
        with pytest.raises(Bad, match=r"not endorsed by more than half|is not before it"):
            check(short.packed())


async def of_home(home: Home, folder: Path) -> bytes:
    """The archive that a node would write now."""
    path = folder / f"{home.name}.archive"
    path.unlink(missing_ok=True)
    await write_archive(home.realm, path)
    return path.read_bytes()


@pytest.mark.long
async def test_a_fork_that_was_decided_passes(rooms: Rooms) -> None:
    room = await grown(rooms, "a", Story(), prune=False)
    path = room.path.with_name("forked.archive")
    await write_archive(room.realm, path)
    found = check(path.read_bytes())
    assert found.council_acts == 1
    assert 0 in Parts.of(path.read_bytes()).verdicts, "what lies beyond the end stands in no hash"


def test_files_of_the_first_version_are_read_as_before() -> None:
    found = vectors("archive")
    old = check(bytes.fromhex(found["file"]))
    assert (old.version, old.rows, old.set_hash) == (1, 0, found["set_hash"])
    new = check(bytes.fromhex(found["file_2"]))
    assert (new.version, new.rows, new.state_hash) == (2, 3, found["state_hash_2"])


def test_signatures_are_verified_as_libsodium_does() -> None:
    cases = vectors("signatures")
    assert any(not one["valid"] and one["openssl"] for one in cases), "the traps are among them"
    for one in cases:
        key, header, signature = (
            bytes.fromhex(one[name]) for name in ("key", "header", "signature")
        )
        message = standalone.SIGNED + header
        assert verify(key, message, signature) is one["valid"], one


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_no_bytes_break_it_otherwise_than_by_saying_so(data: bytes) -> None:
    whole = standalone.MAGIC + b"\x02" + len(data).to_bytes(4, "big") + data + bytes(16)
    with pytest.raises(Bad):
        check(whole + blake2b(whole, digest_size=32).digest())
