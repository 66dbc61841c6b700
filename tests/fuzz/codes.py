"""Targets of what people carry and type: invites, offers, addresses, ids, durations and times."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random

import click
from tests.fuzz.messages import NODE_ADDRESS
from tests.fuzz.target import Target, hold, only
from tests.fuzz.vectors import operations

from commons_cli.values import Duration, Moment
from commons_crdt.ids import OperationId, RealmId, digest
from commons_crdt.operation import operation_id
from commons_node.domains.resources import views as things
from commons_protocol import codes, names
from commons_protocol.codes import BadCode, LongAddress, OfferCode
from commons_protocol.libp2p_host import addresses
from commons_protocol.libp2p_host.identity import id_of
from commons_protocol.network import Address, PeerId, Unreachable
from commons_protocol.offers import BadOffer, decode_offer_file, encode_offer_file

PEER = PeerId(NODE_ADDRESS.rpartition("/")[2])
REALM = RealmId(digest("f-realm"))
INVITE = OperationId(digest("f-invite"))
SEED = b"sixteen bytes se"


def _text(data: bytes) -> str:
    """As text comes over the API: UTF-8, at most a few thousand characters."""
    return data.decode("utf-8", "replace")


# --- codes ---------------------------------------------------------------------------------------


def _invite_code(data: bytes) -> bool:
    try:
        with only("code"):
            found = codes.decode_invite(_text(data))
    except BadCode:
        return False
    hold(len(found.invite) == 32 and len(found.seed) == 16, "an invite and its seed")
    hold(len(found.pin) == 16, "half a realm")
    hold(len(found.addresses) <= 1, "one address at most")
    hold(bool(found.check) == bool(found.addresses), "an address comes with a check of its node")
    for address in found.addresses:
        with contextlib.suppress(Unreachable):
            addresses.parse(address)
    repr(found)
    return True


def _offer_code(data: bytes) -> bool:
    try:
        with only("code"):
            found = codes.decode_offer(_text(data))
    except BadCode:
        return False
    again = codes.decode_offer(codes.grouped(codes.encode_offer(found)).lower())
    hold(again == found, "an offer's code means one thing")
    return True


def _code_payload(data: bytes) -> bool:
    """What is inside of a code, with a right checksum: anybody can compute one."""
    letters = codes.letters(data[: codes.MAX_CODE + 8]).encode()
    return _invite_code(letters) | _offer_code(letters)


def _invites() -> dict[str, str]:
    made = {"no address": None, "ip4": NODE_ADDRESS,
            "ip6": f"/ip6/2001:db8::7/tcp/4001/p2p/{PEER}",
            "dns": f"/dns4/drill.example/tcp/1/p2p/{PEER}"}  # fmt: skip
    return {
        name: codes.encode_invite(INVITE, SEED, REALM, Address(where) if where else None)
        for name, where in made.items()
    }


def _offer() -> str:
    return codes.encode_offer(OfferCode(INVITE, OperationId(digest("f-loan")), digest("f-thing")))


def _invite_seeds() -> Mapping[str, bytes]:
    found = {name: code.encode() for name, code in _invites().items()}
    found["as read aloud"] = codes.grouped(_invites()["ip4"]).lower().encode()
    found["with look-alikes"] = _invites()["dns"].replace("0", "O").replace("1", "l").encode()
    return found | {"bad offer": _offer().encode(), "bad part": found["ip4"][:-9]}


def _offer_seeds() -> Mapping[str, bytes]:
    return {
        "letters": _offer().encode(),
        "grouped": codes.grouped(_offer()).encode(),
        "bad invite": _invites()["ip4"].encode(),
        "bad letter": _offer().replace("A", "B", 1).encode(),
    }


def _payload_seeds() -> Mapping[str, bytes]:
    found = {name: codes.payload_of(code) for name, code in _invites().items()}
    return found | {"an offer": codes.payload_of(_offer()), "bad kind": b"\x15" + bytes(64)}


# --- files ---------------------------------------------------------------------------------------


def _invite_file(data: bytes) -> bool:
    try:
        with only("code"):
            found = codes.decode_invite_file(data)
    except BadCode:
        return False
    assert found.operation is not None
    hold(found.invite == operation_id(found.operation.header), "it carries its own operation")
    again = codes.encode_invite_file(
        found.operation, found.seed, RealmId(found.pin), found.addresses
    )
    hold(codes.decode_invite_file(again) == found, "an invite file means one thing")
    repr(found)
    return True


def _invite_file_seeds() -> Mapping[str, bytes]:
    operation = operations()["alice invites once"]
    where = (Address(NODE_ADDRESS), Address(f"/dns/drill.example/tcp/1/p2p/{PEER}"))
    return {
        "two addresses": codes.encode_invite_file(operation, SEED, REALM, where),
        "no address": codes.encode_invite_file(operation, SEED, REALM, ()),
        "bad address": codes.encode_invite_file(operation, SEED, REALM, (Address("/ip4/1"),)),
    }


def _offer_file(data: bytes) -> bool:
    try:
        with only("offer"):
            found = decode_offer_file(data)
    except BadOffer:
        return False
    again = encode_offer_file(found.realm, found.offer, (), found.operations)
    hold(decode_offer_file(again) == found, "an offer file means one thing")
    return True


def _offer_file_seeds() -> Mapping[str, bytes]:
    some = operations()
    log_zero, note = [some["genesis"], some["alice grants her node"]], some["alice writes a note"]
    offer = operation_id(note.header)
    whole = encode_offer_file(REALM, offer, log_zero, [note])
    return {
        "whole": whole,
        "bad without the offer": whole.replace(offer, bytes(32), 1),
        "bad magic": whole.replace(b"offer", b"offal", 1),
    }


# --- addresses and ids ---------------------------------------------------------------------------


def _address(data: bytes) -> bool:
    """An address as peers, invites and people give it."""
    try:
        found, peer = addresses.parse(Address(_text(data)))
    except Unreachable as error:
        str(error).encode()
        return False
    whole = f"{found}/p2p/{peer}" if peer else str(found)
    hold(addresses.parse(Address(whole)) == (found, peer), "an address means one thing")
    addresses.is_name(found)
    if peer is not None:
        hold(names.peer_id(names.node_id(peer)) == peer, "who it names is a node")
        with contextlib.suppress(LongAddress):
            codes.encode_invite(INVITE, SEED, REALM, Address(whole))
    return True


def _address_seeds() -> Mapping[str, bytes]:
    return {
        "ip4": NODE_ADDRESS.encode(),
        "ip6": f"/ip6/::1/tcp/0/p2p/{PEER}".encode(),
        "name": b"/dns4/drill.example/tcp/4001",
        "bad udp": b"/ip4/192.0.2.7/udp/4001",
        "bad circuit": f"{NODE_ADDRESS}/p2p-circuit".encode(),
        "bad port": b"/ip4/192.0.2.7/tcp/65536",
    }


def _peer_name(data: bytes) -> bool:
    """A node in one of its two names: hex or peer id."""
    text = _text(data)
    taken = False
    with contextlib.suppress(ValueError):
        hold(names.node_id(names.peer_id(names.NodeId(text))) == text, "hex means one node")
        taken = True
    with contextlib.suppress(ValueError):
        peer = names.peer_of_key(names.peer_key(PeerId(text)))
        hold(peer == text, "a peer id means one node, and is its only name")
        hold(id_of(peer).to_base58() == peer, "libp2p reads it the same way")
        taken = True
    with contextlib.suppress(Unreachable):
        id_of(text)
    return taken


def _peer_seeds() -> Mapping[str, bytes]:
    return {
        "peer id": PEER.encode(),
        "hex": names.node_id(PEER).encode(),
        "bad upper case": names.node_id(PEER).upper().encode(),
        "bad of another key": b"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "bad one letter more": b"1" + PEER.encode(),
    }


def _document_id(data: bytes) -> bool:
    """The document that a field of another document names: text by whoever wrote it."""
    text = _text(data)
    ident = things._document(text)
    hold(len(ident) in {0, 32}, "an id has 32 bytes, or there is none")
    hold(not ident or ident.hex() == text.lower(), "in hex, and nothing else")
    return bool(ident)


def _other_peer(data: bytes, _other: bytes, rng: Random) -> bytes:
    """Another node, in the same kind of name."""
    key = rng.randbytes(32)
    peer = names.peer_of_key(key).encode()
    return key.hex().encode() if len(data) == 64 else data.replace(PEER.encode(), peer) or peer


# --- typed on a command line ---------------------------------------------------------------------


def _typed(check: Callable[[str], None]) -> Callable[[bytes], bool]:
    def run(data: bytes) -> bool:
        try:
            check(data.decode("utf-8", "surrogateescape"))
        except click.UsageError as error:
            error.format_message()
            return False
        return True

    return run


@_typed
def _duration(text: str) -> None:
    seconds = Duration().convert(text, None, None)
    hold(type(seconds) is int and seconds >= 0, "a duration is a number of seconds")


@_typed
def _moment(text: str) -> None:
    moment = Moment().convert(text, None, None)
    hold(moment.endswith("Z"), "a time is in UTC")
    hold(Moment().convert(moment, None, None) == moment, "and means one moment")
    hold(datetime.fromisoformat(moment).tzinfo is not None, "that everybody can read")


TARGETS = (
    Target("invite-code", _invite_code, _invite_seeds, "text"),
    Target("offer-code", _offer_code, _offer_seeds, "text"),
    Target("code-payload", _code_payload, _payload_seeds),
    Target("invite-file", _invite_file, _invite_file_seeds, "cbor"),
    Target("offer-file", _offer_file, _offer_file_seeds, "cbor"),
    Target("address", _address, _address_seeds, "text", own=(_other_peer,)),
    Target("peer-name", _peer_name, _peer_seeds, "text", own=(_other_peer,)),
    Target(
        "document-id",
        _document_id,
        lambda: {
            "lower": b"0f" * 32,
            "upper": b"0F" * 32,
            "bad blanks": b"0f 0f" * 12 + b"0f0f",
            "bad short": b"0f" * 31,
        },
        "text",
    ),
    Target(
        "duration",
        _duration,
        lambda: {"minutes": b"15m", "both": b"1h30m", "seconds": b"90", "bad unit": b"3y"},
        "text",
    ),
    Target(
        "moment",
        _moment,
        lambda: {
            "a day": b"2026-05-01",
            "utc": b"2026-05-01T18:00:00Z",
            "elsewhere": b"2026-05-01T18:00:00.5+13:45",
            "a week day": b"2026-W18-5",
            "bad month": b"2026-13-01",
            "bad before all": b"0001-01-01T00:00:00+23:00",
        },
        "text",
    ),
)
