"""A file that the node writes for a person: durable and whole, or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.service.veils import refuse_veiled


class CannotWrite(CommonsError):
    """{file} cannot be written: {why}."""

    code: ClassVar[str] = "bad_file"
    hint: ClassVar[str] = "choose a file in a folder that is yours to write, on a disk with room"
    status = "usage"


def checked_path(file: str) -> Path:
    """The path of a file that may be written; ``CannotWrite``, or ``Veiled`` from a service."""
    path = Path(file)
    if not path.is_absolute():
        raise CannotWrite(file=file, why=_("it is no absolute path of a file"))
    refuse_veiled(path, write=True)
    if path.is_dir():
        raise CannotWrite(file=file, why=_("it is a folder: name a file in it"))
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, for this user only; it takes its name when the block ends well.

    Raises ``CannotWrite``, for instance when the disk is full; nothing is left behind then.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            beside.replace(path)
            _settle(path.parent)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(file=path, why=error.strerror or error) from error


def _settle(folder: Path) -> None:
    """Let the new name be durable, where the file system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
