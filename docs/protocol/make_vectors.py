"""Writes the vectors beside this script: `python docs/protocol/make_vectors.py`.

Deterministic: keys and salts are hashes of names, times are written down. A released vector never
changes; a change of format is a new version with vectors of its own. `tests/unit/test_vectors.py`
computes them again, byte by byte.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from commons_crdt import canonical
from commons_crdt.author import Draft, Place, compose, found
from commons_crdt.authority.facts import (
    Admit,
    Erasure,
    Genesis,
    Identity,
    Invite,
    NodeGrant,
    RoleAct,
)
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.judge import ERASURE, Candidate, Judge, Missing, Standing
from commons_crdt.authority.kinds import ADMIT, CORE, INVITE, NODE, ROLE
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.errors import Refused
from commons_crdt.folds import set_hash, state_hash
from commons_crdt.ids import ZERO, DeviceId, DocumentId, MemberId, OperationId, RealmId, digest
from commons_crdt.kinds import Kind, Rules, decode_fact, encode_fact
from commons_crdt.operation import (
    MAX_LARGE_PART,
    SMALL_PART,
    Header,
    Operation,
    PartRef,
    body_hash,
    check_contents,
    content,
    decode_header,
    encode_header,
    operation_id,
    part_hash,
    sign,
    verify,
)
from commons_crdt.roles import Role
from commons_node.archive.format import Head, Writer
from commons_protocol import part_messages
from commons_protocol.frame import encode as frame_of

HERE = Path(__file__).resolve().parent / "vectors"
sys.path.insert(0, str(HERE.parent))
START_MS = 1_750_000_000_000
NOTE = "vector.note.1"
# The order of the group of Ed25519, the prime of its field (RFC 8032 §5.1), the tag of a header.
ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
TAG = b"commons/operation/1\x00"


class Note(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The body of the one kind that these vectors add to the core's."""

    value: int


RULES = Rules.of(
    1,
    (*CORE, Kind(NOTE, Note, Role.NEWCOMER, max_body=100, parts={"text": 100}, erased="body")),
)


def secrets(name: str) -> DeviceSecrets:
    """The device called ``name``."""
    return DeviceSecrets(digest("v-sign", name.encode()), digest("v-seal", name.encode()))


def identity(name: str) -> Identity:
    """An identity of one device."""
    return Identity(secrets(name).keys, (), 0, ZERO)


# --- operations ---------------------------------------------------------------------------------

PLAIN = Header(
    1, b"r" * 32, b"d" * 32, 1, 2, b"p" * 32, 3, START_MS, NOTE, b"o" * 32,
    (b"1" * 32, b"2" * 32), (b"3" * 32,), body_hash(b"s" * 32 + b"body"), 36,
    (PartRef("text", 36, part_hash(b"t" * 32 + b"part")),),
)  # fmt: skip
SMALLEST = Header(1, ZERO, b"d" * 32, 0, 1, ZERO, 1, 0, "a.b.1", ZERO, (), (), b"h" * 32, 32, ())
LARGEST = Header(
    1, b"r" * 32, b"d" * 32, 1, 2**53 - 1, b"p" * 32, 2**53 - 1, 2**53 - 1,
    f"{'k' * 16}.{'n' * 15}.999", b"o" * 32,
    tuple(bytes([i]) * 32 for i in range(16)), tuple(bytes([i]) * 32 for i in range(16, 32)),
    b"h" * 32, 2**53 - 1, tuple(PartRef("p" * 16, 2**53 - 1, b"t" * 32) for _ in range(8)),
)  # fmt: skip


def altered(index: int, value: object) -> bytes:
    """A good header with another value at one position."""
    positions = canonical.decode(encode_header(PLAIN), 4096)
    positions[index] = value
    return canonical.encode(positions)


def bad_headers() -> Iterator[tuple[str, bytes]]:
    """Headers that no node takes, each with its name."""
    good = encode_header(PLAIN)
    names = ("version", "realm", "device", "log", "seq", "prev", "lamport", "time_ms", "kind",
             "document", "refs", "authority", "body_hash", "body_length", "parts")  # fmt: skip
    for index, name in enumerate(names):
        yield f"{name} is null", altered(index, None)
    yield "version 2", altered(0, 2)
    yield "realm of 31 bytes", altered(1, b"r" * 31)
    yield "realm as base64 text", altered(1, "cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=")
    yield "log 2", altered(3, 2)
    yield "seq 0", altered(4, 0)
    yield "seq 2^53", altered(4, 2**53)
    yield "time before 1970", altered(7, -1)
    yield "kind without a number", altered(8, "vector.note")
    yield "kind with a line end", altered(8, NOTE + "\n")
    yield "refs out of order", altered(10, [b"2" * 32, b"1" * 32])
    yield "a ref twice", altered(10, [b"1" * 32, b"1" * 32])
    yield "17 refs", altered(10, [bytes([i]) * 32 for i in range(17)])
    yield "authority out of order", altered(11, [b"2" * 32, b"1" * 32])
    yield "body without room for its salt", altered(13, 31)
    yield "part without room for its salt", altered(14, [["text", 31, b"t" * 32]])
    yield "9 parts", altered(14, [["text", 36, b"t" * 32]] * 9)
    yield "too deep", altered(14, [[[[0]]]])
    yield "14 positions", canonical.encode(canonical.decode(good, 4096)[:14])
    yield "16 positions", canonical.encode([*canonical.decode(good, 4096), 0])
    yield "a byte behind it", good + b"\x00"
    yield "a byte less", good[:-1]
    yield "indefinite length", b"\x9f" + good[1:] + b"\xff"
    yield "version in two bytes", good[:1] + b"\x18\x01" + good[2:]
    yield "version as a float", good[:1] + b"\xf9\x3c\x00" + good[2:]
    yield "a tag around it", b"\xd9\xd9\xf7" + good
    yield "a map", b"\xa1\x01\x02"
    yield "empty", b""
    yield "2049 bytes", b"\x00" * 2049


def code_of(act: Callable[[], object]) -> str:
    """The refusal code of ``act``; "" if it is not refused."""
    try:
        act()
    except Refused as refused:
        return refused.why
    return ""


def operations() -> dict[str, Any]:
    """Headers and their ids; bytes that are refused; contents that are not the header's."""
    alice = secrets("alice")
    good = []
    for name, header in (("plain", PLAIN), ("smallest", SMALLEST), ("largest", LARGEST)):
        data = encode_header(header)
        good.append(
            {
                "name": name,
                "fields": _shown(msgspec.to_builtins(header, builtin_types=(bytes,))),
                "header": data.hex(),
                "id": operation_id(data).hex(),
                "signing_seed": alice.signing.hex(),
                "signature": sign(data, alice.signing).hex(),
            }
        )
    refused = [
        {"name": name, "header": data.hex(), "code": code_of(partial(decode_header, data))}
        for name, data in bad_headers()
    ]
    body, part = b"s" * 32 + b"body", b"t" * 32 + b"part"
    contents = []
    for name, one, other in (
        ("right", body, part),
        ("absent", None, None),
        ("another body", b"s" * 32 + b"Body", part),
        ("a longer body", body + b"!", part),
        ("another part", body, b"t" * 32 + b"Part"),
        ("body for part", body, body),
    ):
        operation = Operation(encode_header(PLAIN), b"", one, (other,))
        contents.append(
            {
                "name": name,
                "header": encode_header(PLAIN).hex(),
                "body": one.hex() if one is not None else None,
                "part": other.hex() if other is not None else None,
                "code": code_of(partial(check_contents, PLAIN, operation)),
            }
        )
    return {"accepted": good, "refused": refused, "contents": contents}


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return [_shown(item) for item in value] if isinstance(value, (list, tuple)) else value


# --- devices and members ------------------------------------------------------------------------


def devices() -> list[dict[str, Any]]:
    """Seeds, public keys and the id that follows from them."""
    return [
        {
            "name": name,
            "signing_seed": secrets(name).signing.hex(),
            "sealing_seed": secrets(name).sealing.hex(),
            "suite": 1,
            "signing_key": secrets(name).keys.signing.hex(),
            "sealing_key": secrets(name).keys.sealing.hex(),
            "device": secrets(name).keys.id.hex(),
        }
        for name in ("alice", "bob", "eve")
    ]


def members() -> list[dict[str, Any]]:
    """Identities, their canonical bytes and the member id."""
    guardians = tuple(sorted(identity(name).member for name in ("bob", "eve")))
    listed = [
        ("alone", identity("alice")),
        ("with guardians", Identity(secrets("alice").keys, guardians, 2, ZERO)),
        ("with a recovery key", Identity(secrets("alice").keys, (), 0, digest("v-hash", b"key"))),
    ]
    return [
        {
            "name": name,
            "device": who.device.id.hex(),
            "guardians": [guardian.hex() for guardian in who.guardians],
            "threshold": who.threshold,
            "recovery": who.recovery.hex(),
            "fact": encode_fact(who).hex(),
            "member": who.member.hex(),
        }
        for name, who in listed
    ]


# --- signatures ---------------------------------------------------------------------------------


def signatures() -> list[dict[str, Any]]:
    """Signatures that libsodium takes or refuses; ``openssl`` where OpenSSL 3 takes it too.

    A verifier must give ``valid`` for each. Those with ``openssl`` true and ``valid`` false are
    why the verifier is libsodium's and no other: two libraries would hold two truths.
    """
    alice = secrets("alice")
    header, key = encode_header(PLAIN), alice.keys.signing
    signature = sign(header, alice.signing)
    point, scalar = signature[:32], int.from_bytes(signature[32:], "little")
    one, base = _le(1), bytes.fromhex("58" + "66" * 31)
    small = _le(PRIME - 1)
    cases = [
        ("signed", header, key, signature, True),
        ("another header", altered(4, 3), key, signature, False),
        ("another key", header, secrets("eve").keys.signing, signature, False),
        ("another point", header, key, bytes([point[0] ^ 1]) + signature[1:], False),
        ("S + order", header, key, point + _le(scalar + ORDER), False),
        ("S with its top bit", header, key, point + _le(scalar | 1 << 255), False),
        ("63 bytes", header, key, signature[:63], False),
        ("signed without the tag", header, key, _signed_bare(header, alice.signing), False),
        ("key of order 1: signs everything", header, one, base + one, True),
        ("key of order 1: S = 0", header, one, one + bytes(32), True),
        ("key of order 1, not canonical", header, _le(PRIME + 1), base + one, True),
        ("key of order 1 with a sign", header, _le(1 | 1 << 255), base + one, True),
        ("R of order 1 under a good key", header, key, _small_r(header, alice, one), True),
        (
            "R of order 1, not canonical",
            header,
            key,
            _small_r(header, alice, _le(PRIME + 1)),
            False,
        ),
        ("key of order 2", *_order_two(small, base), True),
        ("key of zeroes, of order 4", header, bytes(32), base + one, True),
        ("all zeroes", header, bytes(32), bytes(64), False),
    ]
    return [
        {
            "name": name,
            "header": data.hex(),
            "key": by.hex(),
            "signature": made.hex(),
            "valid": verify(data, made, by),
            "openssl": openssl,
        }
        for name, data, by, made, openssl in cases
    ]


def _le(number: int) -> bytes:
    return number.to_bytes(32, "little")


def _challenge(point: bytes, key: bytes, header: bytes) -> int:
    return int.from_bytes(hashlib.sha512(point + key + TAG + header).digest(), "little") % ORDER


def _small_r(header: bytes, device: DeviceSecrets, point: bytes) -> bytes:
    """What the owner of a key can make besides honest signatures (RFC 8032 §5.1.6, r = 0)."""
    scalar = int.from_bytes(hashlib.sha512(device.signing).digest()[:32], "little")
    scalar = scalar & ((1 << 254) - 8) | 1 << 254
    return point + _le(_challenge(point, device.keys.signing, header) * scalar % ORDER)


def _order_two(key: bytes, base: bytes) -> tuple[bytes, bytes, bytes]:
    """A header whose challenge is even, so that a key of order 2 falls out of the equation."""
    seq = next(n for n in range(2, 99) if _challenge(base, key, altered(4, n)) % 2 == 0)
    return altered(4, seq), key, base + _le(1)


def _signed_bare(header: bytes, seed: bytes) -> bytes:
    """A signature of the header's hash, as claims are signed: for no purpose of a header."""
    return sign_claim("op", seed, header)


# --- hashes -------------------------------------------------------------------------------------


def hashes() -> dict[str, Any]:
    """Digests by purpose, and the hashes of a set and of a state."""
    pairs = [(digest("v-id", bytes([n])), n % 5) for n in range(6)]
    rows: list[tuple[str, bytes, list[str | int | bytes | bool | None]]] = [
        ("members", b"m" * 32, [5, False]),
        ("loans", b"k" * 32, ["returned", None, b"\x00", -1]),
        ("loans", b"a" * 32, ["borrowed", True, b"", 2**40]),
    ]
    return {
        "digests": [
            {"purpose": purpose, "data": data.hex(), "digest": digest(purpose, data).hex()}
            for purpose in ("op", "body", "part", "device", "member", "set", "state")
            for data in (b"", b"commons")
        ],
        "set_hash": [
            {
                "verdicts": [{"id": ident.hex(), "verdict": v} for ident, v in chosen],
                "hash": set_hash(chosen).hex(),
            }
            for chosen in ([], pairs)
        ],
        "state_hash": [
            {
                "rows": [[view, key.hex(), _tagged(row)] for view, key, row in chosen],
                "hash": state_hash(chosen).hex(),
            }
            for chosen in ([], rows)
        ],
    }


def _tagged(row: list[str | int | bytes | bool | None]) -> list[object]:
    """A row with its bytes as {"bytes": hex}: JSON has none."""
    return [{"bytes": value.hex()} if isinstance(value, bytes) else value for value in row]


# --- the judge ----------------------------------------------------------------------------------


@dataclass
class Town:
    """A realm in the making: every operation with its name, in the order of writing."""

    realm: RealmId
    judge: Judge
    now_ms: int = START_MS
    operations: dict[str, Operation] = field(default_factory=dict)
    standings: dict[OperationId, Standing] = field(default_factory=dict)
    places: dict[tuple[DeviceId, int], OperationId] = field(default_factory=dict)
    refused: list[tuple[str, Operation, str]] = field(default_factory=list)

    def draw(
        self, name: str, device: str, draft: Draft, after: OperationId | None = None
    ) -> Operation:
        """A signed operation at the end of the device's chain, or behind ``after``."""
        self.now_ms += 1000
        own = secrets(device).keys.id
        authority = self.judge.authority
        prev = self.standings[
            after or self.places.get((own, draft.log)) or authority.devices[own].id
        ]
        # All heads, void ones too: any choice is valid, and these bytes are frozen.
        news = sorted(i for i, bit in authority.heads.items() if not bit & prev.view)[:16]
        place = Place(
            self.realm,
            prev,
            [self.standings[OperationId(ref)] for ref in draft.refs],
            [self.standings[ident] for ident in news],
        )
        salts = iter(digest("v-salt", f"{name} {n}".encode()) for n in range(9))
        return compose(draft, place, secrets(device), self.now_ms, lambda: next(salts))

    def tell(self, name: str, operation: Operation) -> OperationId:
        """Judge and keep an operation that every node keeps."""
        standing = judged(self.judge, operation, self.standings)
        assert name not in self.operations, f"another one is called {name}"
        self.operations[name] = operation
        self.standings[standing.id] = standing
        self.places[standing.device, standing.log] = standing.id
        return standing.id

    def write(
        self, name: str, device: str, draft: Draft, after: OperationId | None = None
    ) -> OperationId:
        """Draw and tell."""
        return self.tell(name, self.draw(name, device, draft, after))

    def refuse(self, name: str, operation: Operation) -> None:
        """Note an operation that every node refuses."""
        code = code_of(lambda: judged(self.judge, operation, self.standings))
        self.refused.append((name, operation, code))


def judged(judge: Judge, operation: Operation, known: dict[OperationId, Standing]) -> Standing:
    """The standing of an operation whose antecedents are known."""
    check_contents(decode_header(operation.header), operation)
    outcome = judge.judge(candidate(operation), known.get)
    if isinstance(outcome, Missing):
        raise TypeError("a vector's past is complete")
    return outcome


def candidate(operation: Operation) -> Candidate:
    """An operation with its body parsed."""
    header = decode_header(operation.header)
    kind = RULES.kinds.get(header.kind)
    body, fault = None, ""
    if kind is not None and operation.body is not None and len(operation.body) <= kind.max_body:
        try:
            body = decode_fact(kind.body, content(operation.body))  # type: ignore[arg-type]
        except Refused as refused:
            fault = refused.why
    ident = operation_id(operation.header)
    return Candidate(ident, header, body, operation.body is not None, fault)


def note(value: int = 1, **fields: Any) -> Draft:
    """A note."""
    return Draft.fact(NOTE, Note(value), **fields)


def admission(town: Town, invite: OperationId, label: str, name: str, **wrong: bytes) -> Draft:
    """A node lets ``name`` in with the invite called ``label``."""
    who = identity(name)
    signed = (town.realm, invite, who.member)
    possession = sign_claim("possess", digest("v-invite", label.encode()), *signed)
    consent = sign_claim("consent", secrets(name).signing, *signed)
    fact = Admit(
        invite, who, wrong.get("possession", possession), wrong.get("consent", consent), ()
    )
    return Draft.fact(ADMIT, fact, log=0, document=DocumentId(who.member))


def invitation(label: str, uses: int = 1, expires_ms: int = START_MS + 10**9) -> Draft:
    """An invite called ``label``."""
    seed = digest("v-invite", label.encode())
    return Draft.fact(
        INVITE, Invite(DeviceSecrets(seed, seed).keys.signing, uses, expires_ms), log=0
    )


def role_act(member: MemberId, role: Role) -> Draft:
    """A role for a member."""
    return Draft.fact(ROLE, RoleAct(member, role), log=0, document=DocumentId(member))


def node_grant(town: Town, owner: str, node: str) -> Draft:
    """A member's node."""
    member = identity(owner).member
    consent = sign_claim("consent", secrets(node).signing, town.realm, member)
    fact = NodeGrant(secrets(node).keys, consent, ())
    return Draft.fact(NODE, fact, log=0, document=DocumentId(member))


def erasure(target: OperationId, document: DocumentId | None = None) -> Draft:
    """Erase a fact that is about itself."""
    named = DocumentId(target) if document is None else document
    return Draft.fact(ERASURE, Erasure(target), document=named, refs=[target])


def story() -> Town:
    """A founder, a member, a used invite, contents good and bad, erasures, a fork, forgeries."""
    settings = (("budget.newcomer.capacity", 40), ("timezone", "Europe/Lisbon"))
    genesis = Genesis(identity("alice"), 1, settings)
    realm, operation = found(
        genesis, secrets("alice"), START_MS, lambda: digest("v-salt", b"genesis")
    )
    town = Town(realm, Judge(realm, RULES))
    start = town.tell("genesis", operation)
    bob, eve = identity("bob").member, identity("eve").member

    town.write("alice grants her node", "alice", node_grant(town, "alice", "node"))
    invite = town.write("alice invites once", "alice", invitation("one"))
    late = town.write("an invite that has expired", "alice", invitation("late", 1, START_MS))
    let_in = town.write("the node admits bob", "node", admission(town, invite, "one", "bob"))
    town.write("the invite is used up", "node", admission(town, invite, "one", "eve"))
    town.write("after its time", "node", admission(town, late, "late", "eve"))
    fresh = town.write("alice invites twice", "alice", invitation("two", 2))
    town.write(
        "possession is not proved",
        "node",
        admission(town, fresh, "two", "eve", possession=bytes(64)),
    )
    town.write(
        "consent is not given", "node", admission(town, fresh, "two", "eve", consent=bytes(64))
    )
    town.write("an admission counts in any chain", "alice", admission(town, fresh, "two", "dora"))
    town.write("an invite nobody wrote", "node", admission(town, let_in, "two", "eve"))
    town.write("a newcomer does not invite", "bob", invitation("bob's"))
    town.write("alice makes bob a member", "alice", role_act(bob, Role.MEMBER))
    town.write("nobody acts on a coordinator", "alice", role_act(identity("alice").member, Role(1)))
    town.write("nobody acts on a stranger", "alice", role_act(identity("carol").member, Role.HOST))
    town.write("a member gives no roles", "bob", role_act(eve, Role.MEMBER))
    town.write("an unknown kind of log 0", "bob", Draft("council.party.1", b"later", log=0))

    first = town.write("bob writes a note", "bob", note(parts=[("text", b"hello")]))
    town.write("an unknown kind of log 1", "bob", Draft("vector.party.1", b"later"))
    town.write("a body that is no note", "bob", Draft(NOTE, b"garbage"))
    big = town.draw("a body beyond the kind's bound", "bob", Draft(NOTE, b"x" * 69))
    town.tell("a body beyond the kind's bound", replace(big, body=None))
    town.write("a part that notes do not have", "bob", note(parts=[("photo", b"hello")]))
    town.write("a node writes no notes", "node", note())
    town.write("a kind of log 1 in log 0", "alice", note(log=0))
    alices = town.write("alice writes a note", "alice", note(2))
    town.write("bob cannot erase it", "bob", erasure(alices))
    town.write("bob erases his own", "bob", erasure(first))
    erased = town.operations["bob writes a note"]
    town.operations["bob writes a note"] = replace(erased, body=None, parts=(None,))
    town.write("an erasure that does not refer", "bob", Draft.fact(ERASURE, Erasure(first)))
    town.write("eve's node is none", "bob", node_grant(town, "eve", "eve's node"))
    town.write("from a grant that does not stand", "eve's node", note())

    below = town.write("below the fork", "bob", note(3))
    town.write("one branch", "bob", note(4))
    town.write("the other branch", "bob", note(5), below)
    town.write("behind the other branch", "bob", note(6))

    forgeries(town, start, alices)
    return town


def forgeries(town: Town, start: OperationId, alices: OperationId) -> None:
    """Envelopes that break a rule that all nodes check alike."""
    prev = town.standings[alices]
    bobs = town.standings[town.places[secrets("bob").keys.id, 1]]
    forged: tuple[tuple[str, Standing, dict[str, object]], ...] = (
        ("another realm", prev, {"realm": b"r" * 32}),
        ("seq jumps", prev, {"seq": prev.seq + 2}),
        ("prev is somebody else's", bobs, {"prev": bobs.id}),
        ("lamport too low", prev, {"lamport": prev.lamport}),
        ("lamport too high", prev, {"lamport": prev.lamport + 10}),
        ("time runs backwards", prev, {"time_ms": prev.time_ms - 1}),
        ("authority in prev's past", prev, {"authority": (start,)}),
        ("more than its budget", prev, {"body_length": 2**40}),
    )
    for name, behind, changes in forged:
        operation = town.draw(name, "alice", note())
        plain = {"authority": (), "lamport": behind.lamport + 1}
        header = msgspec.structs.replace(decode_header(operation.header), **(plain | changes))
        data = encode_header(header)
        body = None if "body_length" in changes else operation.body
        town.refuse(name, Operation(data, sign(data, secrets("alice").signing), body))
    fact = town.draw("log 0 refers to log 1", "alice", replace(invitation("x"), refs=[alices]))
    town.refuse("log 0 refers to log 1", fact)
    bare = town.draw("log 0 without its body", "alice", invitation("y"))
    town.refuse("log 0 without its body", replace(bare, body=None))


def judge() -> dict[str, Any]:
    """A story with every operation's final outcome, and what is refused beside it."""
    return listed(story())


def authority() -> dict[str, Any]:
    """A longer story: a council, cuts, forks, identities, a seal."""
    from authority_story import authority_story  # noqa: PLC0415 - it is told with what is above

    return listed(authority_story())


def listed(town: Town) -> dict[str, Any]:
    """The operations of a town, each with what becomes of it when all of them are known."""
    again = Judge(town.realm, RULES)
    final: dict[OperationId, Standing] = {}
    told = {operation_id(operation.header): operation for operation in town.operations.values()}
    for operation in told.values():
        standing = judged(again, operation, final)
        final[standing.id] = standing
    for (device, log), seq in doubled(town).items():
        again.forked(device, log, seq)
    heed(again, final, told)
    for ident, standing in final.items():
        kind = RULES.kinds.get(standing.kind)
        if kind is not None and again.is_erased(kind, ident, standing.document):
            final[ident] = again.rejudge(candidate(told[ident]), standing, final.get)
    counted = [(i, s.judgement.verdict) for i, s in final.items() if again.relays(s)]
    return {
        "about": "Judged in this order or any other, each operation ends with its verdict here.",
        "realm": town.realm.hex(),
        "kinds": [
            {
                "name": NOTE,
                "body": "[value: int]",
                "role": "newcomer",
                "max_body": 100,
                "parts": {"text": 100},
                "erased": "body",
            }
        ],
        "operations": [
            {
                "name": name,
                **_operation(operation),
                "id": operation_id(operation.header).hex(),
                "verdict": final[operation_id(operation.header)].judgement.verdict.name.lower(),
                "reason": final[operation_id(operation.header)].judgement.reason,
            }
            for name, operation in town.operations.items()
        ],
        "refused": [
            {"name": name, **_operation(operation), "code": code}
            for name, operation, code in town.refused
        ],
        "set_hash": set_hash(counted).hex(),
    }


def heed(
    judge: Judge, known: dict[OperationId, Standing], told: dict[OperationId, Operation]
) -> None:
    """Do what the judge's flips ask for, until it comes to rest."""
    for _ in range(100):
        flips = judge.flips()
        if not flips:
            return
        for ident, judgement in flips.operations.items():
            known[ident] = msgspec.structs.replace(known[ident], judgement=judgement)
        for anchor in flips.wanted:
            judge.anchor(anchor, branch(judge, known, told, anchor))
        for seal, tips in flips.closures.items():
            judge.closure(seal, closure(judge, known, told, [tip.id for tip in tips]))
        for standing in sorted(known.values(), key=lambda s: s.seq):
            if (standing.device, standing.log) in flips.chains:
                again = judge.rejudge(candidate(told[standing.id]), standing, known.get)
                known[standing.id] = again
    raise AssertionError("the judge comes to rest")


def branch(
    judge: Judge,
    known: dict[OperationId, Standing],
    told: dict[OperationId, Operation],
    anchor: Anchor,
) -> list[OperationId] | None:
    """What ``Anchor`` asks for."""
    at = known.get(anchor.id)
    if at is None:
        return None
    if (at.device, at.log, at.seq) != (anchor.device, 1, anchor.seq):
        return []
    lowest = judge.forks.get((anchor.device, 1), anchor.seq)
    ids = [anchor.id]
    while known[ids[0]].seq > min(lowest, anchor.seq):
        ids.insert(0, OperationId(decode_header(told[ids[0]].header).prev))
    return ids


def closure(
    judge: Judge,
    known: dict[OperationId, Standing],
    told: dict[OperationId, Operation],
    tips: list[OperationId],
) -> dict[Anchor, list[OperationId]]:
    """What ``Flips.closures`` asks for."""
    here: set[OperationId] = set()
    waiting = list(tips)
    while waiting:
        ident = waiting.pop()
        if ident not in here and known[ident].log == 1:
            here.add(ident)
            waiting += [OperationId(a) for a in decode_header(told[ident].header).antecedents]
    inner = {decode_header(told[ident].header).prev for ident in here}
    tops = [known[ident] for ident in here if ident not in inner]
    anchors = [Anchor(top.device, top.seq, top.id) for top in tops]
    return {anchor: branch(judge, known, told, anchor) or [] for anchor in anchors}


def doubled(town: Town) -> dict[tuple[DeviceId, int], int]:
    """The lowest doubled seq of each forked chain."""
    seen: set[tuple[DeviceId, int, int]] = set()
    forks: dict[tuple[DeviceId, int], int] = {}
    for standing in town.standings.values():
        place = (standing.device, standing.log, standing.seq)
        if place in seen:
            chain = (standing.device, standing.log)
            forks[chain] = min(standing.seq, forks.get(chain, standing.seq))
        seen.add(place)
    return forks


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "header": operation.header.hex(),
        "signature": operation.signature.hex(),
        "body": operation.body.hex() if operation.body is not None else None,
        "parts": [part.hex() if part is not None else None for part in operation.parts],
    }


# --- archives ------------------------------------------------------------------------------------


def archive() -> dict[str, Any]:
    """A file of the story's first operations, and files that are refused.

    ``state_hash`` is that of no rows, since these rules have no views.
    """
    town = story()
    realm = bytes(town.realm)
    first = [op for op in town.operations.values() if not decode_header(op.header).log][:3]
    ids = [operation_id(op.header) for op in first]
    of_set = set_hash(sorted((i, int(town.standings[i].judgement.verdict)) for i in ids))
    head = Head(realm, realm, (realm,), len(ids), of_set, state_hash([]))

    def written(head: Head, operations: list[Operation]) -> bytes:
        out = io.BytesIO()
        writer = Writer(out, head)
        for operation in operations:
            writer.add(operation)
        writer.end()
        return out.getvalue()

    good = written(head, first)
    whole = written(msgspec.structs.replace(head, operations=9), first)
    longer = len(good).to_bytes(4)
    bad = {
        "no magic": (b"x" + good[1:], "magic"),
        "another version": (good[:15] + b"\x02" + good[16:], "version"),
        "torn": (good[:-40], "truncated"),
        "fewer operations than it says": (whole, "truncated"),
        "a bit is flipped": (good[:-50] + bytes([good[-50] ^ 1]) + good[-49:], "hash"),
        "a frame that is too large": (good[:16] + b"\x7f" + longer[1:] + good[20:], "size"),
        "something behind the end": (good + b"\x00", "format"),
    }
    return {
        "file": good.hex(),
        "realm": realm.hex(),
        "pin": realm.hex(),
        "chain": [realm.hex()],
        "operations": [ident.hex() for ident in ids],
        "set_hash": of_set.hex(),
        "state_hash": state_hash([]).hex(),
        "bad": [
            {"name": name, "file": data.hex(), "code": f"archive_{code}"}
            for name, (data, code) in bad.items()
        ],
    }


# --- parts on demand ----------------------------------------------------------------------------


def parts() -> dict[str, Any]:
    """Messages with their frames, frames that are refused, and a part in chunks."""
    operation, part = digest("v-op"), hashlib.shake_128(b"a photo").digest(80_000)
    messages: dict[str, part_messages.PartMessage] = {
        "asks from the beginning": part_messages.AskPart(3, operation, part_hash(part), 0, 16),
        "asks only whether it is held": part_messages.AskPart(3, operation, part_hash(part), 0, 0),
        "goes on": part_messages.AskPart(3, operation, part_hash(part), 40_000, 2),
        "holds it": part_messages.Holding(3, len(part)),
        "lacks it": part_messages.Lacking(3),
        "gives": part_messages.Chunk(3, part[:40]),
        "credits": part_messages.More(3, 8),
    }
    ask = [40, 3, operation, part_hash(part)]
    bad = {
        "more credit than may be open": ([*ask, 0, 17], "message"),
        "an offset behind every part": ([*ask, 6 << 20, 1], "message"),
        "a slot that is none": ([42, 16], "message"),
        "an empty chunk": ([43, 3, b""], "message"),
        "a chunk that is too long": ([43, 3, bytes(part_messages.CHUNK + 1)], "message"),
        "a message of another protocol": ([10, 3, bytes(32)], "message"),
        "one field too many": ([42, 3, 0], "message"),
        "something that is no array": (b"x", "message"),
    }
    offset, chunks = 40_000, list[int]()
    while (at := offset + sum(chunks)) < len(part):
        chunks.append(min(part_messages.CHUNK, len(part) - at))
    return {
        "small": SMALL_PART,
        "largest": MAX_LARGE_PART,
        "messages": [
            {"name": name, "frame": part_messages.pack(one).hex()} for name, one in messages.items()
        ],
        "bad": [
            {"name": name, "frame": frame_of(value).hex(), "code": code}
            for name, (value, code) in bad.items()
        ],
        "part": {
            "shake_128": b"a photo".hex(),
            "length": len(part),
            "hash": part_hash(part).hex(),
            "offset": offset,
            "chunks": chunks,
        },
    }


# --- files --------------------------------------------------------------------------------------


def files() -> dict[str, str]:
    """Every vector file's name and text."""
    made: dict[str, object] = {
        "operations": operations(),
        "devices": devices(),
        "members": members(),
        "signatures": signatures(),
        "hashes": hashes(),
        "judge": judge(),
        "authority": authority(),
        "archive": archive(),
        "parts": parts(),
    }
    return {f"{name}.json": json.dumps(value, indent=1) + "\n" for name, value in made.items()}


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name, text in files().items():
        (HERE / name).write_text(text, encoding="utf-8")
