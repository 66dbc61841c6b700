"""Spaces: codes of a door, a ring signature, and a token with its answers."""

from __future__ import annotations

from typing import Any

from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import DocumentId, RealmId, digest
from commons_crdt.ring import sign_ring, tag_of
from commons_protocol.attendance import (
    Token,
    encode_answer,
    encode_token,
    message_of,
    scope_of,
)
from commons_protocol.codes import letters, payload_of
from commons_protocol.venue import decode_venue_code, make_code

_REALM, _SPACE, _SLOT = RealmId(digest("v-realm")), DocumentId(digest("v-space")), 5_944_100
_PEOPLE = [DeviceSecrets(digest("v-ring", bytes([n])), bytes(32)) for n in range(5)]


def spaces() -> dict[str, Any]:
    """Everything in hexadecimal but the codes' letters."""
    node = DeviceSecrets(digest("v-node"), bytes(32))
    text = make_code(_REALM, _SPACE, _SLOT, node.signing)
    ring = tuple(sorted(one.keys.signing for one in _PEOPLE))
    message, scope = message_of(_REALM, _SPACE, _SLOT), scope_of(_REALM, _SPACE, _SLOT)
    drawn = iter(range(1000))
    signer = _PEOPLE[2]
    signature = sign_ring(
        message, scope, ring, signer.signing,
        lambda size: digest("v-drawn", bytes([next(drawn)])) * (size // 32),
    )  # fmt: skip
    code = decode_venue_code(text)
    token = Token(1, _REALM, _SPACE, _SLOT, code.signature, ring, signature)
    payload = payload_of(text)
    return {
        "realm": _REALM.hex(),
        "space": _SPACE.hex(),
        "slot": _SLOT,
        "node": node.keys.signing.hex(),
        "code": {"letters": text, "payload": payload.hex(), "signature": code.signature.hex()},
        "bad codes": {
            "of another kind": letters(b"\x20" + payload[1:]),
            "too short": letters(payload[:-1]),
            "a letter less": text[:-1],
        },
        "ring": {
            "keys": [key.hex() for key in ring],
            "message": message.hex(),
            "scope": scope.hex(),
            "seed": signer.signing.hex(),
            "tags": {one.keys.signing.hex(): tag_of(one.signing, scope).hex() for one in _PEOPLE},
            "signature": {
                "tag": signature.tag.hex(),
                "challenge": signature.challenge.hex(),
                "answers": [answer.hex() for answer in signature.answers],
            },
        },
        "token": encode_token(token).hex(),
        "answers": {
            answer: encode_answer(answer).hex() for answer in ("taken", "refused", "later")
        },
    }
