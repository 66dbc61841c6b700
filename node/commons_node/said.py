"""A sentence that is kept and read later, perhaps by somebody else: in English, with its gaps."""

from __future__ import annotations

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _


class Said(msgspec.Struct, frozen=True):
    """``text`` is one of the catalogues'; ``str`` of it is in the language of who reads it now."""

    text: str
    gaps: dict[str, Said | str | int | float] = {}

    def __str__(self) -> str:
        return _(self.text).format(**self.gaps)


def said(text: str, /, **gaps: object) -> Said:
    """A sentence, marked with ``N_`` where it stands, and what goes into its gaps."""
    return Said(text, {name: _plain(value) for name, value in gaps.items()})


def of_error(error: Exception) -> Said:
    """What an error says; that of the system or of a library stays as it is."""
    if not isinstance(error, CommonsError):
        return said("{error}", error=error)
    own = {name: said(str(error.details[name])) for name in type(error).texts}
    return said(error.template, **{**error.details, **own})


def _plain(value: object) -> Said | str | int | float:
    return value if isinstance(value, Said | str | int | float) else str(value)
