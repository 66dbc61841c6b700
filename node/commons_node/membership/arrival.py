"""One way in that is under way at a new machine, and why it may not go on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import ClassVar

from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId, RealmId
from commons_node.keystore.recovery_key import RecoveryKey
from commons_node.keystore.unlocked import Unlocked
from commons_protocol import wire
from commons_protocol.applying import Met
from commons_protocol.network import PeerId


class AlreadyYours(CommonsError):
    """This node holds a device of this member already, and it stands."""

    code: ClassVar[str] = "exists"
    hint: ClassVar[str] = "commons-node member unlock"


class NotArriving(CommonsError):
    """This node does not wait to be let in for anybody."""

    code: ClassVar[str] = "nothing_asked"
    hint: ClassVar[str] = (
        "commons-node member device join CODE, or: commons-node member recover start"
    )
    status = "not_found"


class WrongGrant(CommonsError):
    """The file does not let in the device that this machine has made."""

    code: ClassVar[str] = "grant"
    hint: ClassVar[str] = "write a new request: commons-node member device join CODE --request FILE"


@dataclass(slots=True)
class Arrival:
    """One way in that is under way."""

    member: MemberId
    secrets: DeviceSecrets
    unlocked: Unlocked
    label: str | None = None
    digits: asyncio.Future[str] = field(default_factory=asyncio.Future)
    task: asyncio.Task[RealmId] | None = None

    def tell(self, digits: str) -> None:
        """The digits are known; they stay the same for as long as the arrival lasts."""
        if not self.digits.done():
            self.digits.set_result(digits)


@dataclass(slots=True)
class Probe:
    """A door that asks for nothing."""

    key: RecoveryKey
    met: Met | None = None

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.KnockKey:
        """With the recovery key."""
        return self.key.knock(nonce, node, joiner)

    def ask(self, met: Met) -> None:
        """Nothing; only whose key it is."""
        self.met = met
