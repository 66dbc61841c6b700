"""Targets of backups: sealed files as anybody may change them, and what stands inside."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
from tests.fuzz.files import in_memory
from tests.fuzz.target import Target, hold, only

from commons_crdt.ids import digest
from commons_node.backup import manifest, restored, sealed_file, state
from commons_node.backup.manifest import Chunk, Erased, FileChunk, Manifest, PartChunk, RealmBackup
from commons_node.backup.sealed_file import BadBackup
from commons_node.said import said

KEY = digest("f-backup")
_CODES = ("magic", "version", "truncated", "size", "damaged", "format")
_PURPOSE = b"chunk " + b"0" * 64


def _sealed(data: bytes) -> bool:
    """The first line says whether the rest is a file, or messages that are sealed well."""
    kind, _, rest = data.partition(b"\n")
    if kind == b"m":
        return _messages(rest)
    try:
        with only(*(f"backup_{code}" for code in _CODES)):
            found = list(sealed_file.read_sealed(io.BytesIO(rest), KEY, _PURPOSE))
    except BadBackup as error:
        hold(str(error), "a fault has a sentence")
        return False
    hold(sealed_file.size_of(found) == len(rest), "its size follows from what it holds")
    return True


def _messages(data: bytes) -> bool:
    messages = [one for one in data.split(b"\0") if 0 < len(one) <= sealed_file.MAX_MESSAGE]
    out = io.BytesIO()
    size = sealed_file.write_sealed(out, KEY, _PURPOSE, messages)
    hold(size == len(out.getvalue()) == sealed_file.size_of(messages), "sizes are known before")
    out.seek(0)
    hold(list(sealed_file.read_sealed(out, KEY, _PURPOSE)) == messages, "what is sealed opens")
    return True


def _sealed_seeds() -> Mapping[str, bytes]:
    return {
        "messages": b"m\nfirst\0second\0" + b"x" * 300,
        "nothing in it": b"m\n",
        "bad magic": b"f\ncommons-archive\x01",
        "bad version": b"f\n" + sealed_file.MAGIC + b"\x09" + bytes(24),
        "bad torn": b"f\n" + sealed_file.MAGIC + b"\x01" + bytes(11),
        "bad size": b"f\n" + sealed_file.MAGIC + b"\x01" + bytes(24) + b"\xff\xff\xff\xff",
        "bad seal": b"f\n" + sealed_file.MAGIC + b"\x01" + bytes(24) + b"\0\0\0\x11" + bytes(17),
    }


def _manifest(data: bytes) -> bool:
    try:
        with only("backup_format", "backup_version"):
            found = manifest.decode(data)
    except BadBackup:
        return False
    hold(manifest.decode(manifest.encode(found)) == found, "a list of contents means one thing")
    for one in found.files:
        path = Path(one.path)
        hold(not path.is_absolute() and ".." not in path.parts, "no file leaves the home")
    hold(all(len(name) == 64 for name in found.chunks), "chunks are named by their contents")
    hold(found.operations >= 0, "a count")
    return True


@lru_cache
def _listed() -> Manifest:
    chunk = Chunk("ab" * 32, 2)
    hash_ = bytes(32)
    realm = RealmBackup(
        hash_, hash_, (hash_,), 3, hash_, hash_, (chunk,), (PartChunk(hash_, 0, True, chunk),),
        (Erased(hash_, True),), (("parts", b"all"),),
    )  # fmt: skip
    paths = ("node.key", "keys/" + "a1" * 32 + ".key", "jobs.db", "agents/" + "b2" * 32 + ".agent")
    files = tuple(FileChunk(one, chunk) for one in paths)
    return Manifest(3, 1_700_000_000_000, "0.1", "cd" * 32, ("/ip4/192.0.2.7/tcp/1",), files,
                    (realm,))  # fmt: skip


def _manifest_seeds() -> Mapping[str, bytes]:
    whole = manifest.encode(_listed())
    values = msgspec.to_builtins(_listed(), builtin_types=(bytes,))
    return {
        "whole": whole,
        "bad version": msgspec.msgpack.encode([9, *values[1:]]),
        "bad path": whole.replace(b"node.key", b"../x.key"),
        "bad torn": whole[:-9],
    }


def _restored(data: bytes) -> bool:
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        home = Path(folder)
        (home / restored.FILE).write_bytes(data)
        try:
            with only("damaged_home"):
                found = restored.Restored(home)
        except restored.DamagedNote:
            return False
        assert found.owed is not None
        restored.write(home, found.owed)
        hold(restored.Restored(home).owed == found.owed, "it means one thing")
        realms = list(found.owed.realms)
        for member in list(found.members):
            found.member_done(bytes.fromhex(member))
        for realm in realms:
            found.node_done(bytes.fromhex(realm))
        return True


def _restored_seeds() -> Mapping[str, bytes]:
    owed = restored.Owed("cd" * 32, (), 1, False, ["ab" * 32], {"a1" * 32: "ab" * 32})
    whole = msgspec.json.encode(owed)
    return {"whole": whole, "bad hex": whole.replace(b"cdcd", b"zzzz", 1), "bad json": b"{"}


def _state(data: bytes) -> bool:
    """Never refused: a fresh one stands for what cannot be read."""
    found = state.decode(data.decode("utf-8", "surrogateescape"))
    hold(state.decode(msgspec.json.encode(found).decode()) == found, "it means one thing")
    return found != state.BackupState()


def _state_seeds() -> Mapping[str, bytes]:
    found = state.BackupState(
        last_ms=1_700_000_000_000, place="/mnt/disk", failed=said("{why}", why="it is full")
    )
    return {"whole": msgspec.json.encode(found), "bad json": b"{", "bad type": b'{"last_ms": "x"}'}


TARGETS = (
    Target("backup-file", _sealed, _sealed_seeds, head=True),
    Target("backup-list", _manifest, _manifest_seeds),
    Target("restored-note", _restored, _restored_seeds, "json"),
    Target("backup-state", _state, _state_seeds, "json"),
)
