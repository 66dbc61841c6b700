"""How to see that something is still said in English."""

from __future__ import annotations

import re
from functools import cache

from scripts import texts

_TITLES = ("why:", "try:", "error:", "State", "Until", "Thing")


def _known(key: str) -> re.Pattern[str]:
    """An English text, whatever stands in its gaps."""
    parts = re.split(r"\{[^{}]*\}", key.replace("{{", "{").replace("}}", "}"))
    return re.compile(r"(?<!\w)" + ".{1,60}?".join(map(re.escape, parts)) + r"(?!\w)")


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """Texts that can be nothing else: three words or more, and titles that Swedish has not."""
    swedish = texts.read(texts.LOCALES / "sv/LC_MESSAGES/commons-node.po")
    found = {one: _known(one) for one in _TITLES}
    for key in texts.found():
        one = texts._first(key)
        words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\{[^{}]*\}", "", one))
        message = swedish.get(one)
        if len(words) >= 3 and message is not None and message.string != one:
            found[one] = _known(one)
    return found


def english_in(text: str) -> list[str]:
    """The English texts of ours that stand in ``text``."""
    return [one for one, pattern in _patterns().items() if pattern.search(text)]
