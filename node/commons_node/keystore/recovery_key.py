"""The recovery key: a random Ed25519 seed on paper, in groups of letters with a checksum.

It lies on no machine: it is printed once, checked by typing some groups back, and then only its
hash stands in the member's identity. Nothing is stretched: 32 random bytes are guessed by nobody.

Source: docs/protocol/authority.md "Bodies"; letters as in `commons_protocol.codes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from nacl.signing import SigningKey

from commons_crdt.device import sign_claim
from commons_crdt.errors import CommonsError, Status
from commons_crdt.ids import OperationId, digest
from commons_crdt.texts import _
from commons_protocol import wire
from commons_protocol.codes import BadCode, knock_parts, letters, payload_of
from commons_protocol.network import PeerId

SEED_BYTES: Final = 32
GROUP: Final = 4
GROUPS: Final = 14
"""56 letters: 32 bytes and 3 of checksum."""
CHECKED: Final = 3
"""How many groups are typed back."""


class BadRecoveryKey(CommonsError):
    """This is no recovery key: {why}."""

    code: ClassVar[str] = "recovery_key"
    hint: ClassVar[str] = (
        "it has 14 groups of 4 letters; blanks, dashes and small letters do not matter"
    )
    status: ClassVar[Status] = "usage"


class RecoveryKey:
    """A recovery key in memory, for as long as one request takes."""

    __slots__ = ("_seed",)

    def __init__(self, seed: bytes) -> None:
        """``seed``: 32 random bytes."""
        if len(seed) != SEED_BYTES:
            raise ValueError("a recovery key has 32 bytes")
        self._seed = seed

    def __repr__(self) -> str:
        """Say nothing: reprs end in logs."""
        return "RecoveryKey(…)"

    @classmethod
    def read(cls, text: str) -> RecoveryKey:
        """A key as it was typed or stands in a file. Raises ``BadRecoveryKey``."""
        try:
            seed = payload_of(text)
        except BadCode as error:
            raise BadRecoveryKey(why=error.details["why"]) from None
        if len(seed) != SEED_BYTES:
            raise BadRecoveryKey(why=_("it has the wrong length"))
        return cls(seed)

    @property
    def groups(self) -> tuple[str, ...]:
        """What is printed: 14 groups of 4 letters."""
        text = letters(self._seed)
        return tuple(text[start : start + GROUP] for start in range(0, len(text), GROUP))

    @property
    def public(self) -> bytes:
        """The 32-byte public key; it is shown only when the key is used."""
        return bytes(SigningKey(self._seed).verify_key)

    @property
    def hash(self) -> bytes:
        """What stands in the identity."""
        return recovery_hash(self.public)

    def sign(self, statement: bytes) -> bytes:
        """The signature of a warrant over an act's statement."""
        return SigningKey(self._seed).sign(statement).signature

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.KnockKey:
        """The first word to a node (`commons_protocol.applying`)."""
        return knock_with(self._seed, nonce, node, joiner)

    def fits(self, asked: Sequence[int], typed: str) -> bool:
        """True if ``typed`` is the groups of these numbers (from 1), however it is spaced."""
        wanted = "".join(self.groups[number - 1] for number in asked)
        found = "".join(typed.split()).replace("-", "").upper()
        return found.translate(_LOOKALIKES) == wanted


_LOOKALIKES: Final = str.maketrans("OIL", "011")


def recovery_hash(public: bytes) -> bytes:
    """The hash of a public recovery key."""
    return digest("recover", public)


def knock_with(seed: bytes, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.KnockKey:
    """A knock with an Ed25519 key that the community knows."""
    public = bytes(SigningKey(seed).verify_key)
    parts = knock_parts(nonce, node, joiner, OperationId(public))
    return wire.KnockKey(public, sign_claim("knock", seed, *parts))


def chosen(number: int) -> tuple[int, ...]:
    """Which groups are typed back, ascending, from a random number below 2^64."""
    left = list(range(1, GROUPS + 1))
    found = []
    for _byte in range(CHECKED):
        number, at = divmod(number, len(left))
        found.append(left.pop(at))
    return tuple(sorted(found))
