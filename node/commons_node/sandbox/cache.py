"""The compiled runner on disk: private to this node, and believed only with its seal.

To load compiled code is to run it. So the file's name carries a MAC of its bytes under a key that
only this node can make, and what kind of code it is; whatever does not fit is made anew. Nothing
that came from elsewhere, in a package or a backup, is ever loaded.
"""

from __future__ import annotations

import hmac
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.keystore.disk import private_folder, write_private

FOLDER: Final = "sandbox"
_TAG: Final = 32
"""Hex digits of the kind in a name."""


class BadCache(CommonsError):
    """The compiled runner cannot be used: {why}."""

    code: ClassVar[str] = "bad_cache"
    hint: ClassVar[str] = "the node makes it anew by itself"
    status = "failed"


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """To a process that compiles: into which folder, and the key of the seal in hex."""

    folder: str
    key: str


def key_of(secret: bytes) -> bytes:
    """The key of the seal, derived from the node's own secret: it opens nothing else."""
    return blake2b(secret, person=b"commons-cwasm", digest_size=32).digest()


def _tag(kind: str, runner: str) -> str:
    return blake2b(f"{kind} {runner}".encode(), digest_size=_TAG // 2).hexdigest()


def _seal(key: bytes, tag: str, body: bytes | mmap.mmap) -> str:
    made = hmac.new(key, tag.encode(), "sha256")
    made.update(body)
    return made.hexdigest()


def there(folder: Path, kind: str, runner: str) -> Path | None:
    """The file of this kind and runner, unread; None without."""
    found = sorted(folder.glob(f"{_tag(kind, runner)}.*.cwasm"))
    return found[0] if found else None


def keep(folder: Path, kind: str, runner: str, key: bytes, body: bytes) -> Path:
    """Write it, durable when it returns, and forget all others. Raises OSError."""
    private_folder(folder)
    tag = _tag(kind, runner)
    path = folder / f"{tag}.{_seal(key, tag, body)}.cwasm"
    write_private(path, body)
    for other in folder.glob("*.cwasm"):
        if other != path:
            other.unlink(missing_ok=True)
    return path


def forget(path: Path) -> None:
    """It was not good."""
    with suppress(FileNotFoundError):
        path.unlink()


@contextmanager
def opened(path: Path, kind: str, runner: str, key: bytes) -> Iterator[str]:
    """A path to exactly the file whose seal was checked. Raises ``BadCache``."""
    tag, _, rest = path.name.partition(".")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise BadCache(why=error) from None
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise BadCache(why="others could have written it")
        if found.st_size == 0 or tag != _tag(kind, runner):
            raise BadCache(why="it is of another version")
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as body:
            good = hmac.compare_digest(rest, f"{_seal(key, tag, body)}.cwasm")
        if not good:
            raise BadCache(why="it is not what this node has made")
        yield f"/proc/self/fd/{descriptor}" if sys.platform == "linux" else str(path)
    finally:
        os.close(descriptor)
