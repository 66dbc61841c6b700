"""The places, each in a file of its own that says ``PLACE = Place(...)``.

A new screen is a new file here: nothing else names it. Its keys, its number and its line in the
palette follow from that.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from commons_tui.place import Place


@cache
def places() -> tuple[Place, ...]:
    """All places in their order."""
    found = [import_module(f"{__name__}.{one.name}").PLACE for one in iter_modules(__path__)]
    return tuple(sorted(found, key=lambda place: place.order))
