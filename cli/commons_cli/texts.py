"""Texts for people, in their language where somebody translated them.

Loads gettext only when a translation may exist: English costs nothing at start.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

_DOMAIN = "commons-node"
_LOCALES = Path(__file__).with_name("locale")


def _(text: str) -> str:
    """``text`` in the language of the environment, or as it is."""
    return _translate()(text) if text else text


@cache
def _translate() -> Callable[[str], str]:
    given = (os.environ.get(name) for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))
    language = next((one for one in given if one), "C")
    if language.startswith(("C", "POSIX", "en")) or not _LOCALES.is_dir():
        return str
    import gettext

    return gettext.translation(_DOMAIN, _LOCALES, fallback=True).gettext
