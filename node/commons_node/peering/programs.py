"""What another node's program means for agreeing with it: one word, one sentence, for all faces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from commons_crdt.texts import Spoken
from commons_protocol.about import About

if TYPE_CHECKING:
    from commons_node.community import Community

BESIDE: Final = Spoken({
    "newer": "It knows newer rules ({theirs}) than this node ({here}): upgrade this one; nothing "
    "is lost until then.",
    "older": "It knows older rules ({theirs}) than this node ({here}): ask its host to upgrade it "
    "before the community takes newer ones.",
    "too_old": "It knows older rules ({theirs}) than the community keeps to ({kept}), and keeps "
    "aside what it does not know: ask its host to upgrade it; nothing is lost until then.",
})  # fmt: skip
"""By the word that the API has for it; None stands for a program that knows as much as this one."""


def kept_by(communities: Iterable[Community]) -> int:
    """The newest rules that any of them keeps to; 0 for none."""
    return max((one.realm.judge.authority.council.rules for one in communities), default=0)


def beside(about: About | None, here: int, kept: int) -> dict[str, object]:
    """The fields of a row: ``version, rules, program, upgrade``; all None if it said nothing.

    ``here``: the newest rules that this node knows; ``kept``: those of the communities that both
    are in. ``program`` is a word of ``BESIDE``, ``upgrade`` its sentence. Nothing is decided by it.
    """
    if about is None:
        return {"version": None, "rules": None, "program": None, "upgrade": None}
    word = "too_old" if about.rules < kept else "older" if about.rules < here else None
    word = "newer" if about.rules > here else word
    upgrade = BESIDE[word].format(theirs=about.rules, here=here, kept=kept) if word else None
    return {
        "version": about.version, "rules": about.rules, "program": word, "upgrade": upgrade,
    }  # fmt: skip


def then(action: str, said: dict[str, object]) -> str:
    """What to do next with a peer, and about its program."""
    return " ".join(filter(None, (action, str(said["upgrade"] or ""))))
