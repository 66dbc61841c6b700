"""Targets of what a new machine brings: device and help codes, recovery keys, request files."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz.codes import REALM, SEED
from tests.fuzz.messages import NODE_ADDRESS
from tests.fuzz.target import Target, hold, only
from tests.fuzz.vectors import operations

from commons_crdt.ids import DeviceId, MemberId, digest
from commons_node.keystore.recovery_key import BadRecoveryKey, RecoveryKey
from commons_protocol import wire
from commons_protocol.codes import BadCode, grouped, letters
from commons_protocol.frame import encode
from commons_protocol.network import Address
from commons_protocol.request_files import decode_grant, decode_request, encode_grant
from commons_protocol.tickets import (
    Purpose,
    decode_ticket,
    digits,
    encode_ticket,
    heard,
    spoken,
    statement_digits,
)

MEMBER = MemberId(digest("f-member"))
_PURPOSES: tuple[Purpose, ...] = ("device", "help")


def _ticket(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    taken = 0
    for purpose in _PURPOSES:
        try:
            with only("code"):
                found = decode_ticket(text, purpose)
        except BadCode:
            continue
        taken += 1
        hold(found.purpose == purpose, "a code is for one purpose")
        hold(len(found.member) == 32 and len(found.seed) == 16, "a member and a seed")
        hold(found.realm is None or found.fits_realm(found.realm), "a whole realm fits itself")
        repr(found)
    hold(taken < 2, "and for no other")
    return taken == 1


def _ticket_seeds() -> Mapping[str, bytes]:
    near = encode_ticket("device", MEMBER, SEED, REALM, Address(NODE_ADDRESS))
    return {
        "by hand": encode_ticket("help", MEMBER, SEED, REALM, None).encode(),
        "near": near.encode(),
        "as read aloud": grouped(near).lower().encode(),
        "bad short": near[:-9].encode(),
        "bad type": letters(b"\xf0" + bytes(64)).encode(),
    }


def _recovery_key(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    try:
        with only("recovery_key"):
            key = RecoveryKey.read(text)
    except BadRecoveryKey:
        return False
    again = RecoveryKey.read(" ".join(key.groups).lower())
    hold(again.hash == key.hash, "a key means one thing")
    hold(key.fits((1, 2), key.groups[0] + " " + key.groups[1]), "its own groups fit")
    return True


def _recovery_key_seeds() -> Mapping[str, bytes]:
    printed = " ".join(RecoveryKey(digest("f-paper")).groups)
    return {
        "printed": printed.encode(),
        "typed": printed.replace(" ", "-").lower().encode(),
        "bad letter": printed.replace(printed[5], "7" if printed[5] != "7" else "8", 1).encode(),
        "bad length": letters(bytes(31)).encode(),
    }


def _request(data: bytes) -> bool:
    try:
        with only("code"):
            member, ticket, message = decode_request(data)
    except BadCode:
        return False
    hold(len(member) == len(ticket) == 32, "a member and a ticket")
    hold(wire.unpack_join(wire.pack(message)) == message, "a request means one thing")
    return True


def _request_seeds() -> Mapping[str, bytes]:
    good = wire.pack(wire.Apply(b"device", b"c" * 64, b"", b"", b"p" * 64, (b"r" * 32,)))
    whole = ["commons-device-request", 1, bytes(MEMBER), b"t" * 32, good]
    other = [*whole[:4], wire.pack(wire.Turned("expired"))]
    return {
        "whole": encode(whole),
        "bad of another message": encode(other),
        "bad magic": encode(["commons-device-grant", *whole[1:]]),
    }


def _grant(data: bytes) -> bool:
    try:
        with only("code"):
            realm, member, found = decode_grant(data)
    except BadCode:
        return False
    again = decode_grant(encode_grant(realm, member, found))
    hold(again[:2] == (realm, member), "a grant means one thing")
    hold(len(again[2]) == len(found), "with all its operations")
    return True


def _grant_seeds() -> Mapping[str, bytes]:
    some = [operations()["genesis"], operations()["alice grants her node"]]
    return {
        "whole": encode_grant(REALM, MEMBER, some),
        "nothing": encode_grant(REALM, MEMBER, []),
        "bad no list": encode(["commons-device-grant", 1, bytes(REALM), bytes(MEMBER), 1]),
    }


def _digits(data: bytes) -> bool:
    """What people read to each other: of the same things the same, and nothing but digits."""
    shown = digits(REALM, MEMBER, DeviceId(digest("f-new", data)), SEED)
    told = statement_digits(data)
    hold((len(shown), len(told)) == (6, 12), "six and twelve digits")
    hold(heard(spoken(shown)) == shown and heard(spoken(told)) == told, "read aloud and typed")
    typed = heard(data.decode("utf-8", "replace"))
    hold(typed == "" or typed.isdecimal(), "only digits are heard")
    return bool(typed)


def _digits_seeds() -> Mapping[str, bytes]:
    return {"six": b"482 913", "twelve": b"4829-1377-0214", "bad none": b"no digits at all"}


TARGETS = (
    Target("ticket", _ticket, _ticket_seeds, "text"),
    Target("recovery-key", _recovery_key, _recovery_key_seeds, "text"),
    Target("request-file", _request, _request_seeds, "cbor"),
    Target("grant-file", _grant, _grant_seeds, "cbor"),
    Target("digits", _digits, _digits_seeds, "text"),
)
