"""What a home that was made from a backup still owes: its old devices are to be retired.

``HOME/restored.json`` says so until it is done. The old devices' keys came with the backup. They
sign nothing but their own end, and not before another node has told what the lost machine wrote
after the backup: two operations at one place of a chain would be a fork.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.keystore.disk import sync_folder, write_private

FILE: Final = "restored.json"
_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class DamagedNote(CommonsError):
    """The file {file} is damaged: it says which devices a restored home must still retire."""

    code: ClassVar[str] = "damaged_home"
    hint: ClassVar[str] = "restore the backup again, into an empty home"
    status = "failed"


class Owed(msgspec.Struct, forbid_unknown_fields=True):
    """``realms``: where the node has not changed devices yet. ``members``: who has not, and where.

    ``node`` is the id of the lost node, ``addresses`` where it was. ``alone``: nobody can be
    asked; somebody who knows said that the lost machine wrote nothing after the backup.
    """

    node: _Hex
    addresses: tuple[str, ...]
    created_ms: int
    alone: bool
    realms: list[_Hex]
    members: dict[_Hex, _Hex]


class Restored:
    """The file; ``owed`` is None in a home that owes nothing."""

    def __init__(self, home: Path) -> None:
        """Read it. Raises ``DamagedNote``."""
        self._path = home / FILE
        try:
            self.owed: Owed | None = msgspec.json.decode(self._path.read_bytes(), type=Owed)
        except FileNotFoundError:
            self.owed = None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise DamagedNote(file=FILE) from None

    @property
    def must_meet(self) -> bool:
        """Whether nothing may be signed before another node was met."""
        return self.owed is not None and bool(self.owed.realms) and not self.owed.alone

    def owes(self, member: bytes) -> bool:
        """Whether this member's old device is still to be retired."""
        return self.owed is not None and member.hex() in self.owed.members

    @property
    def members(self) -> Mapping[str, str]:
        """Who owes it, and in which community."""
        return self.owed.members if self.owed is not None else {}

    def node_done(self, realm: bytes) -> None:
        """This node writes with a device of its own there. Durable when it returns."""
        if self.owed is not None and realm.hex() in self.owed.realms:
            self.owed.realms.remove(realm.hex())
            self._save()

    def member_done(self, member: bytes) -> None:
        """The old device has ended. Durable when it returns."""
        if self.owed is not None and self.owed.members.pop(member.hex(), None) is not None:
            self._save()

    def go_alone(self) -> None:
        """Somebody said that there is nobody to ask. Durable when it returns."""
        if self.must_meet:
            assert self.owed is not None
            self.owed.alone = True
            self._save()

    def _save(self) -> None:
        assert self.owed is not None
        if self.owed.realms or self.owed.members:
            write(self._path.parent, self.owed)
            return
        self._path.unlink(missing_ok=True)
        sync_folder(self._path.parent)
        self.owed = None


def write(home: Path, owed: Owed) -> None:
    """Note in a home what it owes."""
    write_private(home / FILE, msgspec.json.encode(owed) + b"\n")
