"""The operation: a signed header, the body that travels with it, and parts that may be absent.

The header is a positional CBOR array, signed as sent and never re-encoded. Everything here is
a function of bytes: nothing looks at a clock, a store or another operation. Limits are checked
before anything is built from the bytes of a peer.

Source: ARCHITECTURE §2; RFC 8949 §4.2.1 (deterministic CBOR); RFC 8032 as libsodium does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import msgspec
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from commons_crdt import canonical
from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId, digest
from commons_crdt.scanning import scan

VERSION = 1
MAX_HEADER = 2048
MAX_REFS = 16
MAX_PARTS = 8
SALT_BYTES = 32
SIGNATURE_BYTES = 64
MAX_BODY = 49_152
"""No kind may allow more; with ``MAX_PARTS_BYTES`` an operation fits one 64 KiB frame."""
MAX_PARTS_BYTES = 8_192
"""Of the parts that travel with their operation."""
SMALL_PART = 2_048 + SALT_BYTES
"""Bytes, salt included, of a part that travels with its operation; a larger one is fetched."""
MAX_LARGE_PART = 5 * 1024 * 1024 + SALT_BYTES
"""No kind may allow more."""
MAX_COUNTER = 2**53 - 1

_TAG = b"commons/operation/1\x00"

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Counter = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNTER)]
KindName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z_]{0,15}\.[a-z][a-z_]{0,15}\.[1-9][0-9]{0,2}\Z", max_length=36
    ),
]


class PartRef(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a header says of one part: its class, its length with salt in bytes, its hash."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{0,15}\Z")]
    length: Annotated[int, msgspec.Meta(ge=SALT_BYTES, le=MAX_COUNTER)]
    hash: Hash


class Header(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The fifteen positions of an operation's header; see ARCHITECTURE §2 for each.

    ``time_ms`` is the author's claim in milliseconds since 1970 UTC; ``body_length`` counts
    the 32 bytes of salt. ``refs`` and ``authority`` are strictly ascending.
    """

    version: Annotated[int, msgspec.Meta(ge=1, le=1)]
    realm: Hash
    device: Hash
    log: Literal[0, 1]
    seq: Counter
    prev: Hash
    lamport: Counter
    time_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNTER)]
    kind: KindName
    document: Hash
    refs: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=MAX_REFS)]
    authority: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=MAX_REFS)]
    body_hash: Hash
    body_length: Annotated[int, msgspec.Meta(ge=SALT_BYTES, le=MAX_COUNTER)]
    parts: Annotated[tuple[PartRef, ...], msgspec.Meta(max_length=MAX_PARTS)]

    @property
    def antecedents(self) -> tuple[bytes, ...]:
        """Every operation that this one names as past: prev, refs, authority."""
        return (self.prev, *self.refs, *self.authority)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it is stored and sent.

    ``header`` is the signed bytes; ``body`` is 32 bytes of salt and the content, or None where
    it is absent (erased, or too large to be fetched); ``parts`` has one entry a part of the
    header, salt first, None where absent.
    """

    header: bytes
    signature: bytes
    body: bytes | None
    parts: tuple[bytes | None, ...] = ()


def operation_id(header: bytes) -> OperationId:
    """The id of an operation: a hash of its header bytes, without the signature."""
    return OperationId(digest("op", header))


def body_hash(body: bytes) -> bytes:
    """What a header commits to for a body (salt and content)."""
    return digest("body", body)


def part_hash(part: bytes) -> bytes:
    """What a header commits to for a part (salt and content)."""
    return digest("part", part)


def encode_header(header: Header) -> bytes:
    """The canonical bytes of ``header``: what is signed, hashed and sent."""
    return canonical.encode(msgspec.to_builtins(header, builtin_types=(bytes,)))


@lru_cache(maxsize=1024)  # an operation on its way in is looked at in several rooms
def decode_header(data: bytes) -> Header:
    """Parse a header; ``Refused`` with ``size``, ``encoding``, ``version`` or ``format``."""
    fields = scan(data) if len(data) <= MAX_HEADER else None
    return Header(*fields) if fields is not None else decode_at_length(data)


def decode_at_length(data: bytes) -> Header:
    """What ``decode_header`` means: decode, encode again, compare; it is three times as slow."""
    value = canonical.decode(data, MAX_HEADER, depth=4)
    if isinstance(value, list) and value and value[0] != VERSION:
        raise Refused("version")
    try:
        header = msgspec.convert(value, Header, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise Refused("format") from error
    for ids in (header.refs, header.authority):
        if any(a >= b for a, b in pairwise(ids)):
            raise Refused("format")
    return header


def sign(header: bytes, signing_seed: bytes) -> bytes:
    """The 64-byte Ed25519 signature of a header under a 32-byte seed."""
    return SigningKey(signing_seed).sign(_TAG + header).signature


def verify(header: bytes, signature: bytes, signing_key: bytes) -> bool:
    """True if libsodium accepts ``signature``; it refuses small-order and non-canonical keys."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + _TAG + header, signing_key)
    except (BadSignatureError, ValueError):
        return False
    return True


class Commitment(NamedTuple):
    """What a header says of its contents; its fields are those of ``Header``."""

    body_hash: bytes
    body_length: int
    parts: tuple[PartRef, ...]


def check_contents(header: Header | Commitment, operation: Operation) -> None:
    """Check that body and parts are the ones that the header names; absent ones pass.

    Raises ``Refused("body")`` or ``Refused("part")``: the bytes are not those of this operation,
    so the one who sent them is at fault, not the author.
    """
    body = operation.body
    if body is not None and (
        len(body) != header.body_length or body_hash(body) != header.body_hash
    ):
        raise Refused("body")
    if len(operation.parts) not in (0, len(header.parts)):
        raise Refused("part")
    for part, ref in zip(operation.parts, header.parts, strict=False):
        if part is not None and (len(part) != ref.length or part_hash(part) != ref.hash):
            raise Refused("part")


def salted(salt: bytes, content: bytes) -> bytes:
    """A body or part as stored: 32 bytes of salt, then the content."""
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    return salt + content


def content(body: bytes) -> bytes:
    """The content of a salted body or part."""
    return body[SALT_BYTES:]


def ordered(ids: Sequence[bytes]) -> tuple[bytes, ...]:
    """``ids`` as a header wants them: strictly ascending, without repeats."""
    return tuple(sorted(set(ids)))
