"""One sealed file of a backup: messages under libsodium's secret stream, whole or refused.

``magic ‖ version ‖ header (24) ‖ (u32 length ‖ ciphertext)…``. The key depends on what the file
is for, every message is bound to that too, and the last one is marked: a file that is cut off,
exchanged for another, or goes on behind its end, does not open.

Source: docs/protocol/backup.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import BinaryIO, ClassVar, Final

from nacl import bindings
from nacl.exceptions import CryptoError

from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_
from commons_node.said import Said, said

MAGIC: Final = b"commons-backup"
VERSION: Final = 1
MAX_MESSAGE: Final = 1 << 16
"""Bytes of one message before it is sealed: an operation's frame, or a piece of a file."""
_HEADER: Final = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_MORE: Final = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_FINAL: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL
_MESSAGE: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_LENGTH: Final = 4
_BEGIN: Final = len(MAGIC) + 1 + _HEADER


class BadBackup(CommonsError):
    """This backup cannot be believed: {why}."""

    code: ClassVar[str] = "backup"
    hint: ClassVar[str] = "take an older one of the same folder, or another copy of the folder"

    def __init__(self, code: str, why: str | Said, /, **gaps: object) -> None:
        """``code`` names the fault for programs; ``why`` is marked with ``N_``."""
        super().__init__(why=said(why, **gaps) if isinstance(why, str) else why)
        self.code = f"backup_{code}"  # type: ignore[misc]  # one class, several codes


def name_of(key: bytes, messages: Iterable[bytes]) -> str:
    """64 hex digits over the contents: the same for the same, telling nobody without the key."""
    hashed = blake2b(key=key, digest_size=32, person=b"cn-backup-name")
    for message in messages:
        hashed.update(len(message).to_bytes(_LENGTH) + message)
    return hashed.hexdigest()


def size_of(messages: Iterable[bytes]) -> int:
    """Bytes of the sealed file of these messages; one that is empty ends it."""
    return _BEGIN + _LENGTH + _MORE + sum(_LENGTH + _MORE + len(one) for one in messages)


def write_sealed(out: BinaryIO, key: bytes, purpose: bytes, messages: Iterable[bytes]) -> int:
    """Write the whole file; how many bytes. Holds one message at a time."""
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    header = bindings.crypto_secretstream_xchacha20poly1305_init_push(state, _for(key, purpose))
    written = out.write(MAGIC + bytes([VERSION]) + header)

    def put(message: bytes, tag: int) -> int:
        sealed = bindings.crypto_secretstream_xchacha20poly1305_push(state, message, purpose, tag)
        return out.write(len(sealed).to_bytes(_LENGTH) + sealed)

    for message in messages:
        if not 0 < len(message) <= MAX_MESSAGE:
            raise ValueError("a message is empty or too large")
        written += put(message, _MESSAGE)
    return written + put(b"", _FINAL)


def read_sealed(source: BinaryIO, key: bytes, purpose: bytes) -> Iterator[bytes]:
    """Every message; after the last, the file was whole. Raises ``BadBackup``, OSError."""
    begin = source.read(_BEGIN)
    if begin[: len(MAGIC)] != MAGIC:
        raise BadBackup("magic", N_("a file does not begin like one of a backup"))
    if len(begin) == _BEGIN and begin[len(MAGIC)] != VERSION:
        found = begin[len(MAGIC)]
        raise BadBackup(
            "version",
            N_("a file has version {found}, this program reads {version}"),
            found=found,
            version=VERSION,
        )
    if len(begin) < _BEGIN:
        raise BadBackup("truncated", N_("a file ends too early"))
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    header = begin[len(MAGIC) + 1 :]
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, header, _for(key, purpose))
    while True:
        length = int.from_bytes(_take(source, _LENGTH))
        if not _MORE <= length <= MAX_MESSAGE + _MORE:
            raise BadBackup("size", N_("a piece of a file has no size that it may have"))
        sealed = _take(source, length)
        try:
            message, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(
                state, sealed, purpose
            )
        except CryptoError:
            raise BadBackup(
                "damaged", N_("bytes of a file are not those that were written")
            ) from None
        if tag == _FINAL:
            break
        yield message
    if message or source.read(1):
        raise BadBackup("damaged", N_("something follows the end of a file"))


def _take(source: BinaryIO, count: int) -> bytes:
    data = source.read(count)
    if len(data) != count:
        raise BadBackup("truncated", N_("a file ends too early"))
    return data


def _for(key: bytes, purpose: bytes) -> bytes:
    """The key of one file: another for every purpose."""
    return blake2b(purpose, key=key, digest_size=32, person=b"cn-backup-file").digest()
