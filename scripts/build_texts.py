"""Part of the build: the catalogues that the programs read, from the sources beside them.

A checkout has only the ``.po`` of each language; a wheel carries the ``.mo`` too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Texts(BuildHookInterface[Any]):
    """Compiles before anything is packed."""

    def initialize(self, _version: str, _build_data: dict[str, Any]) -> None:
        """One catalogue for each language."""
        for source in Path(self.root, "node/commons_node/locale").glob("*/LC_MESSAGES/*.po"):
            with source.open("rb") as read, source.with_suffix(".mo").open("wb") as made:
                write_mo(made, read_po(read, locale=source.parents[1].name))
