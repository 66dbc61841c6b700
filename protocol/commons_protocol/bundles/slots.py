"""The recipients of a bundle: one key for the file, sealed to each device, and nobody is named.

A slot is a sealed box (X25519, XSalsa20-Poly1305) of 80 bytes. Slots of nobody are boxes to keys
that were thrown away; all are sorted by their bytes, so that neither number nor order says who.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

from nacl.bindings import crypto_box, crypto_box_NONCEBYTES, crypto_scalarmult_base
from nacl.exceptions import CryptoError

from commons_crdt.device import unseal
from commons_crdt.texts import _
from commons_protocol.bundles.errors import BadBundle

SLOT = 80
MAX_SLOTS = 65_520
"""More do not fit the header's two bytes: 30,000 members with a node each."""
LEAST = 16
Random = Callable[[int], bytes]


def rounded(count: int, least: int) -> int:
    """``count`` or up to an eighth more, so that it says little; a multiple of ``least``."""
    step = max(least, 1 << max(0, count.bit_length() - 4))
    return max(-(-count // step) * step, least)


def make_slots(file_key: bytes, recipients: Iterable[bytes], rng: Random) -> tuple[bytes, int]:
    """The slots, and for how many of ``recipients`` (public sealing keys) there is one."""
    made = [slot for key in recipients if (slot := _slot(file_key, key, rng)) is not None]
    if len(made) > MAX_SLOTS:
        why = _("the community has more devices than the {most} that it has room for").format(
            most=MAX_SLOTS
        )
        raise BadBundle("size", why, _("meet by network: commons-node peer connect ADDRESS"))
    count = len(made)
    while len(made) < min(rounded(count, LEAST), MAX_SLOTS):
        made.append(_slot(rng(32), crypto_scalarmult_base(rng(32)), rng) or rng(SLOT))
    return b"".join(sorted(made)), count


def _slot(secret: bytes, key: bytes, rng: Random) -> bytes | None:
    """libsodium's sealed box, with its one-time key from ``rng``; None for a key of small order."""
    once = rng(32)
    public = crypto_scalarmult_base(once)
    nonce = blake2b(public + key, digest_size=crypto_box_NONCEBYTES).digest()
    try:
        return public + crypto_box(secret, nonce, key, once)
    except (CryptoError, RuntimeError):
        return None


def open_slots(slots: bytes, secrets: Sequence[bytes]) -> tuple[bytes, int] | None:
    """The file's key, and which of ``secrets`` (sealing seeds) opened its slot; None for none."""
    for at in range(0, len(slots), SLOT):
        for number, secret in enumerate(secrets):
            found = unseal(slots[at : at + SLOT], secret)
            if found is not None and len(found) == 32:
                return found, number
    return None
