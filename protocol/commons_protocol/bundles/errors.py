"""What can be wrong with a bundle, each with a code and a sentence."""

from __future__ import annotations

from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _


class BadBundle(CommonsError):
    """The bundle cannot be used: {why}."""

    code: ClassVar[str] = "bundle"
    hint: ClassVar[str] = "{next}"

    def __init__(self, code: str, why: str, then: str = "") -> None:
        """``code`` names the fault for programs; ``then``: what a person can do."""
        advice = then or _("ask for a new one: commons-node bundle export FILE")
        super().__init__(why=why, next=advice)
        self.code = f"bundle_{code}"  # type: ignore[misc]  # one class, several codes


class Damaged(BadBundle):
    """The bundle cannot be used: {why}.

    What stands before the damage is as it was written.
    """
