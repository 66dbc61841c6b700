"""Targets of operations: canonical CBOR, headers, whole envelopes, parts, the body of every kind.

These bytes are signed or hashed, so each value has one encoding: whatever is taken must encode to
the very same bytes again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from random import Random

import msgspec
from tests.fuzz import powers, spaces
from tests.fuzz.changes import take
from tests.fuzz.mutations import OF
from tests.fuzz.target import Target, headed, hold, only, with_head
from tests.fuzz.vectors import operations, vectors
from tests.unit.test_document_bytes import ALICE

from commons_crdt import canonical
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
from commons_crdt.authority.judge import ERASURE, GENESIS
from commons_crdt.authority.kinds import ADMIT, EPOCH, INVITE, NODE, ROLE
from commons_crdt.authority.kinds_council import ACT
from commons_crdt.device import DeviceSecrets, unseal
from commons_crdt.document.schema import DocumentSchema
from commons_crdt.document.values import Value
from commons_crdt.document.write import create
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO, digest
from commons_crdt.kinds import Kind, decode_fact, encode_fact, read_fact
from commons_crdt.operation import (
    MAX_BODY,
    MAX_HEADER,
    SALT_BYTES,
    SMALL_PART,
    Commitment,
    body_hash,
    check_contents,
    content,
    decode_header,
    encode_header,
    operation_id,
    part_hash,
    salted,
    sign,
)
from commons_node.domains import RULES
from commons_node.domains.agents import facts as agents
from commons_node.domains.leaving import facts as leaving
from commons_node.domains.lending import facts as lending
from commons_node.domains.membership import facts as membership
from commons_node.domains.own import facts as own
from commons_node.domains.profiles import facts as profiles
from commons_node.domains.reputation import facts as reputation
from commons_node.domains.resources import facts as resources
from commons_node.domains.resources.facts import ITEM_SCHEMA, SPECIFICATION_SCHEMA
from commons_node.domains.spaces import facts as places
from commons_node.realm import batches
from commons_node.verifier import work
from commons_protocol import carriage
from commons_protocol.frame import encode

SALT = b"s" * SALT_BYTES


# --- canonical CBOR and headers ------------------------------------------------------------------


def _canonical(data: bytes) -> bool:
    try:
        with only("size", "encoding"):
            value = canonical.decode(data, MAX_BODY)
    except Refused:
        return False
    hold(canonical.encode(value) == data, "what is canonical has one encoding")
    return True


def _canonical_seeds() -> Mapping[str, bytes]:
    values: dict[str, object] = {
        "scalars": [0, 23, 24, -1, 2**63, -(2**64), b"bytes", "text é", True, False, None],
        "nested": [[[[[[[[]]]]]]]],
        "long": [b"x" * 300, "y" * 300, list(range(30))],
    }
    bad = {
        "bad too deep": b"\x81" * 9 + b"\x00",
        "bad a tag": b"\xc2\x41\x01",
        "bad long form": b"\x18\x01",
    }
    return {name: canonical.encode(value) for name, value in values.items()} | bad


def _header(data: bytes) -> bool:
    try:
        with only("size", "encoding", "version", "format"):
            header = decode_header(data)
    except Refused:
        return False
    hold(encode_header(header) == data, "a header has one encoding")
    hold(decode_header(encode_header(header)) == header, "and means one thing")
    hold(len(data) <= MAX_HEADER, "within the bound")
    return True


def _header_seeds() -> Mapping[str, bytes]:
    found = {one["name"]: bytes.fromhex(one["header"]) for one in vectors("operations")["accepted"]}
    wanted = ("version 2", "refs out of order", "17 refs", "indefinite length", "too deep")
    for one in vectors("operations")["refused"]:
        if one["name"] in wanted:
            found[f"bad {one['name']}"] = bytes.fromhex(one["header"])
    return found


# --- the whole envelope --------------------------------------------------------------------------

AUTHOR = DeviceSecrets(digest("f-sign"), digest("f-seal"))
SEALED = (
    "ce4c6de6fe5bcb35cb9f6aeeafce9deecdbadb5af405c647ff638e3f0951cc7a7bf9ed741ce34826"
    "8eaf1088219d094879c1116d4dc2afbd7eef6776c951511f04049eeec27bfd1bda67325a86f3cf8f"
)
"""An epoch's key, sealed to `AUTHOR`. Sealing draws a key by chance: this one was drawn once."""
PLEASE_SIGN = bytes(64)
"""Stands for "signed by `AUTHOR`": no mutation of a body would ever be signed otherwise."""


@lru_cache
def _keys() -> dict[bytes, bytes]:
    """Signing keys of the devices in the vectors."""
    known = {
        bytes.fromhex(one["device"]): bytes.fromhex(one["signing_key"])
        for one in vectors("devices")
    }
    for operation in operations().values():
        header = decode_header(operation.header)
        if operation.body is not None and header.kind == NODE:
            grant = decode_fact(NodeGrant, content(operation.body))
            known[grant.device.id] = grant.device.signing
    return known


def _operation(data: bytes) -> bool:
    try:
        with only("size", "encoding", "message"):
            operation = carriage.unpack_pieces(data)
    except Refused:
        return False
    again = carriage.unpack_pieces(encode(carriage.pack_operation(operation)))
    parts = tuple(p if p is None or len(p) <= SMALL_PART else None for p in operation.parts)
    travels = replace(operation, parts=parts)
    hold(again == travels, "an operation travels as it is, without its large parts")
    ident = operation_id(operation.header)
    reading = batches.read([operation], ident)
    if not reading.parsed:
        hold(reading.refused.total() == 1, "what is not read is counted")
        return False
    return _checked(reading.parsed[ident])


def _checked(parsed: batches.Parsed) -> bool:
    """Signature, contents and body, as the verifier and the intake take them."""
    operation, header = parsed.operation, parsed.header
    kind = RULES.kinds.get(header.kind)
    key = _keys().get(header.device, AUTHOR.keys.signing)
    signature = operation.signature
    if signature == PLEASE_SIGN:
        key, signature = AUTHOR.keys.signing, sign(operation.header, AUTHOR.signing)
    edit = kind is not None and kind.schema is not None
    contents = Commitment(header.body_hash, header.body_length, header.parts)
    (result,) = work.check(
        [
            work.Check(
                operation.header, signature, operation.body, operation.parts, key, contents, edit
            )
        ]
    )
    hold(result.refused in {"", "signature", "body", "part"}, "a refusal has a known code")
    if result.refused or kind is None or operation.body is None:
        return not result.refused
    return _body(kind, content(operation.body))


def _operation_seeds() -> Mapping[str, bytes]:
    wanted = ("genesis", "alice grants her node", "the node admits bob", "bob writes a note",
              "a part that notes do not have", "bob erases his own")  # fmt: skip
    found = {name: encode(carriage.pack_operation(operations()[name])) for name in wanted}
    stranger = operations()["alice invites once"]
    found["bad another signature"] = encode(
        [stranger.header, bytes(63) + b"\x01", stranger.body, []]
    )
    found["signed here"] = encode([stranger.header, PLEASE_SIGN, stranger.body, []])
    found["signed here without its body"] = encode([stranger.header, PLEASE_SIGN, None, []])
    return found


def _resigned(data: bytes, other: bytes, rng: Random) -> bytes:
    """Header, body or parts changed, and committed to and signed by who changed them."""
    try:
        operation = carriage.unpack_pieces(data)
        fields = canonical.decode(operation.header, MAX_HEADER)
        body, parts = operation.body, list(operation.parts)
        change = rng.choice(OF["cbor"])
        match rng.randrange(4):
            case 0 | 1 if body is not None:
                body = body[:SALT_BYTES] + change(body[SALT_BYTES:], other, rng)
            case 2 if parts and fields[14]:
                parts[0] = part = change(parts[0] or SALT, other, rng)
                fields[14][0][1:] = [len(part), part_hash(part)]
            case _:
                fields = canonical.decode(change(operation.header, other, rng), MAX_HEADER)
        if body is not None:
            fields[12:14] = [body_hash(body), len(body)]
        header = canonical.encode(fields)
    except (Refused, TypeError, IndexError, LookupError):
        return data[:-1]
    return encode([header, PLEASE_SIGN, body, parts])


# --- sealed to a device --------------------------------------------------------------------------


def _sealed_key(data: bytes) -> bool:
    """An epoch's key as a fact carries it: anybody may have sealed anything."""
    key = unseal(data, AUTHOR.sealing)
    hold(key is None or len(key) == len(data) - 48, "a seal adds 48 bytes")
    return key is not None


def _sealed_key_seeds() -> Mapping[str, bytes]:
    sealed = bytes.fromhex(SEALED)
    return {"good": sealed, "bad for another": sealed[:32] + bytes(48), "bad short": sealed[:47]}


# --- contents ------------------------------------------------------------------------------------


def _parts(data: bytes) -> bool:
    """Body and parts against a header, and the text in a part."""
    try:
        with only("size", "encoding", "message"):
            operation = carriage.unpack_pieces(data)
        with only("size", "encoding", "version", "format"):
            header = decode_header(operation.header)
        with only("body", "part"):
            check_contents(header, operation)
    except Refused:
        return False
    for part, ref in zip(operation.parts, header.parts, strict=False):
        if part is not None:
            hold(len(part) == ref.length >= SALT_BYTES, "a part has its length")
            hold(salted(part[:SALT_BYTES], content(part)) == part, "salt and content are all")
            content(part).decode("utf-8", "replace").encode()
    if operation.body is not None:
        hold(len(operation.body) == header.body_length, "a body has its length")
    return True


def _parts_seeds() -> Mapping[str, bytes]:
    found = {}
    for one in vectors("operations")["contents"]:
        body, part = (None if one[k] is None else bytes.fromhex(one[k]) for k in ("body", "part"))
        name = f"bad {one['name']}" if one["code"] else one["name"]
        found[name] = encode([bytes.fromhex(one["header"]), bytes(64), body, [part]])
    return found


def _any_body(data: bytes) -> bool:
    head, rest = headed(data)
    if head == "identity":  # what a newcomer sends of themselves
        return _fact(Identity, rest, 1024)
    kind = RULES.kinds.get(head)
    return _body(kind, rest) if kind is not None else False


def _body(kind: Kind, data: bytes) -> bool:
    if not isinstance(kind.body, DocumentSchema):
        return _fact(kind.body, data, kind.max_body)
    found = work.form(SALT + data)
    hold(found.fault in {"", "malformed"}, "an edit has a form or has none")
    if found.fault:
        return False
    hold(len(found.change or b"") == 32, "a change has a hash")
    return take(data)


def _fact(struct: type[msgspec.Struct], data: bytes, limit: int) -> bool:
    try:
        with only("malformed"):
            fact = decode_fact(struct, data, limit)
    except Refused:
        return False
    hold(encode_fact(fact) == data, "a fact has one encoding")
    hold(decode_fact(struct, encode_fact(fact), limit) == fact, "and means one thing")
    hold(read_fact(struct, data) == fact, "and is read the same once it stands")
    hold(len(data) <= limit, "within the bound of its kind")
    return True


def facts() -> Mapping[str, msgspec.Struct]:
    """One good body of each kind that has a Struct, by the kind's name."""
    keys = AUTHOR.keys
    who = Identity(keys, (b"g" * 32, b"h" * 32), 2, ZERO)
    sealed = SealedKey(b"e" * 32, b"k" * 80)
    return {
        "identity": who,
        GENESIS: Genesis(
            Identity(keys, (), 0, ZERO),
            1,
            (("budget.member.hour", 1000), ("timezone", "Europe/Berlin")),
        ),
        ROLE: RoleAct(b"m" * 32, 2),
        INVITE: Invite(b"i" * 32, 3, 1_750_000_000_000),
        ADMIT: Admit(b"i" * 32, who, b"p" * 64, b"c" * 64, (sealed, sealed)),
        NODE: NodeGrant(keys, b"c" * 64, (sealed,)),
        EPOCH: Epoch(b"c" * 32, (EpochShare(b"d" * 32, b"k" * 80),) * 2),
        membership.PROFILE: membership.Profile(),
        membership.COMMUNITY: membership.CommunityName(),
        ERASURE: Erasure(b"t" * 32),
        **powers.facts(keys),
        resources.PHOTO: resources.Photo("jpeg"),
        lending.REQUEST: lending.Request(b"r" * 32, 1, 2**53 - 1, "Europe/Berlin"),
        lending.ASKED: lending.Asked(
            b"r" * 32, 1, 9 * 3_600_000, "Europe/Berlin", "P1D", "1970-01-01", "1970-01-01"
        ),
        lending.DECISION: lending.Decision(True),
        lending.CANCEL: lending.Cancel(b"r" * 32),
        lending.EXTEND: lending.Extend(
            b"r" * 32, 1_777_932_000_000, "Europe/Stockholm", "P3D", "2026-05-03", "2026-05-04"
        ),
        lending.EXTENDED: lending.Extended(b"e" * 32, True),
        lending.HANDOVER: lending.Handover(b"r" * 32, b"t" * 32, ZERO),
        lending.ACCEPT: lending.Accept(b"h" * 32, b"r" * 32),
        lending.RETURN: lending.Return(b"r" * 32, b"a" * 32),
        profiles.FIELD: profiles.Field("about", "text", (b"a" * 32, b"b" * 32)),
        leaving.RECEIPT: leaving.Receipt((b"a" * 32, b"b" * 32)),
        leaving.GOODBYE: leaving.Goodbye(),
        leaving.FORGIVEN: leaving.Forgiven(b"m" * 32),
        leaving.CLOSING: leaving.Closing(True),
        lending.RECEIVE: lending.Receive(b"o" * 32, b"r" * 32, ZERO, "ticket", ZERO),
        reputation.ATTEST: reputation.Attest(b"m" * 32, b"c" * 32),
        reputation.OPENING: reputation.Opening(b"a" * 32, True, 3, 1, b"s" * 32),
        reputation.REPLY: reputation.Reply(b"a" * 32),
        reputation.VOUCH: reputation.Vouch(True),
        own.ENTRY: own.Entry(b"s" * own.SEALED),
        own.DOOR: own.Door((own.DoorShare(b"d" * 32, b"s" * (own.DOOR_BYTES + 48)),)),
        places.ATTENDANCE: spaces.body(),
        agents.PACKAGE: agents.Shared(b"p" * 32, "tell", "1.0.0", b"h" * 32),
        places.PRESENCE: places.Presence("circle", 1),
    }


def _body_seeds() -> Mapping[str, bytes]:
    found = {name: with_head(name, encode_fact(fact)) for name, fact in facts().items()}
    made: tuple[tuple[DocumentSchema, dict[str, Value]], ...] = (
        (SPECIFICATION_SCHEMA, {"name": "Drill", "loan_days": 7, "consumable": False}),
        (ITEM_SCHEMA, {"specification": "ab" * 32, "number": "1622", "quantity": 0}),
        (places.SPACE_SCHEMA, {"name": "Café", "hours": "24/7", "capacity": 40}),
    )
    for schema, fields in made:
        found[schema.name] = with_head(schema.name, create(ALICE, fields, schema))
    for sort, act in powers.acts().items():
        found[f"council act {sort}"] = with_head(ACT, encode_fact(act))
    invite = encode_fact(facts()[INVITE])
    return found | {
        "bad of another kind": with_head(ROLE, invite),
        "bad no kind": with_head("nothing.at.1", b"\x80"),
    }


TARGETS = (
    Target("canonical", _canonical, _canonical_seeds, "cbor"),
    Target("header", _header, _header_seeds, "cbor"),
    Target("operation", _operation, _operation_seeds, "cbor", own=(_resigned,)),
    Target("parts", _parts, _parts_seeds, "cbor", own=(_resigned,)),
    Target("sealed-key", _sealed_key, _sealed_key_seeds),
    Target("body", _any_body, _body_seeds, "cbor", head=True),
)
