"""The bytes of a key file: a member's secrets, sealed with a passphrase.

``magic ‖ u32 length ‖ parameters (JSON) ‖ sealed data key (72) ‖ sealed secrets ‖ checksum (32)``

Argon2id (RFC 9106) of the passphrase seals a random data key, that seals the secrets; both with
XSalsa20-Poly1305, under keys that depend on every byte before, so nothing can be exchanged. The
checksum tells a damaged file from a wrong passphrase; it protects nothing.

Nothing here touches a disk. Deriving takes 64 MiB and 0.1 s or more: never on the event loop.
"""

from __future__ import annotations

import hashlib
import struct
import unicodedata
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import msgspec
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from commons_crdt.errors import CommonsError
from commons_node.keystore.unlocked import Unlocked

MAGIC: Final = b"commons-node member key 1\n"
MEMORY: Final = 64 << 20
"""Bytes that one try of a passphrase takes."""
PASSES: Final = 4
MAX_MEMORY: Final = 1 << 30
MAX_PASSES: Final = 16
"""A file that asks for more is damaged, or made to exhaust this computer."""
MIN_PASSPHRASE: Final = 8
"""Characters; shorter ones are refused for new keys."""
MAX_FILE: Final = 16 << 20

_LENGTH: Final = struct.Struct(">I")
_SEALED_KEY: Final = SecretBox.NONCE_SIZE + SecretBox.KEY_SIZE + SecretBox.MACBYTES
_CHECKSUM: Final = 32


class WrongPassphrase(CommonsError):
    """The passphrase does not open this member's key."""

    code: ClassVar[str] = "wrong_passphrase"
    hint: ClassVar[str] = "try again; for a lost one: commons-node member recover key"
    status = "locked"


class WeakPassphrase(CommonsError):
    """A passphrase needs at least 8 characters."""

    code: ClassVar[str] = "weak_passphrase"
    hint: ClassVar[str] = "four or five random words are easy to remember and hard to guess"
    status = "usage"


class DamagedKey(CommonsError):
    """The key file {file} is damaged or not a key file."""

    code: ClassVar[str] = "damaged_key"
    hint: ClassVar[str] = "commons-node backup restore FILE"
    status = "failed"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the passphrase was stretched, and whose file it is."""

    member: str
    salt: bytes
    memory: int
    passes: int
    kdf: str = "argon2id"


Random = Callable[[int], bytes]


def check_passphrase(passphrase: str) -> None:
    """Refuse a new passphrase that is too short. Raises WeakPassphrase."""
    if len(passphrase.strip()) < MIN_PASSPHRASE:
        raise WeakPassphrase


def seal(
    member: str, data_key: bytes, secrets: Mapping[str, bytes], passphrase: str, rng: Random
) -> bytes:
    """A whole key file. ``data_key`` 32 bytes; a fresh salt and nonces from ``rng``."""
    parameters = Parameters(member, rng(pwhash.argon2id.SALTBYTES), MEMORY, PASSES)
    encoded = msgspec.json.encode(parameters)
    head = MAGIC + _LENGTH.pack(len(encoded)) + encoded
    wrapping = _bound(_stretch(passphrase, parameters), head)
    head += _box(wrapping, data_key, rng)
    return _finish(head, data_key, secrets, rng)


def reseal(file: bytes, unlocked: Unlocked, secrets: Mapping[str, bytes], rng: Random) -> bytes:
    """The same key file with ``secrets`` in place of those in it; needs no passphrase.

    Raises WrongPassphrase when ``unlocked`` was wiped or belongs to another file, DamagedKey.
    """
    head, _, _ = _parse(file, unlocked.member)
    open_secrets(file, unlocked.member, unlocked.data_key())
    return _finish(head, unlocked.data_key(), secrets, rng)


def unseal(file: bytes, member: str, passphrase: str) -> Unlocked:
    """Open a key file of ``member``. Raises WrongPassphrase, DamagedKey."""
    head, parameters, _ = _parse(file, member)
    bare = head[:-_SEALED_KEY]
    wrapping = _bound(_stretch(passphrase, parameters), bare)
    data_key = _unbox(wrapping, head[-_SEALED_KEY:])
    return Unlocked(member, data_key, open_secrets(file, member, data_key))


def open_secrets(file: bytes, member: str, data_key: bytes) -> dict[str, bytes]:
    """The secrets in a key file, given its data key. Raises WrongPassphrase, DamagedKey."""
    head, _, sealed = _parse(file, member)
    try:
        return msgspec.json.decode(_unbox(_bound(data_key, head), sealed), type=dict[str, bytes])
    except ValueError:  # msgspec's errors and bad UTF-8
        raise DamagedKey(file=member) from None


def check_whole(file: bytes, member: str) -> None:
    """Whether these are the bytes of a key file of ``member``, as written. Raises DamagedKey."""
    _parse(file, member)


def _finish(head: bytes, data_key: bytes, secrets: Mapping[str, bytes], rng: Random) -> bytes:
    plain = msgspec.json.encode(dict(sorted(secrets.items())))
    body = head + _box(_bound(data_key, head), plain, rng)
    return body + hashlib.blake2b(body, digest_size=_CHECKSUM).digest()


def _parse(file: bytes, member: str) -> tuple[bytes, Parameters, bytes]:
    """``(all up to the sealed secrets, parameters, sealed secrets)``."""
    body, checksum = file[:-_CHECKSUM], file[-_CHECKSUM:]
    start = len(MAGIC) + _LENGTH.size
    try:
        if hashlib.blake2b(body, digest_size=_CHECKSUM).digest() != checksum:
            raise ValueError("checksum")
        if not body.startswith(MAGIC):
            raise ValueError("magic")
        (length,) = _LENGTH.unpack_from(body, len(MAGIC))
        parameters = msgspec.json.decode(body[start : start + length], type=Parameters)
        end = start + length + _SEALED_KEY
        reasonable = (
            parameters.member == member
            and parameters.kdf == "argon2id"
            and len(parameters.salt) == pwhash.argon2id.SALTBYTES
            and pwhash.argon2id.MEMLIMIT_MIN <= parameters.memory <= MAX_MEMORY
            and pwhash.argon2id.OPSLIMIT_MIN <= parameters.passes <= MAX_PASSES
            and len(body) >= end + SecretBox.NONCE_SIZE + SecretBox.MACBYTES
        )
        if not reasonable:
            raise ValueError("parameters")
    except (ValueError, struct.error):  # msgspec's errors and bad UTF-8 are ValueErrors
        raise DamagedKey(file=f"{member}.key") from None
    return body[:end], parameters, body[end:]


def _stretch(passphrase: str, parameters: Parameters) -> bytes:
    return pwhash.argon2id.kdf(
        SecretBox.KEY_SIZE,
        # The same key whether the keyboard makes é of one character or of two.
        unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape"),
        parameters.salt,
        opslimit=parameters.passes,
        memlimit=parameters.memory,
    )


def _bound(key: bytes, before: bytes) -> bytes:
    """A key that is good only together with the bytes ``before`` it."""
    return hashlib.blake2b(
        before, key=key, digest_size=SecretBox.KEY_SIZE, person=b"cn-keyfile"
    ).digest()


def _box(key: bytes, plain: bytes, rng: Random) -> bytes:
    return bytes(SecretBox(key).encrypt(plain, rng(SecretBox.NONCE_SIZE)))


def _unbox(key: bytes, sealed: bytes) -> bytes:
    try:
        return SecretBox(key).decrypt(sealed)
    except CryptoError:
        raise WrongPassphrase from None
