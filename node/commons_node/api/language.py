"""Which language a reader has, and its catalogue: for the API's both ends.

A client says it with ``Accept-Language``; where it comes from there is its environment, as for
every other program. Codes, names of commands and keys of JSON are the same in all of them.
Standard library only: the command line imports it at every start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from commons_crdt.texts import Catalogue

__all__ = ["Catalogue", "catalogue", "languages", "of_environment", "of_header", "speak"]

DOMAIN: Final = "commons-node"
LOCALES: Final = Path(__file__).parents[1] / "locale"
_NAME: Final = re.compile("[A-Za-z]*")
_VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
_SOURCE: Final = frozenset({"", "c", "posix", "en"})
"""What needs no catalogue: the language of the source."""
_MOST: Final = 8
"""Languages that are looked at in one header; nobody reads more."""


def languages() -> tuple[str, ...]:
    """All languages that there are, English first."""
    found = LOCALES.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")
    return ("en", *sorted(path.parents[1].name for path in found))


def of_environment(environment: Mapping[str, str]) -> str:
    """The language that the environment asks for, such as ``sv``; ``en`` where it says nothing.

    ``LANGUAGE`` is a list in order of preference and counts unless the locale is ``C``.
    """
    locale = next((environment[name] for name in _VARIABLES[1:] if environment.get(name)), "")
    wished = environment.get("LANGUAGE", "") or locale
    if locale in {"C", "POSIX"}:
        return "en"
    return _first(wished.split(":"))


def of_header(text: str | None) -> str:
    """The language that an ``Accept-Language`` header prefers (RFC 9110 §12.5.4)."""
    if not text or text == "en":
        return "en"
    wishes: list[tuple[float, str]] = []
    for part in text[:200].split(",")[:_MOST]:
        name, _, weight = part.partition(";")
        try:
            asked = float(weight.strip().removeprefix("q=")) if weight.strip() else 1.0
        except ValueError:
            asked = 0.0
        if asked > 0:
            wishes.append((asked, name.strip()))
    return _first([name for _, name in sorted(wishes, key=lambda one: -one[0])])


def _first(wishes: list[str]) -> str:
    """The first of these that there is."""
    for wish in wishes:
        plain = _plain(wish)
        if plain in _SOURCE:
            if plain:
                return "en"
        elif catalogue(plain) is not None:
            return plain
    return "en"


def _plain(name: str) -> str:
    """``sv`` of ``sv_SE.UTF-8@euro`` and of ``sv-SE``."""
    found = _NAME.match(name.strip())
    return found[0].lower() if found else ""


@cache
def catalogue(language: str) -> Catalogue | None:
    """The catalogue of a language; None for English and where there is none."""
    if language in _SOURCE or not (language.isascii() and language.isalpha()):
        return None
    import gettext  # noqa: PLC0415 -- English needs none

    try:
        return gettext.translation(DOMAIN, LOCALES, [language])
    except (OSError, ValueError):  # there is none, or it cannot be read
        return None


_spoken: list[Catalogue] = []
"""What this process speaks, where it is one person's program; empty for English."""


def speak(found: Catalogue | None) -> None:
    """Let the modules of the API that run on the caller's side say everything in this language."""
    _spoken[:] = [found] if found is not None else []


def _(text: str) -> str:
    """``text`` as the caller's side says it: the client, and where sockets are."""
    return _spoken[0].gettext(text) if _spoken and text else text
