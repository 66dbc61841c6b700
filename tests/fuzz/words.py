"""What neighbours say of each other: a sealed note, under a key that its author shows."""

from __future__ import annotations

from collections.abc import Mapping

from nacl.bindings import crypto_secretbox, crypto_secretbox_NONCEBYTES
from tests.fuzz.target import Target, hold

from commons_crdt.ids import digest
from commons_node.domains.reputation.sealing import LARGE, open_note, seal_note

_SALT = 32


def _note(data: bytes) -> bool:
    """A salt, then what somebody put under it: opened as it stands, and as plain bytes."""
    salt, rest = data[:_SALT].ljust(_SALT, b"\0"), data[_SALT:]
    opened = open_note(salt, rest)
    plain = open_note(
        salt, crypto_secretbox(rest, bytes(crypto_secretbox_NONCEBYTES), digest("note", salt))
    )
    for note in (opened, plain):
        hold(len(note) <= max(len(rest), LARGE), "a note is not longer than its bytes")
    return bool(opened)


def _note_seeds() -> Mapping[str, bytes]:
    salt = b"s" * _SALT
    return {
        "short": salt + seal_note(salt, "a little dusty"),
        "long": salt + seal_note(salt, "\u00e5" * 500),
        "bad absent": salt + seal_note(salt, ""),
        "bad other salt": b"t" * _SALT + seal_note(salt, "a little dusty"),
        "bad torn": salt + seal_note(salt, "a little dusty")[:40],
        "bad length": salt + b"\xff\xffabc",
    }


TARGETS = (Target("note", _note, _note_seeds),)
