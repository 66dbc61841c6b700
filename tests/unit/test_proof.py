"""What both ends derive from a handshake is bound to it, to the side, and to the purpose."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from tests.simulation.meeting import EPOCH, neighbourhood

from commons_crdt.ids import RealmId, digest
from commons_protocol import wire
from commons_protocol.effects import Close, Send
from commons_protocol.proof import KEPT, Prover
from commons_protocol.replica import Replica
from commons_protocol.transcript import Ends, Sealer, claim_parts

KEY = digest("t-key")
ENDS = Ends(b"d" * 32, b"l" * 32, b"D" * 32, b"L" * 32)


def test_a_tag_is_bound_to_everything() -> None:
    tag = ENDS.tag(KEY, "dialler")
    assert len(tag) == wire.TAG_BYTES
    others = [
        ENDS.tag(KEY, "listener"),
        ENDS.tag(digest("t-other"), "dialler"),
        *(
            replace(ENDS, **{name: b"x" * 32}).tag(KEY, "dialler")
            for name in ("nonce_dialler", "nonce_listener", "key_dialler", "key_listener")
        ),
    ]
    assert tag not in others
    assert len(set(others)) == len(others)


def test_what_is_sealed_opens_once_in_its_place_for_its_purpose() -> None:
    def fresh(slot: int = 1, side: str = "dialler", transcript: bytes = b"t" * 32) -> Sealer:
        return Sealer(KEY, transcript, slot, "dialler" if side == "dialler" else "listener")

    sealed = fresh().seal(b"claim", b"proof")
    assert fresh().open(sealed, b"proof") == b"claim"
    assert fresh().open(sealed, b"path") is None
    assert fresh(slot=2).open(sealed, b"proof") is None
    assert fresh(side="listener").open(sealed, b"proof") is None
    assert fresh(transcript=b"u" * 32).open(sealed, b"proof") is None
    twice = fresh()
    assert twice.open(sealed, b"proof") == b"claim"
    assert twice.open(sealed, b"proof") is None, "no replay within a stream"


def test_a_claim_names_its_stream_slot_side_realm_device_and_grant() -> None:
    base = (b"t" * 32, 1, "dialler", b"r" * 32, b"d" * 32, b"g" * 32)
    seen = {digest("proof", *claim_parts(*base))}  # type: ignore[arg-type]  # one by one below
    for place, other in enumerate((b"x" * 32, 2, "listener", b"x" * 32, b"x" * 32, b"x" * 32)):
        changed = [*base]
        changed[place] = other
        seen.add(digest("proof", *claim_parts(*changed)))  # type: ignore[arg-type]  # same
    assert len(seen) == 7


@given(epochs=st.integers(0, 30), seed=st.integers(0, 1000))
def test_tags_have_one_shape_whatever_is_known(epochs: int, seed: int) -> None:
    alice, bob = COMMUNITY
    alice.keys = [(EPOCH, digest("t-key", bytes([n]))) for n in range(epochs)]
    prover = Prover("dialler", alice.peer, bob.peer, [alice], random.Random(seed).randbytes)
    (hello,) = prover.begin()
    assert isinstance(hello, Send)
    (tags,) = prover.on_message(wire.Hello(wire.VERSION, b"n" * 32))
    assert isinstance(tags, Send)
    assert len(tags.frame) == 261
    again = Prover("dialler", alice.peer, bob.peer, [alice], random.Random(seed + 1).randbytes)
    (other,) = again.on_message(wire.Hello(wire.VERSION, b"n" * 32))
    assert isinstance(other, Send)
    mine = {tags.frame[n : n + 16] for n in range(5, 261, 16)}
    theirs = {other.frame[n : n + 16] for n in range(5, 261, 16)}
    assert not mine & theirs, "and nothing in them recurs"


COMMUNITY = neighbourhood("bob")


@given(
    epochs=st.lists(st.integers(1, 5), min_size=1, max_size=40),
    met=st.sets(st.integers(0, 39)),
)
def test_in_turn_every_tag_is_shown_and_those_of_realms_that_were_met_each_time(
    epochs: list[int], met: set[int]
) -> None:
    alice, bob = COMMUNITY
    realms = [RealmId(digest("t-realm", bytes([n]))) for n in range(len(epochs))]
    many = [
        SimpleNamespace(
            realm=realm,
            credential=alice.credential,
            epochs=lambda n=n, realm=realm: [
                (EPOCH, digest("t-key", realm, bytes([m]))) for m in range(epochs[n])
            ],
        )
        for n, realm in enumerate(realms)
    ]
    known = {realms[n] for n in met if n < len(realms)}
    newest = {digest("t-key", realm, bytes([0])) for realm in known}
    rest = sum(epochs) - min(len(newest), KEPT)
    seen: set[bytes] = set()
    for turn in range(max(1, -(-rest // (wire.SLOTS - min(len(newest), KEPT))))):
        prover = Prover(
            "dialler", alice.peer, bob.peer, cast("list[Replica]", many),
            random.Random(turn).randbytes, turn=turn, met=known,
        )  # fmt: skip
        prover.begin()
        prover.on_message(wire.Hello(wire.VERSION, b"n" * 32))
        shown = {key for _, key in prover._listed.values()}
        assert len(shown) == min(wire.SLOTS, sum(epochs)), "no more than ever, and no fewer"
        assert len(shown & newest) >= min(len(newest), KEPT)
        seen |= shown
    assert len(seen) == sum(epochs)


def test_a_newer_version_is_left_in_peace() -> None:
    alice, bob = neighbourhood("bob")
    prover = Prover("dialler", alice.peer, bob.peer, [alice], random.Random(0).randbytes)
    assert prover.on_message(wire.Hello(2, b"n" * 32)) == [Close("version")]
