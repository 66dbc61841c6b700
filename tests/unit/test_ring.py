"""Ring signatures: one of several has signed, and nobody can say which."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import digest
from commons_crdt.ring import RingSignature, sign_ring, tag_of, usable_key, verify_ring

PEOPLE = [DeviceSecrets(digest("t-ring", bytes([n])), bytes(32)) for n in range(6)]
RING = tuple(sorted(one.keys.signing for one in PEOPLE))


@dataclass(frozen=True)
class _Case:
    signer: int
    message: bytes
    scope: bytes


cases = st.builds(
    _Case, st.integers(0, 5), st.binary(max_size=40), st.binary(min_size=1, max_size=40)
)


@given(cases)
@settings(max_examples=12, deadline=None)
def test_whoever_signs_it_holds_and_for_nothing_else(case: _Case) -> None:
    made = sign_ring(case.message, case.scope, RING, PEOPLE[case.signer].signing, os.urandom)
    assert verify_ring(case.message, case.scope, RING, made)
    assert not verify_ring(case.message + b"x", case.scope, RING, made)
    assert not verify_ring(case.message, case.scope + b"x", RING, made)
    assert not verify_ring(case.message, case.scope, RING[:5], made)
    assert not verify_ring(case.message, case.scope, RING[::-1], made), "a ring has an order"


@given(cases, st.integers(0, 5), st.binary(min_size=1, max_size=8))
@settings(max_examples=12, deadline=None)
def test_the_same_signer_has_one_tag_a_scope(case: _Case, other: int, elsewhere: bytes) -> None:
    first = sign_ring(b"one", case.scope, RING, PEOPLE[case.signer].signing, os.urandom)
    again = sign_ring(
        b"two", case.scope, RING[: len(RING)], PEOPLE[case.signer].signing, os.urandom
    )
    assert first.tag == again.tag == tag_of(PEOPLE[case.signer].signing, case.scope)
    assert first.challenge != again.challenge, "and is not the same signature"
    someone = tag_of(PEOPLE[other].signing, case.scope)
    assert (someone == first.tag) == (other == case.signer), "two people never share a tag"
    assert tag_of(PEOPLE[case.signer].signing, case.scope + elsewhere) != first.tag


@given(st.integers(0, 223), st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_no_byte_of_it_may_be_changed(at: int, by: int) -> None:
    made = sign_ring(b"m", b"s", RING, PEOPLE[1].signing, lambda n: digest("t-rnd") * (n // 32))
    whole = bytearray(made.tag + made.challenge + b"".join(made.answers))
    whole[at] ^= by
    parts = [bytes(whole[start : start + 32]) for start in range(0, len(whole), 32)]
    changed = RingSignature(parts[0], parts[1], tuple(parts[2:]))
    assert not verify_ring(b"m", b"s", RING, changed)


def test_a_stranger_and_a_key_of_small_order_stand_in_no_ring() -> None:
    stranger = DeviceSecrets(digest("t-ring", b"eve"), bytes(32))
    with pytest.raises(ValueError, match="ring"):
        sign_ring(b"m", b"s", RING, stranger.signing, os.urandom)
    small = bytes([1]) + bytes(31)
    assert not usable_key(small)
    with pytest.raises(ValueError, match="ring"):
        sign_ring(b"m", b"s", (*RING[:5], small), PEOPLE[0].signing, os.urandom)
    good = sign_ring(b"m", b"s", RING, PEOPLE[0].signing, os.urandom)
    assert not verify_ring(b"m", b"s", (*RING[:5], small), good)
    assert not verify_ring(b"m", b"s", (RING[0],) * 6, good), "nor one key six times"
    torsion = RingSignature(small, good.challenge, good.answers)
    assert not verify_ring(b"m", b"s", RING, torsion), "a tag of small order would be another's"
    zeroes = RingSignature(good.tag, good.challenge, (bytes(32),) * 6)
    assert not verify_ring(b"m", b"s", RING, zeroes)


def test_every_place_in_the_ring_looks_the_same() -> None:
    """A smoke test of what the proof promises: nothing about the signer's own place stands out."""
    for signer in PEOPLE:
        made = sign_ring(b"m", b"s", RING, signer.signing, os.urandom)
        own = RING.index(signer.keys.signing)
        assert len(set(made.answers)) == len(RING), "each answer is drawn or computed anew"
        assert made.answers[own] not in {made.challenge, made.tag}
        assert all(answer[31] < 0x11 for answer in made.answers), "all are reduced alike"
