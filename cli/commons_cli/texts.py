"""Texts for people, in their language where somebody translated them.

Loads gettext only when a translation may exist: English costs nothing at start. One language for
the whole process; ``use`` sets another than the environment's.
"""

from __future__ import annotations

import os
from functools import cache

from commons_node.api import language as languages

_chosen: list[str] = []
_before: dict[str, str | None] = {}
"""What the environment said before click was lent our catalogue."""
"""The language that a person chose, if one did."""


def _(text: str) -> str:
    """``text`` in the reader's language, or as it is."""
    found = _catalogue()
    return found.gettext(text) if found is not None and text else text


def ngettext(one: str, many: str, n: int) -> str:
    """The form of a sentence for ``n``; ``one`` and ``many`` are the English ones."""
    found = _catalogue()
    if found is not None:
        return found.ngettext(one, many, n)
    return one if n == 1 else many


def N_(text: str) -> str:  # noqa: N802 -- its usual name
    """Mark a text that is translated where it is shown, not where it stands."""
    return text


@cache
def language() -> str:
    """The language of this process, such as ``sv``; what nodes are asked to answer in."""
    given = _chosen[0] if _chosen else ""
    return given or languages.of_environment(os.environ)


@cache
def _catalogue() -> languages.Catalogue | None:
    found = languages.catalogue(language())
    if found is not None:
        _lend(language())
    languages.speak(found)
    return found


def _lend(name: str) -> None:
    """Let click's own few words ("Usage", "Missing argument") be found in our catalogue."""
    import gettext

    gettext.bindtextdomain(languages.DOMAIN, str(languages.LOCALES))
    gettext.textdomain(languages.DOMAIN)
    if (before := os.environ.get("LANGUAGE")) != name:
        _before.setdefault("LANGUAGE", before)
        os.environ["LANGUAGE"] = name


def use(name: str) -> None:
    """Speak this language from now on; "" is the environment's again."""
    _chosen[:] = [name] if name else []
    for variable, value in _before.items():
        os.environ.pop(variable, None)
        os.environ.update({variable: value} if value is not None else {})
    _before.clear()
    language.cache_clear()
    _catalogue.cache_clear()
    _catalogue()
