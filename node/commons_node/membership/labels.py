"""What people call their devices: a short text that stands in a part, never in a body."""

from __future__ import annotations

from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_node.domains.identity.facts import MAX_LABEL


class BadLabel(CommonsError):
    """A device's name has 1 to 80 bytes of text, without line breaks."""

    code: ClassVar[str] = "name"
    hint: ClassVar[str] = "choose a shorter name, such as phone"
    status = "usage"


def label_part(text: str) -> bytes:
    """A device's name as it stands in a part. Raises ``BadLabel``."""
    data = text.strip().encode("utf-8")
    if not 1 <= len(data) <= MAX_LABEL or not text.strip().isprintable():
        raise BadLabel
    return data
