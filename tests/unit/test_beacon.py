"""The LAN beacon: members recognise each other, everybody else sees noise of one shape."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from commons_protocol import beacon

ALICE = b"A" * 32
COMMUNITY, OTHER = b"c" * 32, b"o" * 32


def noise(seed: int = 0) -> random.Random:
    return random.Random(seed)


def test_members_find_each_others_nodes() -> None:
    record = beacon.show([COMMUNITY], ALICE, noise().randbytes)
    assert beacon.read(record, [OTHER, COMMUNITY]) == {ALICE}


def test_a_stranger_finds_nobody() -> None:
    record = beacon.show([COMMUNITY], ALICE, noise().randbytes)
    assert beacon.read(record, [OTHER]) == set()
    assert beacon.read(record, []) == set()


def test_the_record_has_one_shape_whatever_a_node_belongs_to() -> None:
    shapes = set()
    for count in (0, 1, 5, 16, 40):
        keys = [bytes([n]) * 32 for n in range(count)]
        record = beacon.show(keys, ALICE, noise(count).randbytes)
        shapes.add(tuple((key, len(value)) for key, value in record.items()))
        assert ALICE not in b"".join(record.values())
        found = beacon.read(record, keys)
        assert found == ({ALICE} if keys else set())
    assert len(shapes) == 1
    ((*shape,),) = shapes
    assert all(len(key) + 1 + size <= 255 for key, size in shape), "RFC 6763 §6.1"
    assert sum(len(key) + size for key, size in shape) <= 1024


def test_two_beacons_of_one_node_have_nothing_in_common() -> None:
    first = b"".join(beacon.show([COMMUNITY], ALICE, noise(1).randbytes).values())
    second = b"".join(beacon.show([COMMUNITY], ALICE, noise(2).randbytes).values())
    pieces = {first[n : n + 8] for n in range(len(first) - 8)}
    assert not any(second[n : n + 8] in pieces for n in range(len(second) - 8))


@given(place=st.integers(0, 911), bit=st.integers(0, 7))
def test_a_changed_beacon_names_nobody_else(place: int, bit: int) -> None:
    record = beacon.show([COMMUNITY], ALICE, noise().randbytes)
    data = bytearray(b"".join(record.values()))
    data[place] ^= 1 << bit
    changed = {str(n): bytes(data[n * 240 : n * 240 + 240]) for n in range(4)}
    assert beacon.read(changed, [COMMUNITY]) <= {ALICE}


@given(st.dictionaries(st.text(max_size=3), st.binary(max_size=255), max_size=6))
def test_any_record_is_read_without_harm(txt: dict[str, bytes]) -> None:
    assert beacon.read(txt, [COMMUNITY]) == set()
