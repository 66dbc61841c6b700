"""A language that nobody speaks: every sentence is marked, accented, and two fifths longer.

What stands on a screen without ``⟦`` was never translated; what no longer fits was drawn for
English. ``qps`` and ``qpr`` are codes for private use; ``qpr`` is written from right to left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from scripts import texts

from commons_cli import texts as ours
from commons_node.api import language

LONG, RIGHT_TO_LEFT = "qps", "qpr"
_KEPT = re.compile(r"(\{[^{}]*\}|--[a-z-]+|commons-node|%\(\w+\)s|[A-Z]{2,}|\n|\x08)")
_ACCENTS = str.maketrans("aeiouyAEIOUYcn", "àéîõüÿÀÉÎÕÜÝçñ")
_HEBREW = str.maketrans("abcdefghijklmnopqrstuvwxyz", "אבגדהוזחטיכלמנסעפצקרשתםןףץ")


def long(text: str) -> str:
    """``⟦Lôñg text~~~⟧``; gaps, options and commands stay."""
    parts = _KEPT.split(text)
    said = "".join(one if _KEPT.fullmatch(one) else one.translate(_ACCENTS) for one in parts)
    return f"⟦{said}{'~' * max(len(text) * 2 // 5, 1)}⟧"


def right_to_left(text: str) -> str:
    """The same letters from right to left."""
    parts = _KEPT.split(text)
    return "".join(one if _KEPT.fullmatch(one) else one.lower().translate(_HEBREW) for one in parts)


def compiled(folder: Path) -> Path:
    """Both languages as catalogues, beside the real ones."""
    for name, say in ((LONG, long), (RIGHT_TO_LEFT, right_to_left)):
        made = Catalog(locale="en", domain="commons-node")
        for key in texts.found():
            string = say(key) if isinstance(key, str) else tuple(map(say, key))
            made.add(key, string)
        file = folder / name / "LC_MESSAGES" / "commons-node.mo"
        file.parent.mkdir(parents=True)
        with file.open("wb") as opened:
            write_mo(opened, made)
    for file in texts.files():
        beside = folder / file.relative_to(texts.LOCALES).with_suffix(".mo")
        beside.parent.mkdir(parents=True)
        beside.write_bytes(texts.compiled(file).read_bytes())
    return folder


@contextmanager
def spoken(folder: Path, name: str) -> Iterator[None]:
    """Let this process speak a language of ``folder``."""
    import gettext

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language, "LOCALES", folder)
        patch.setenv("LANGUAGE", name)
        language.catalogue.cache_clear()
        ours.use(name)
        try:
            yield
        finally:
            language.catalogue.cache_clear()
            gettext.textdomain("messages")
            patch.undo()
            ours.use("")
