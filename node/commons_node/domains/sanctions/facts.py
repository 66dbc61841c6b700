"""The facts of a council beyond log 0: why something was taken away, in somebody's own words.

The act in log 0 says a word of a fixed list; what is personal stands in a part, and can be erased.
"""

from __future__ import annotations

import msgspec

from commons_crdt.operation import Hash

NOTE = "sanctions.note.1"
REASON = "reason"
"""The class of the part that holds the text, in UTF-8."""
MAX_REASON = 2_000
"""Bytes of a reason."""


class Note(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A coordinator explains the log-0 operation ``about``, which is among its refs."""

    about: Hash
