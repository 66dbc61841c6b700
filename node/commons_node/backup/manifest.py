"""What one backup holds: its realms with their hashes, and the chunks that hold the bytes."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from commons_crdt.texts import N_
from commons_node.backup.sealed_file import BadBackup

VERSION: Final = 3
"""2: members' own realms are in it. 3: the file of jobs, and agents. Earlier ones list less."""
MAX_MANIFEST: Final = 1 << 28
"""Bytes: some ten million operations."""

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
_FILE = (
    r"^(config\.toml|node\.key|node\.db|jobs\.db|agents/[0-9a-f]{64}\.agent"
    r"|keys/[0-9a-f]{8,128}(\.[0-9]{1,6})?\.(key|old))\Z"
)


class Chunk(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A sealed file of the folder: its name, and how many messages it holds."""

    name: Name
    messages: _Count


class PartChunk(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A large part of an operation; ``own``: it was added on the node of the backup."""

    operation: Hash
    position: Annotated[int, msgspec.Meta(ge=0, le=255)]
    own: bool
    chunk: Chunk


class FileChunk(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A file of the home; its path below it is one of a few."""

    path: Annotated[str, msgspec.Meta(pattern=_FILE)]
    chunk: Chunk


class Erased(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An operation without its contents: its body too, or only parts of it."""

    operation: Hash
    body: bool


class RealmBackup(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One community, or a member's own realm.

    The head is that of an archive: what its operations must give.

    ``settings`` are the node's own about it; ``erased`` what must never come back.
    """

    realm: Hash
    pin: Hash
    chain: tuple[Hash, ...]
    operations: _Count
    set_hash: Hash
    state_hash: Hash
    chunks: tuple[Chunk, ...]
    parts: tuple[PartChunk, ...]
    erased: tuple[Erased, ...]
    settings: tuple[tuple[str, bytes], ...]


class Manifest(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One backup. ``node`` is the id of the node that it is of, ``addresses`` where that was.

    ``own`` are realms of one member each; which member's, only the key files say.
    """

    version: _Count
    created_ms: _Count
    program: str
    node: _Hex
    addresses: tuple[str, ...]
    files: tuple[FileChunk, ...]
    realms: tuple[RealmBackup, ...]
    own: tuple[RealmBackup, ...] = ()

    @property
    def chunks(self) -> set[str]:
        """The names of all that it needs."""
        return {
            *(one.chunk.name for one in self.files),
            *(one.name for realm in self.every for one in realm.chunks),
            *(one.chunk.name for realm in self.every for one in realm.parts),
        }

    @property
    def every(self) -> tuple[RealmBackup, ...]:
        """Communities, then own realms."""
        return self.realms + self.own

    @property
    def operations(self) -> int:
        """Of all communities."""
        return sum(one.operations for one in self.realms)


def encode(manifest: Manifest) -> bytes:
    """Its bytes, before they are sealed."""
    return msgspec.msgpack.encode(manifest)


def decode(data: bytes) -> Manifest:
    """The manifest in these bytes. Raises ``BadBackup``."""
    version = _version(data)
    if version > VERSION:
        raise BadBackup(
            "version",
            N_("it has version {found}, this program reads {version}"),
            found=version,
            version=VERSION,
        )
    try:
        return msgspec.msgpack.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadBackup("format", N_("its list of contents is not what it should be")) from None


def _version(data: bytes) -> int:
    """The first of the positions, whatever follows: a later program may have other ones."""
    try:
        found = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return VERSION
    first = found[0] if isinstance(found, list) and found else VERSION
    return first if isinstance(first, int) else VERSION
