"""The committed vectors run for ever: other programs, and our own later versions, hold to them."""

import hashlib
import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.unit.town import Number, replica

from commons_crdt.authority.facts import Identity
from commons_crdt.authority.kinds import CORE
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import Refused
from commons_crdt.folds import set_hash, state_hash
from commons_crdt.ids import DocumentId, RealmId, digest
from commons_crdt.kinds import Kind, Rules, decode_fact
from commons_crdt.operation import (
    MAX_LARGE_PART,
    SMALL_PART,
    Operation,
    check_contents,
    decode_header,
    encode_header,
    operation_id,
    part_hash,
    sign,
    verify,
)
from commons_crdt.ring import tag_of, verify_ring
from commons_crdt.roles import Role
from commons_protocol import part_messages
from commons_protocol.attendance import decode_answer, decode_token, message_of, scope_of
from commons_protocol.codes import BadCode
from commons_protocol.venue import decode_venue_code

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "protocol"
FILES = (
    "operations",
    "devices",
    "members",
    "signatures",
    "hashes",
    "judge",
    "authority",
    "archive",
    "sync",
    "bundle",
    "bundle-parts",
    "parts",
    "spaces",
)


@cache
def load(name: str) -> Any:
    return json.loads((PROTOCOL / "vectors" / f"{name}.json").read_text(encoding="utf-8"))


@cache
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_vectors", PROTOCOL / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def shown(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return [shown(item) for item in value] if isinstance(value, (list, tuple)) else value


def some(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def operation_of(entry: dict[str, Any]) -> Operation:
    header, signature = bytes.fromhex(entry["header"]), bytes.fromhex(entry["signature"])
    return Operation(header, signature, some(entry["body"]), tuple(map(some, entry["parts"])))


# --- the files ----------------------------------------------------------------------------------


def test_the_script_writes_the_committed_files_byte_by_byte() -> None:
    made = script().files()
    assert set(made) == {f"{name}.json" for name in FILES}
    for name, text in made.items():
        committed = (PROTOCOL / "vectors" / name).read_text(encoding="utf-8")
        assert text == committed, f"{name} is as released: a new format is a new version"


# --- operations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", load("operations")["accepted"], ids=lambda e: str(e["name"]))
def test_a_header_is_read_named_signed_and_written_as_listed(entry: dict[str, Any]) -> None:
    data = bytes.fromhex(entry["header"])
    header = decode_header(data)
    assert encode_header(header) == data
    assert shown(msgspec.to_builtins(header, builtin_types=(bytes,))) == entry["fields"]
    assert operation_id(data).hex() == entry["id"]
    assert sign(data, bytes.fromhex(entry["signing_seed"])).hex() == entry["signature"]


@pytest.mark.parametrize("entry", load("operations")["refused"], ids=lambda e: str(e["name"]))
def test_bytes_are_refused_with_the_listed_code(entry: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        decode_header(bytes.fromhex(entry["header"]))
    assert caught.value.why == entry["code"]


@pytest.mark.parametrize("entry", load("operations")["contents"], ids=lambda e: str(e["name"]))
def test_contents_are_checked_as_listed(entry: dict[str, Any]) -> None:
    data = bytes.fromhex(entry["header"])
    operation = Operation(data, b"", some(entry["body"]), (some(entry["part"]),))
    code = ""
    try:
        check_contents(decode_header(data), operation)
    except Refused as refused:
        code = refused.why
    assert code == entry["code"]


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", load("devices"), ids=lambda e: str(e["name"]))
def test_a_device_is_named_as_listed(entry: dict[str, Any]) -> None:
    seeds = (bytes.fromhex(entry["signing_seed"]), bytes.fromhex(entry["sealing_seed"]))
    keys = DeviceSecrets(*seeds).keys
    assert keys.signing.hex() == entry["signing_key"]
    assert keys.sealing.hex() == entry["sealing_key"]
    assert keys.id.hex() == entry["device"]


@pytest.mark.parametrize("entry", load("members"), ids=lambda e: str(e["name"]))
def test_a_member_is_named_as_listed(entry: dict[str, Any]) -> None:
    who = decode_fact(Identity, bytes.fromhex(entry["fact"]))
    assert who.device.id.hex() == entry["device"]
    assert [guardian.hex() for guardian in who.guardians] == entry["guardians"]
    assert who.member.hex() == entry["member"]


# --- signatures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", load("signatures"), ids=lambda e: str(e["name"]))
def test_a_signature_is_verified_as_libsodium_does(entry: dict[str, Any]) -> None:
    header, key = bytes.fromhex(entry["header"]), bytes.fromhex(entry["key"])
    assert verify(header, bytes.fromhex(entry["signature"]), key) is entry["valid"]


@pytest.mark.parametrize("entry", load("signatures"), ids=lambda e: str(e["name"]))
def test_openssl_takes_what_the_page_says_it_takes(entry: dict[str, Any]) -> None:
    message = b"commons/operation/1\x00" + bytes.fromhex(entry["header"])
    taken = True
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry["key"]))
        key.verify(bytes.fromhex(entry["signature"]), message)
    except InvalidSignature:
        taken = False
    assert taken is entry["openssl"], "if OpenSSL has changed its mind, the page must say so"


def test_openssl_takes_signatures_that_libsodium_refuses() -> None:
    apart = [entry["name"] for entry in load("signatures") if entry["openssl"] > entry["valid"]]
    assert len(apart) >= 4, "which is why nothing but libsodium decides"
    assert not [entry for entry in load("signatures") if entry["valid"] > entry["openssl"]]


# --- hashes -------------------------------------------------------------------------------------


def test_hashes_are_as_listed() -> None:
    listed = load("hashes")
    for entry in listed["digests"]:
        assert digest(entry["purpose"], bytes.fromhex(entry["data"])).hex() == entry["digest"]
    for entry in listed["set_hash"]:
        pairs = [(bytes.fromhex(v["id"]), v["verdict"]) for v in entry["verdicts"]]
        assert set_hash(pairs[::-1]).hex() == entry["hash"]
    for entry in listed["state_hash"]:
        rows = [
            (
                view,
                bytes.fromhex(key),
                [bytes.fromhex(v["bytes"]) if isinstance(v, dict) else v for v in row],
            )
            for view, key, row in entry["rows"]
        ]
        assert state_hash(rows[::-1]).hex() == entry["hash"]


# --- the judge ----------------------------------------------------------------------------------

KINDS = Kind(
    "vector.note.1", Number, Role.NEWCOMER, max_body=100, parts={"text": 100}, erased="body"
)


@pytest.mark.parametrize("story", ["judge", "authority"])
@pytest.mark.parametrize("step", [1, 2, 3, 5, -1])
def test_the_judge_says_what_is_listed_in_any_order(story: str, step: int) -> None:
    listed = load(story)
    entries = [*listed["operations"][::step]]
    entries += [entry for entry in listed["operations"] if entry not in entries]
    node = replica(
        RealmId(bytes.fromhex(listed["realm"])),
        "reader",
        [operation_of(entry) for entry in entries],
        Rules.of(1, (*CORE, KINDS)),
    )
    for entry in listed["operations"]:
        if node.waiting:
            node.receive(operation_of(entry))  # of a device that was not known when it came
    verdicts = {ident.hex(): verdict for ident, verdict in node.verdicts().items()}
    for entry in listed["operations"]:
        assert verdicts[entry["id"]] == (entry["verdict"], entry["reason"]), entry["name"]
    assert node.set_hash().hex() == listed["set_hash"]
    assert not node.waiting


@pytest.mark.parametrize("entry", load("judge")["refused"], ids=lambda e: str(e["name"]))
def test_the_judge_refuses_what_is_listed(entry: dict[str, Any]) -> None:
    listed = load("judge")
    node = replica(
        RealmId(bytes.fromhex(listed["realm"])),
        "reader",
        [operation_of(known) for known in listed["operations"]],
        Rules.of(1, (*CORE, KINDS)),
    )
    assert node.receive(operation_of(entry)) == entry["code"]


def test_the_vectors_give_every_reason_of_the_core() -> None:
    listed = load("judge")
    reasons = {entry["reason"] for entry in listed["operations"]}
    assert reasons >= {
        "", "expired", "fork", "grant", "invite", "kind", "log", "malformed", "oversize", "part",
        "possession", "reference", "role", "spent", "subject", "target", "unlisted", "consent",
    }  # fmt: skip
    reasons |= {entry["reason"] for entry in load("authority")["operations"]}
    assert reasons >= {
        "ballot", "base", "closed", "council", "cut", "limit", "proof", "removed", "tip", "warrant",
    }  # fmt: skip
    codes = {entry["code"] for entry in listed["refused"]}
    assert codes == {
        "authority", "budget", "chain", "contents", "lamport", "log", "realm", "time",
    }  # fmt: skip


# --- parts on demand ------------------------------------------------------------------------------


def test_the_messages_of_parts_are_read_and_written_as_they_say() -> None:
    vectors = load("parts")
    assert (vectors["small"], vectors["largest"]) == (SMALL_PART, MAX_LARGE_PART)
    for entry in vectors["messages"]:
        frame = bytes.fromhex(entry["frame"])
        message = part_messages.unpack_parts(frame)
        assert isinstance(message, part_messages.PartMessage)
        assert part_messages.pack(message) == frame, entry["name"]
    for entry in vectors["bad"]:
        with pytest.raises(Refused) as caught:
            part_messages.unpack_parts(bytes.fromhex(entry["frame"]))
        assert caught.value.why == entry["code"], entry["name"]


def test_a_part_goes_in_chunks_from_where_it_is_asked_for() -> None:
    vector = load("parts")["part"]
    data = hashlib.shake_128(bytes.fromhex(vector["shake_128"])).digest(vector["length"])
    assert part_hash(data).hex() == vector["hash"]
    assert vector["offset"] + sum(vector["chunks"]) == len(data)
    assert all(length == part_messages.CHUNK for length in vector["chunks"][:-1])
    assert 0 < vector["chunks"][-1] <= part_messages.CHUNK


def test_codes_of_doors_and_tokens() -> None:
    found = load("spaces")
    realm, space = RealmId(bytes.fromhex(found["realm"])), DocumentId(bytes.fromhex(found["space"]))
    code = decode_venue_code(found["code"]["letters"])
    assert code.slot == found["slot"]
    assert code.signature.hex() == found["code"]["signature"]
    assert code.fits(realm, space, bytes.fromhex(found["node"]))
    for bad in found["bad codes"].values():
        with pytest.raises(BadCode):
            decode_venue_code(bad)
    token = decode_token(bytes.fromhex(found["token"]))
    assert [key.hex() for key in token.ring] == found["ring"]["keys"]
    message, scope = message_of(realm, space, code.slot), scope_of(realm, space, code.slot)
    assert (message.hex(), scope.hex()) == (found["ring"]["message"], found["ring"]["scope"])
    assert verify_ring(message, scope, token.ring, token.signature)
    seed = bytes.fromhex(found["ring"]["seed"])
    assert tag_of(seed, scope) == token.signature.tag
    assert list(found["ring"]["tags"].values()).count(token.signature.tag.hex()) == 1
    for answer, data in found["answers"].items():
        assert decode_answer(bytes.fromhex(data)) == answer
