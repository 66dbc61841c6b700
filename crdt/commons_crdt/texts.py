"""Texts for people, in the language of whoever reads them now.

The language is a value of the context: the API sets it for each request, a program of its own at
its start, and nothing sets it for what goes on by itself. English is what stands in the source and
costs nothing. Where catalogues come from is for ``commons_node.api.language``; this does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol, TypeVar

Key = TypeVar("Key")


class Catalogue(Protocol):
    """The sentences of one language, as ``gettext.GNUTranslations`` has them."""

    def gettext(self, message: str, /) -> str:
        """The translation, or the message itself."""
        ...

    def ngettext(self, one: str, many: str, n: int, /) -> str:
        """The form for ``n``."""
        ...

    def pgettext(self, context: str, message: str, /) -> str:
        """The translation of a word that means several things."""
        ...

    def info(self) -> Mapping[str, str]:
        """The header of the catalogue: ``language`` is its code."""
        ...


reading: ContextVar[Catalogue | None] = ContextVar("reading", default=None)
"""The catalogue of whoever reads what is said now; None is English."""


def _(text: str) -> str:
    """``text`` in the reader's language; with gaps, fill them afterwards."""
    found = reading.get()
    return found.gettext(text) if found is not None and text else text


def ngettext(one: str, many: str, n: int) -> str:
    """The form of a sentence for ``n``; ``one`` and ``many`` are the English ones."""
    found = reading.get()
    if found is not None:
        return found.ngettext(one, many, n)
    return one if n == 1 else many


def pgettext(context: str, text: str) -> str:
    """``text`` where English has one word and other languages several."""
    found = reading.get()
    return found.pgettext(context, text) if found is not None else text


def language() -> str:
    """The code of the reader's language, as HTML and HTTP write it."""
    found = reading.get()
    return found.info().get("language", "en") if found is not None else "en"


def N_(text: str) -> str:  # noqa: N802 -- its usual name
    """Mark a text that is translated where it is shown, not where it stands."""
    return text


class Spoken(Mapping[Key, str]):
    """A table of texts that is read in the reader's language; its keys stay as they are."""

    __slots__ = ("_texts",)

    def __init__(self, texts: Mapping[Key, str]) -> None:
        """``texts`` in English."""
        self._texts = texts

    def __getitem__(self, key: Key) -> str:
        """The text, translated."""
        return _(self._texts[key])

    def __iter__(self) -> Iterator[Key]:
        """The keys, in order."""
        return iter(self._texts)

    def __len__(self) -> int:
        """How many."""
        return len(self._texts)


def listed(words: Sequence[str]) -> str:
    """``a, b and c`` as the reader's language joins a list."""
    if len(words) < 2:
        return "".join(words)
    return _("{first} and {last}").format(first=_(", ").join(words[:-1]), last=words[-1])


def either(words: Sequence[str]) -> str:
    """``a, b or c`` as the reader's language offers a choice."""
    if len(words) < 2:
        return "".join(words)
    return _("{first} or {last}").format(first=_(", ").join(words[:-1]), last=words[-1])
