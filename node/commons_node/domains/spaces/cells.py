"""Coarse places: a geohash of six letters, about 1.2 km by 0.6 km, and never anything finer.

An exact place is made coarse before it is written anywhere; nothing here can undo that. Source:
the geohash of G. Niemeyer (2008).
"""

from __future__ import annotations

from typing import ClassVar, Final

from commons_crdt.errors import CommonsError

LETTERS: Final = 6
_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"


class BadPlace(CommonsError):
    """{text!r} is no place: latitude and longitude, or a geohash cell of at most six letters."""

    code: ClassVar[str] = "place"
    hint: ClassVar[str] = "write it as 59.33,18.06 or u6sce6"
    status = "usage"


def parse_cell(text: str) -> str:
    """The cell of ``59.33,18.06``, or a cell as it stands; ``BadPlace`` for anything else."""
    told = text.strip().lower()
    if "," not in told:
        if 1 <= len(told) <= LETTERS and set(told) <= set(_ALPHABET):
            return told
        raise BadPlace(text=text[:60])
    try:
        latitude, longitude = (float(part) for part in told.split(","))
    except ValueError as error:
        raise BadPlace(text=text[:60]) from error
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise BadPlace(text=text[:60])
    return _cell(latitude, longitude)


def _cell(latitude: float, longitude: float) -> str:
    bounds = [[-180.0, 180.0], [-90.0, 90.0]]
    value = (longitude, latitude)
    letters = ""
    for letter in range(LETTERS):
        index = 0
        for bit in range(5):
            axis = (letter * 5 + bit) % 2
            middle = sum(bounds[axis]) / 2
            upper = value[axis] >= middle
            bounds[axis][0 if upper else 1] = middle
            index = index * 2 + upper
        letters += _ALPHABET[index]
    return letters
