"""Targets of spaces: the code at the door, tokens, hours, places, private and published entries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from random import Random

from nacl.secret import SecretBox
from tests.fuzz.target import Target, hold, only

from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import Refused
from commons_crdt.ids import DocumentId, RealmId, digest
from commons_crdt.kinds import encode_fact
from commons_crdt.ring import RingSignature, sign_ring, verify_ring
from commons_node.domains.own.entries import (
    Blank,
    CheckedIn,
    Content,
    Left,
    Regained,
    Shown,
    open_entry,
    seal_entry,
)
from commons_node.domains.own.facts import PLAIN
from commons_node.domains.spaces.cells import LETTERS, BadPlace, parse_cell
from commons_node.domains.spaces.facts import Attendance
from commons_node.domains.spaces.finding import _hours, _id
from commons_node.domains.spaces.hours import BadHours, parse_hours
from commons_node.domains.spaces.publishing import (
    Said,
    decode_said,
    encode_open,
    encode_sealed,
)
from commons_protocol import attendance, codes, venue
from commons_protocol.codes import BadCode

_REALM, _SPACE = RealmId(digest("f-realm")), DocumentId(digest("f-space"))
_PEOPLE = [
    DeviceSecrets(digest("f-sign", bytes([n])), digest("f-seal", bytes([n]))) for n in range(5)
]
_NODE = DeviceSecrets(digest("f-venue"), digest("f-venues"))
_SLOT = 5_944_000


def _sure(size: int) -> bytes:
    return Random(size).randbytes(size)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# --- the code and the token ----------------------------------------------------------------------


def _code(data: bytes) -> bool:
    try:
        with only("code"):
            found = venue.decode_venue_code(_text(data))
    except BadCode:
        return False
    hold(0 <= found.slot <= venue.MAX_SLOT and len(found.signature) == 64, "a slot, signed")
    found.fits(_REALM, _SPACE, _NODE.keys.signing)
    return True


def _code_inside(data: bytes) -> bool:
    """With a right checksum: anybody can compute one."""
    return _code(codes.letters(data[: codes.MAX_CODE + 8]).encode())


def _door() -> str:
    return venue.make_code(_REALM, _SPACE, _SLOT, _NODE.signing)


@cache
def _token() -> attendance.Token:
    ring = tuple(sorted(one.keys.signing for one in _PEOPLE))
    signature = sign_ring(
        attendance.message_of(_REALM, _SPACE, _SLOT), attendance.scope_of(_REALM, _SPACE, _SLOT),
        ring, _PEOPLE[2].signing, _sure,
    )  # fmt: skip
    code = venue.decode_venue_code(_door()).signature
    return attendance.Token(1, _REALM, _SPACE, _SLOT, code, ring, signature)


def body() -> Attendance:
    """A good body of the kind."""
    found = _token()
    return Attendance(found.slot, found.ring, found.signature)


def _answers(data: bytes) -> bool:
    try:
        with only("malformed", "size", "encoding"):
            found = attendance.decode_answer(data)
    except Refused:
        return False
    hold(attendance.decode_answer(attendance.encode_answer(found)) == found, "one thing")
    return True


def _tokens(data: bytes) -> bool:
    try:
        with only("malformed", "size", "encoding"):
            found = attendance.decode_token(data)
    except Refused:
        return _answers(data)
    hold(attendance.MIN_RING <= len(found.ring) <= 64, "a ring of its size")
    again = attendance.decode_token(attendance.encode_token(found))
    hold(again == found, "a token means one thing")
    verify_ring(b"m", b"s", found.ring, found.signature)
    return True


def _token_seeds() -> Mapping[str, bytes]:
    good = attendance.encode_token(_token())
    zeroes = RingSignature(bytes(32), bytes(32), (bytes(32),) * 5)
    odd = attendance.Token(1, _REALM, _SPACE, 0, bytes(64), (bytes(32),) * 5, zeroes)
    return {
        "good": good,
        "zeroes": attendance.encode_token(odd),
        "taken": attendance.encode_answer("taken"),
        "bad word": b"\x82\x01\x61x",
        "bad end": good[:-1],
        "bad fact": encode_fact(body()),
    }


# --- hours and places ----------------------------------------------------------------------------


def _week(data: bytes) -> bool:
    text = _text(data)
    _hours(text)
    _id(text)
    try:
        with only("hours"):
            found = parse_hours(text)
    except BadHours:
        return False
    moment = datetime(2026, 11, 21, 23, 30)  # noqa: DTZ001 - of any zone
    end = found.until(moment)
    hold(end is None or moment < end, "hours end later")
    hold(found.covers(moment) == (end is not None), "open until it ends")
    return True


def _cell(data: bytes) -> bool:
    try:
        with only("place"):
            found = parse_cell(_text(data))
    except BadPlace:
        return False
    hold(1 <= len(found) <= LETTERS, "never finer than a cell")
    hold(parse_cell(found) == found, "a cell stays what it is")
    return True


# --- entries -------------------------------------------------------------------------------------


def _entries() -> Mapping[str, Content]:
    return {
        "checked in": CheckedIn(digest("f-in"), _REALM, _SPACE, _SLOT, bytes(64), 1, 2),
        "left": Left(digest("f-in"), 3),
        "shown": Shown(digest("f-in"), digest("f-op"), 4, (digest("f-m"),)),
        "blank": Blank(5),
        "regained": Regained(digest("f-in"), 6),
    }


def _entry(data: bytes) -> bool:
    """Sealed as the member would: whoever has the key can make any."""
    key = digest("f-key")
    padded = data[:PLAIN].ljust(PLAIN, b"\x00")
    try:
        with only("malformed", "size", "encoding", "canonical"):
            open_entry(data, key)
    except Refused:
        pass
    try:
        with only("malformed", "size", "encoding", "canonical"):
            found = open_entry(bytes(SecretBox(key).encrypt(padded, bytes(24))), key)
    except Refused:
        return False
    sealed = seal_entry(found, key, _sure)
    hold(open_entry(sealed, key) == found, "an entry means one thing")
    return True


def _entry_seeds() -> Mapping[str, bytes]:
    key = digest("f-key")
    return {
        name: bytes(SecretBox(key).decrypt(seal_entry(one, key, _sure))).rstrip(b"\x00")
        for name, one in _entries().items()
    } | {"bad length": b"\xff\xff" + bytes(40)}


def _published(data: bytes) -> bool:
    found = decode_said(data, _PEOPLE[0])
    hold(found is None or len(found.space) == 32, "a space")
    decode_said(data, None)
    return found is not None


def _published_seeds() -> Mapping[str, bytes]:
    said = Said(_SPACE, 1, 2)
    return {"to all": encode_open(said), "bad key": b"\x01" + bytes(312), "bad kind": b"\x07"}


def published() -> bytes:
    """A part for one device: not the same twice, so it is in no corpus."""
    return encode_sealed(Said(_SPACE, 1, 2), [_PEOPLE[0].keys.sealing])


TARGETS = (
    Target("venue-code", _code, lambda: {"good": _door().encode(),
           "grouped": codes.grouped(_door()).lower().encode(), "bad part": _door().encode()[:-7]},
           "text"),
    Target("venue-code-inside", _code_inside, lambda: {"good": codes.payload_of(_door()),
           "bad kind": b"\x31" + bytes(71)}),
    Target("attendance-token", _tokens, _token_seeds, "cbor", memory=2 << 20),
    Target("space-hours", _week, lambda: {
           "always": b"24/7", "week": b"Mo-Fr 08:00-12:00,13:00-18:00; Sa 10:00-14:00; Su off",
           "night": b"Fr,Sa 22:00-04:00", "bad month": b"Nov-Feb 08:00-10:00",
           "bad id": b"ab" * 32}, "text"),
    Target("space-cell", _cell, lambda: {"exact": b"59.334591,18.063240", "cell": b"u6sce6",
           "bad far": b"91,0", "bad word": b"home"}, "text"),
    Target("own-entry", _entry, _entry_seeds),
    Target("presence-part", _published, _published_seeds),
)  # fmt: skip
