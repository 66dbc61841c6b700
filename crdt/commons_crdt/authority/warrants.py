"""Why an act on an identity may be done: by its own devices, its recovery key, its guardians.

Source: docs/protocol/authority.md "Bodies", statement and warrant.
"""

from __future__ import annotations

from typing import Any

import msgspec

from commons_crdt import canonical
from commons_crdt.authority.identity_facts import Pick, Recover, Recovery, SetGuardians
from commons_crdt.device import verify_claim
from commons_crdt.ids import RealmId, digest

Act = Recover | SetGuardians | Pick


def stated(realm: RealmId, kind: str, body: Act) -> bytes:
    """Canonical ``[realm, kind, [positions…]]`` of an act, without its warrant and epochs."""
    plain: list[Any] = msgspec.to_builtins(body, builtin_types=(bytes,))
    kept = plain[:-2] if isinstance(body, Recover) else plain[:-1]
    return canonical.encode([realm, kind, kept])


def statement(realm: RealmId, kind: str, body: Act) -> bytes:
    """What guardians endorse: 32 bytes, the hash of what is ``stated``.

    A recovery key signs the same: ``sign_claim("warrant", seed, stated(…))``.
    """
    return digest("warrant", stated(realm, kind, body))


def recovery_hash(key: bytes) -> bytes:
    """What an identity says of its recovery key: a hash, so that nobody knows it before use."""
    return digest("recover", key)


def signed_by(warrant: Recovery, said: bytes) -> bool:
    """True if the warrant's key signed what is ``stated``."""
    return verify_claim("warrant", warrant.key, warrant.signature, said)
