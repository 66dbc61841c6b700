"""The bodies of log 0: each comes back from its bytes, and has no second encoding."""

from typing import Any, TypeVar

import cbor2
import msgspec
import pytest
from tests.unit.town import identity, secrets

from commons_crdt.authority.facts import (
    Admit,
    Epoch,
    EpochShare,
    Erasure,
    Genesis,
    Identity,
    Invite,
    NodeGrant,
    RoleAct,
    SealedKey,
)
from commons_crdt.authority.kinds import CORE
from commons_crdt.canonical import encode
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO
from commons_crdt.kinds import decode_fact, encode_fact
from commons_crdt.operation import MAX_BODY

KEYS = secrets("alice").keys
WHO = Identity(KEYS, (b"g" * 32, b"h" * 32), 1, b"r" * 32)
FACTS: list[msgspec.Struct] = [
    KEYS,
    WHO,
    Genesis(WHO, 1, (("budget.member.hour", 10), ("timezone", "Europe/Lisbon"))),
    RoleAct(b"m" * 32, 2),
    Invite(b"k" * 32, 1, 2**53 - 1),
    SealedKey(b"e" * 32, b"s" * 80),
    Admit(b"i" * 32, WHO, b"p" * 64, b"c" * 64, (SealedKey(b"e" * 32, b"s" * 80),)),
    NodeGrant(KEYS, b"c" * 64, ()),
    EpochShare(b"d" * 32, b"s" * 80),
    Epoch(b"c" * 32, (EpochShare(b"d" * 32, b"s" * 80),)),
    Erasure(b"t" * 32),
]
F = TypeVar("F", bound=msgspec.Struct)


def named(fact: msgspec.Struct) -> str:
    return type(fact).__name__


def refused(kind: type[msgspec.Struct], positions: object) -> bool:
    with pytest.raises(Refused) as caught:
        decode_fact(kind, cbor2.dumps(positions, canonical=True))
    return caught.value.why == "malformed"


def plain(fact: msgspec.Struct) -> list[Any]:
    positions = cbor2.loads(encode_fact(fact))
    assert isinstance(positions, list)
    return positions


@pytest.mark.parametrize("fact", FACTS, ids=named)
def test_every_fact_comes_back_from_its_bytes(fact: msgspec.Struct) -> None:
    data = encode_fact(fact)
    assert decode_fact(type(fact), data) == fact
    assert encode_fact(decode_fact(type(fact), data)) == data


@pytest.mark.parametrize("fact", FACTS, ids=named)
def test_no_fact_has_a_position_more_or_less(fact: msgspec.Struct) -> None:
    assert refused(type(fact), [*plain(fact), 0]), "an unknown position is not skipped"
    assert refused(type(fact), plain(fact)[:-1]), "no position has a default"
    assert refused(type(fact), []), "an empty list is nothing"
    assert refused(type(fact), None), "null is nothing"


@pytest.mark.parametrize("fact", FACTS, ids=named)
def test_every_hash_key_and_signature_has_its_one_length(fact: msgspec.Struct) -> None:
    for position, value in enumerate(plain(fact)):
        if isinstance(value, bytes):
            wrongs: list[object] = [value[:-1], value + b"\x00", b"", value.hex(), list(value)]
            for wrong in wrongs:
                changed = plain(fact)
                changed[position] = wrong
                assert refused(type(fact), changed), f"position {position} is {len(value)} bytes"


@pytest.mark.parametrize("fact", FACTS, ids=named)
def test_no_position_takes_another_type(fact: msgspec.Struct) -> None:
    for position in range(len(plain(fact))):
        others: list[object] = [None, 1.5, True, "text", [[]]]
        for wrong in others:
            changed = plain(fact)
            changed[position] = wrong
            assert refused(type(fact), changed), f"position {position} is no {wrong!r}"


@pytest.mark.parametrize(
    ("kind", "positions"),
    [
        (RoleAct, [b"m" * 32, 0]),
        (RoleAct, [b"m" * 32, 5]),
        (Invite, [b"k" * 32, 0, 1]),
        (Invite, [b"k" * 32, 1001, 1]),
        (Invite, [b"k" * 32, 1, -1]),
        (Invite, [b"k" * 32, 1, 2**53]),
        (Epoch, [[]]),
        (Genesis, [plain(WHO), 0, []]),
        (Genesis, [plain(WHO), 65_536, []]),
        (Genesis, [plain(WHO), 1, [["a" * 41, 1]]]),
        (Genesis, [plain(WHO), 1, [["name", "v" * 65]]]),
        (Genesis, [plain(WHO), 1, [["name", 1, 2]]]),
        (Genesis, [plain(WHO), 1, [["name", True]]]),
        (Genesis, [plain(WHO), 1, [["name", i] for i in range(65)]]),
    ],
)
def test_numbers_and_lists_keep_within_their_bounds(
    kind: type[msgspec.Struct], positions: list[Any]
) -> None:
    assert refused(kind, positions)


@pytest.mark.parametrize(
    ("guardians", "threshold"),
    [
        ((), 1),
        ((b"g" * 32,), 0),
        ((b"g" * 32,), 2),
        ((b"h" * 32, b"g" * 32), 1),
        ((b"g" * 32, b"g" * 32), 1),
        (tuple(bytes([i]) * 32 for i in range(9)), 1),
    ],
)
def test_guardians_are_listed_once_in_order_and_can_act(
    guardians: tuple[bytes, ...], threshold: int
) -> None:
    positions = [plain(KEYS), list(guardians), threshold, ZERO]
    assert refused(Identity, positions), "guardians who could never act, or one counted twice"


def test_a_member_is_named_by_all_that_an_identity_says() -> None:
    others = [
        identity(secrets("eve")),
        msgspec.structs.replace(WHO, guardians=(b"g" * 32,)),
        msgspec.structs.replace(WHO, threshold=2),
        msgspec.structs.replace(WHO, recovery=ZERO),
        msgspec.structs.replace(WHO, device=secrets("eve").keys),
    ]
    names = {WHO.member, *(other.member for other in others)}
    assert len(names) == 6, "whoever differs in anything is somebody else"


def test_an_epoch_for_the_largest_community_fits_its_kind() -> None:
    shares = tuple(EpochShare(i.to_bytes(32, "big"), b"s" * 80) for i in range(384))
    data = encode_fact(Epoch(b"c" * 32, shares))
    assert 32 + len(data) <= next(k.max_body for k in CORE if k.body is Epoch)
    assert decode_fact(Epoch, data) == Epoch(b"c" * 32, shares)


def test_a_fact_has_no_second_encoding() -> None:
    data = encode_fact(RoleAct(b"m" * 32, 2))
    for other in (
        b"\x9f" + data[1:] + b"\xff",
        data[:-1] + b"\x18\x02",
        data + b"\x00",
        b"\xd9\xd9\xf7" + data,
        b"",
    ):
        with pytest.raises(Refused) as caught:
            decode_fact(RoleAct, other)
        assert caught.value.why == "malformed"


class Late(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A fact whose author gave a position a default."""

    first: int
    second: int = 0


def test_a_default_may_not_be_left_out() -> None:
    assert decode_fact(Late, encode([1, 0])) == Late(1)
    assert refused(Late, [1]), "otherwise one value would have two encodings"


def test_a_fact_that_is_too_long_is_malformed() -> None:
    with pytest.raises(Refused):
        decode_fact(Erasure, b"\x00" * (MAX_BODY + 1))
