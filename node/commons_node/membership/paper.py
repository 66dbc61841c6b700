"""Recovery keys between being printed and being checked back; in memory, for some minutes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId, RealmId
from commons_crdt.texts import _
from commons_node.keystore.recovery_key import RecoveryKey, chosen

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

PRINTED_S = 30 * 60
_TRIES = 5


class NothingPrinted(CommonsError):
    """There is no recovery key that waits to be checked."""

    code: ClassVar[str] = "nothing_asked"
    hint: ClassVar[str] = "commons-node member recovery create"
    status = "not_found"


class WrongGroups(CommonsError):
    """These are not the groups {asked} of the key; {left}."""

    code: ClassVar[str] = "recovery_key"
    hint: ClassVar[str] = "read them from the paper: the key is good only if you can"


@dataclass(slots=True)
class Printed:
    """A key that was shown once, and which of its groups must be typed back."""

    key: RecoveryKey
    asked: tuple[int, ...]
    ends_ms: int
    tries: int = 0


class Papers:
    """The keys that wait, by member."""

    def __init__(self, daemon: Daemon) -> None:
        """Belongs to one daemon."""
        self._daemon = daemon
        self._printed: dict[tuple[RealmId, MemberId], Printed] = {}

    def print(self, realm: RealmId, member: MemberId) -> Printed:
        """A new key; one that waited before is forgotten."""
        asked = chosen(int.from_bytes(os.urandom(8), "big"))
        ends_ms = self._daemon.now_ms() + PRINTED_S * 1000
        made = Printed(RecoveryKey(os.urandom(32)), asked, ends_ms)
        self._printed[realm, member] = made
        return made

    def check(self, realm: RealmId, member: MemberId, typed: str) -> RecoveryKey:
        """The key, if its groups were typed back. Raises ``NothingPrinted``, ``WrongGroups``."""
        found = self._printed.get((realm, member))
        if found is None or self._daemon.now_ms() > found.ends_ms:
            self._printed.pop((realm, member), None)
            raise NothingPrinted
        if not found.key.fits(found.asked, typed):
            found.tries += 1
            spent = found.tries >= _TRIES
            if spent:
                del self._printed[realm, member]
            left = _("make a new key") if spent else _("try again")
            raise WrongGroups(asked=", ".join(map(str, found.asked)), left=left)
        return found.key

    def forget(self, realm: RealmId, member: MemberId) -> None:
        """The key stands in the identity now; this node knows it no longer."""
        self._printed.pop((realm, member), None)
