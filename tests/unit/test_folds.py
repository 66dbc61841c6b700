"""Folds and hashes: functions of a set, whatever order its members come in."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commons_crdt import canonical
from commons_crdt.folds import Fact, Value, by_document, prevailing, set_hash, state_hash
from commons_crdt.ids import DeviceId, DocumentId, MemberId, OperationId, digest
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict

ids = st.binary(min_size=32, max_size=32)
verdicts = st.dictionaries(ids, st.sampled_from(Verdict), max_size=12)
values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
rows = st.dictionaries(
    st.tuples(st.sampled_from(["loans", "members"]), ids), st.lists(values, max_size=4), max_size=8
)
FACT = Fact(
    OperationId(b"i" * 32), "town.note.1", MemberId(b"m" * 32), Role.MEMBER, DeviceId(b"d" * 32),
    1, 1, 1, 1, DocumentId(b"o" * 32), None,
)  # fmt: skip


def fact(device: str, member: str, role: Role, seq: int) -> Fact:
    return replace(
        FACT,
        id=OperationId(digest("t-fact", f"{device} {seq}".encode())),
        device=DeviceId(digest("t-device", device.encode())),
        member=MemberId(digest("t-member", member.encode())),
        role=role,
        seq=seq,
    )


# --- hashes -------------------------------------------------------------------------------------


@given(verdicts, st.randoms())
@settings(deadline=None, max_examples=60)
def test_a_set_hash_knows_no_order(given_: dict[bytes, Verdict], dice: random.Random) -> None:
    pairs = list(given_.items())
    expected = set_hash(pairs)
    dice.shuffle(pairs)
    assert set_hash(pairs) == expected
    assert set_hash((ident, int(verdict)) for ident, verdict in pairs) == expected


@given(verdicts, ids)
@settings(deadline=None, max_examples=60)
def test_what_waits_stands_in_no_hash(given_: dict[bytes, Verdict], ident: bytes) -> None:
    without = {i: v for i, v in given_.items() if i != ident}
    expected = set_hash(without.items())
    assert set_hash([*without.items(), (ident, Verdict.PENDING)]) == expected
    for verdict in Verdict:
        if verdict.final:
            assert set_hash([*without.items(), (ident, verdict)]) != expected


def test_every_final_verdict_gives_another_hash() -> None:
    hashes = {set_hash([(b"i" * 32, verdict)]) for verdict in Verdict}
    assert len(hashes) == len(Verdict), "the pending one is that of nothing"
    assert set_hash([(b"i" * 32, Verdict.PENDING)]) == set_hash([])


@given(rows, st.randoms())
@settings(deadline=None, max_examples=60)
def test_a_state_hash_knows_no_order_of_rows(
    table: dict[tuple[str, bytes], list[Value]], dice: random.Random
) -> None:
    listed: list[tuple[str, bytes, Sequence[Value]]] = [
        (v, k, row) for (v, k), row in table.items()
    ]
    expected = state_hash(listed)
    dice.shuffle(listed)
    assert state_hash(listed) == expected


@pytest.mark.parametrize(
    "other",
    [
        ("loan", b"k" * 32, ["borrowed", 1, None]),
        ("loans", b"K" * 32, ["borrowed", 1, None]),
        ("loans", b"k" * 32, ["returned", 1, None]),
        ("loans", b"k" * 32, [b"borrowed", 1, None]),
        ("loans", b"k" * 32, ["borrowed", True, None]),
        ("loans", b"k" * 32, ["borrowed", 1, 0]),
        ("loans", b"k" * 32, ["borrowed", 1]),
        ("loans", b"k" * 32, [1, "borrowed", None]),
    ],
)
def test_any_other_row_gives_another_hash(other: tuple[str, bytes, list[Value]]) -> None:
    row: tuple[str, bytes, list[Value]] = ("loans", b"k" * 32, ["borrowed", 1, None])
    assert state_hash([row]) != state_hash([other]), "text, bytes, booleans and numbers differ"
    assert state_hash([row]) != state_hash([])
    assert state_hash([row]) != state_hash([row, row])


def test_hashes_of_different_things_never_meet() -> None:
    assert set_hash([]) != state_hash([]), "the purpose is part of a hash"
    assert digest("set", b"") == set_hash([])
    assert digest("a", b"bc") == digest("a", b"b", b"c")
    assert digest("a", b"") != digest("b", b"")
    assert len(canonical.encode([])) == 1


# --- which of several claims counts -------------------------------------------------------------

CLAIMS = [
    fact("alice's phone", "alice", Role.STEWARD, 3),
    fact("alice's phone", "alice", Role.STEWARD, 5),
    fact("alice's laptop", "alice", Role.STEWARD, 1),
    fact("bob's phone", "bob", Role.MEMBER, 9),
    fact("eve's phone", "eve", Role.NEWCOMER, 1000),
]


@given(st.permutations(CLAIMS))
@settings(deadline=None, max_examples=30)
def test_one_claim_prevails_in_every_order(claims: list[Fact]) -> None:
    found = prevailing(claims)
    assert found is not None
    assert found == prevailing(CLAIMS)
    assert found.role is Role.STEWARD, "the role decides, not who shouts last"
    assert found in CLAIMS[1:3], "and of one device its latest word"


def test_a_later_word_of_one_device_replaces_its_earlier_one() -> None:
    assert prevailing(CLAIMS[:2]) == CLAIMS[1]
    lowered = replace(CLAIMS[1], role=Role.NEWCOMER)
    assert prevailing([CLAIMS[0], lowered, CLAIMS[3]]) == CLAIMS[3], "with the role it has then"


def test_neither_clock_nor_id_decides() -> None:
    one = fact("bob's phone", "bob", Role.MEMBER, 1)
    other = fact("eve's phone", "eve", Role.MEMBER, 1)
    winner = prevailing([one, other])
    assert winner is not None
    for clock, ident in ((10**6, b"\x00" * 32), (0, b"\xff" * 32)):
        ground = [
            replace(f, lamport=clock, time_ms=clock, id=OperationId(ident)) if f != winner else f
            for f in (one, other)
        ]
        found = prevailing(ground)
        assert found is not None
        assert found.member == winner.member, "both could be ground by who wants to win"


def test_nothing_prevails_over_nothing() -> None:
    assert prevailing([]) is None


def test_the_usual_key_of_a_row_is_the_document() -> None:
    assert by_document(FACT) == (FACT.document,)
