"""The recovery key survives paper, tired eyes and a keyboard, and shows itself to nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import VerifyKey

from commons_crdt.device import verify_claim
from commons_crdt.ids import OperationId, digest
from commons_node.keystore.recovery_key import (
    GROUPS,
    BadRecoveryKey,
    RecoveryKey,
    chosen,
    recovery_hash,
)
from commons_protocol.codes import knock_parts
from commons_protocol.names import peer_of_key

NODE, PHONE = peer_of_key(digest("t-node")), peer_of_key(digest("t-phone"))
KEY = RecoveryKey(digest("t-seed"))


@given(seed=st.binary(min_size=32, max_size=32), blank=st.sampled_from([" ", "-", "\n", ""]))
def test_what_is_printed_can_be_typed_again(seed: bytes, blank: str) -> None:
    key = RecoveryKey(seed)
    assert [len(group) for group in key.groups] == [4] * GROUPS
    typed = RecoveryKey.read(blank.join(key.groups).lower())
    assert typed.public == key.public
    assert typed.hash == recovery_hash(key.public)


@given(at=st.integers(0, 55), letter=st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_a_wrong_letter_is_noticed_before_anybody_is_asked(at: int, letter: str) -> None:
    text = "".join(KEY.groups)
    changed = text[:at] + letter + text[at + 1 :]
    if changed == text:
        return
    with pytest.raises(BadRecoveryKey):
        RecoveryKey.read(changed)


@pytest.mark.parametrize("text", ["", "hello", "0000", "".join(KEY.groups)[:-4], "U" * 56])
def test_what_is_no_key_says_so(text: str) -> None:
    with pytest.raises(BadRecoveryKey) as caught:
        RecoveryKey.read(text)
    assert "14 groups" in caught.value.way_out


def test_groups_typed_back_are_compared_kindly() -> None:
    asked = (2, 7, 14)
    right = " ".join(KEY.groups[number - 1] for number in asked)
    assert KEY.fits(asked, right.lower().replace("1", "l").replace("0", "o"))
    assert KEY.fits(asked, right.replace(" ", "-"))
    assert not KEY.fits(asked, right[:-1])
    assert not KEY.fits((1, 7, 14), right) or KEY.groups[0] == KEY.groups[1]


@given(number=st.integers(0, 2**64 - 1))
def test_three_different_groups_are_asked_for(number: int) -> None:
    asked = chosen(number)
    assert len(set(asked)) == 3
    assert all(1 <= one <= GROUPS for one in asked)


def test_every_group_may_be_asked_for() -> None:
    assert {one for n in range(14 * 13 * 12) for one in chosen(n)} == set(range(1, GROUPS + 1))


def test_it_signs_statements_and_knocks_and_is_never_shown() -> None:
    statement = digest("t-statem")
    VerifyKey(KEY.public).verify(statement, KEY.sign(statement))
    nonce = digest("t-nonce")
    knock = KEY.knock(nonce, NODE, PHONE)
    parts = knock_parts(nonce, NODE, PHONE, OperationId(KEY.public))
    assert verify_claim("knock", KEY.public, knock.signature, *parts)
    assert KEY.groups[0] not in repr(KEY)
