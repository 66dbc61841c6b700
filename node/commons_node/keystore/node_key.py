"""The node's own keys: unattended, so they lie on disk unsealed, readable by this user only.

Whoever can read ``node.key`` can act as this node: admit holders of invites, sign receipts and
venue tokens. It can never act for a member; members' keys are never stored here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.keystore.disk import create_private, private_folder, write_private

VERSION: Final = 1


class DamagedNodeKey(CommonsError):
    """The node's own key file {file} is damaged."""

    code: ClassVar[str] = "damaged_key"
    hint: ClassVar[str] = "put back an unharmed copy of it, or start with a new home"
    status = "failed"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    v: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    secrets: dict[str, bytes]


class NodeKey:
    """Named secrets of the node in one file, ``HOME/node.key``, mode 0600."""

    def __init__(self, path: Path) -> None:
        """Touches nothing yet."""
        self._path = path

    def load(self) -> dict[str, bytes]:
        """All secrets; empty when there is no file yet. Raises DamagedNodeKey."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        if self._path.stat().st_mode & 0o077:
            self._path.chmod(0o600)
        try:
            return msgspec.json.decode(data, type=_File).secrets
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise DamagedNodeKey(file=self._path.name) from None

    def create(self, secrets: Mapping[str, bytes]) -> None:
        """Write the first secrets; durable when it returns. Raises FileExistsError."""
        private_folder(self._path.parent)
        create_private(self._path, self._encode(secrets))

    def add(self, secrets: Mapping[str, bytes]) -> None:
        """Add or replace secrets; durable when it returns. Raises DamagedNodeKey."""
        private_folder(self._path.parent)
        write_private(self._path, self._encode(self.load() | dict(secrets)))

    @staticmethod
    def _encode(secrets: Mapping[str, bytes]) -> bytes:
        return msgspec.json.encode(_File(VERSION, dict(sorted(secrets.items())))) + b"\n"
