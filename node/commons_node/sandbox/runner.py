"""The runner for Python: one file that is part of this program, and its hash.

Built by ``make runner``; its builds differ byte by byte, so the file is what is released, not its
recipe (docs/decisions/0029).
"""

from __future__ import annotations

import hashlib
import lzma
from importlib import resources
from typing import ClassVar, Final

from commons_crdt.errors import CommonsError

NAME: Final = "runner.wasm.xz"
SHA256: Final = "a42f9a5deb3431954b16b455b1dd0667df8f4c4d833e4e3039d4f7d5a6291697"
"""Of the component, unpacked."""
_MOST: Final = 64 << 20


class BadRunner(CommonsError):
    """The runner of agents in this installation is not the one that was released: {why}."""

    code: ClassVar[str] = "bad_runner"
    hint: ClassVar[str] = "install commons-node again"
    status = "failed"


def component() -> bytes:
    """The component. Raises ``BadRunner``."""
    try:
        packed = resources.files("commons_node.sandbox").joinpath(NAME).read_bytes()
        unpacker = lzma.LZMADecompressor(memlimit=256 << 20)
        found = unpacker.decompress(packed, max_length=_MOST)
    except (OSError, lzma.LZMAError) as error:
        raise BadRunner(why=error) from None
    if not unpacker.eof or hashlib.sha256(found).hexdigest() != SHA256:
        raise BadRunner(why=f"{NAME} has another hash")
    return found
