"""An archive is checked with Python alone: what is true passes, any change of a byte does not."""

from __future__ import annotations

import ast
import subprocess
import sys
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.vectors import vectors
from tests.unit.rooms import Rooms, bytes_of, note, page, retitle, village

from commons_node.archive import standalone
from commons_node.archive.standalone import Bad, check, verify
from commons_node.archive.writing import standalone_script, write_archive


def test_it_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(standalone_script())
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


async def test_a_true_archive_passes_and_an_erased_text_hinders_nothing(rooms: Rooms) -> None:
    home, people = village()
    first = page(home, people.alice, "Tools")
    retitle(home, people.bob, first, "Our tools")
    erased = note(home, people.eve, 3, "forget me")
    home.erase(people.eve, erased)
    room = await rooms.open("a", home, *bytes_of(home))
    path = room.path.with_name("town.archive")
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
    assert found.absent, "what was erased is absent, and said"
    assert found.set_hash in said.stdout
    path.write_bytes(data[:-1])
    said = subprocess.run(alone, capture_output=True, text=True, check=False, timeout=60)  # noqa: ASYNC221 - a test
    assert (said.returncode, said.stdout.startswith("NOT TRUE")) == (1, True)
    for at in range(600, len(data) - 40, max(1, len(data) // 12)):
        changed = bytearray(data[:-32])
        changed[at] ^= 1
        with pytest.raises((Bad, ValueError, TypeError)):
            check(bytes(changed) + blake2b(changed, digest_size=32).digest())


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
    whole = standalone.MAGIC + len(data).to_bytes(4, "big") + data + bytes(4)
    try:
        check(whole + blake2b(whole, digest_size=32).digest())
    except (Bad, ValueError, TypeError):
        return
    raise AssertionError("no archive is made by chance")
