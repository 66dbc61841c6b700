"""A bundle's file as the node reads it: an ordinary file, a piece at a time, off the event loop."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.service.veils import refuse_veiled


class CannotRead(CommonsError):
    """{file} cannot be read: {why}."""

    code: ClassVar[str] = "bad_file"
    hint: ClassVar[str] = "check its name, and that the node's user may read it"
    status = "usage"


class FileSource:
    """An open file; see ``importing.Source``."""

    def __init__(self, descriptor: int, size: int) -> None:
        """Use ``opened``."""
        self._descriptor = descriptor
        self._size = size

    @property
    def size(self) -> int:
        """Its bytes when it was opened."""
        return self._size

    async def read(self, at: int, count: int) -> bytes:
        """``count`` bytes from ``at`` on, fewer at the end. Raises OSError."""
        return await asyncio.to_thread(os.pread, self._descriptor, count, at)


@contextmanager
def opened(file: str) -> Iterator[FileSource]:
    """The file, for as long as the block runs. Raises ``CannotRead``, ``Veiled``."""
    path = Path(file)
    if not path.is_absolute():
        raise CannotRead(file=file, why=_("it is no absolute path of a file"))
    refuse_veiled(path, write=False)
    try:
        # Not to wait for ever where a pipe lies in place of a file.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CannotRead(file=file, why=error.strerror or error) from error
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise CannotRead(file=file, why=_("it is a folder: name a file in it"))
        if not stat.S_ISREG(found.st_mode):
            raise CannotRead(file=file, why=_("it is no ordinary file"))
        yield FileSource(descriptor, found.st_size)
    finally:
        os.close(descriptor)
