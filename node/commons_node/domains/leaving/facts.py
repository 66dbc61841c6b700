"""The facts of leaving: a receipt of a node, a goodbye, a debt that is forgiven, a community's end.

None of them holds a text of a person, but for the reason of who forgives, which is a part.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from commons_crdt.operation import MAX_REFS, Hash

RECEIPT: Final = "leaving.receipt.1"
GOODBYE: Final = "leaving.goodbye.1"
FORGIVEN: Final = "leaving.forgiven.1"
CLOSING: Final = "leaving.closing.1"
SINCE: Final = 3
"""The rules version that lists them."""
REASON: Final = "reason"
MAX_REASON: Final = 1000
"""Bytes of a reason."""
MOST: Final = MAX_REFS
"""Erasures that one receipt names."""


class Receipt(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A node has carried out these erasures, ascending: it holds no byte of what they took."""

    erasures: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=MOST)]


class Goodbye(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member leaves; the document is the member."""


class Forgiven(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A steward forgives a loan, the document: it need not come back. Custody stays as it is."""

    borrower: Hash


class Closing(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A coordinator is for closing the community, or no longer; the document is the realm."""

    closes: bool
