"""A publisher's key: a secret of a member, sealed in their key file like the others.

Made when it is first needed. It is not the key of a device: who publishes shows the same key in
every community, and is known by it; who does not publish has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nacl.signing import SigningKey

if TYPE_CHECKING:
    from commons_node.keystore.store import Keystore
    from commons_node.keystore.unlocked import Unlocked

PUBLISHER: Final = "agents/publisher"
"""The name of the secret in a member's key file."""


async def publisher_key(keystore: Keystore, unlocked: Unlocked) -> SigningKey:
    """The unlocked member's key, made and sealed if there is none yet."""
    found = unlocked.find(PUBLISHER)
    if found is None:
        found = bytes(SigningKey.generate())
        await keystore.add(unlocked.member, PUBLISHER, found, unlocked)
    return SigningKey(found)


def publisher_of(unlocked: Unlocked) -> str | None:
    """The member's public key in hex; None where they have none yet."""
    found = unlocked.find(PUBLISHER)
    return bytes(SigningKey(found).verify_key).hex() if found is not None else None
