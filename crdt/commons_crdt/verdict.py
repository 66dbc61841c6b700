"""Verdicts: what every node says of an operation, and the sentence that explains it.

A verdict depends on the set of operations and the pin, never on this machine. What depends on
this machine is a local state of the daemon and does not stand here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """The five verdicts; all but PENDING are final as long as the set does not grow."""

    PENDING = 0
    ACCEPTED = 1
    REJECTED = 2
    CONTESTED = 3
    UNKNOWN = 4

    @property
    def final(self) -> bool:
        """True if the verdict stands in ``set_hash``."""
        return self is not Verdict.PENDING


SENTENCES = {
    "": "It stands: the author was allowed to write it, and everything that it builds on is here.",
    "missing": "It waits for operations that this node has not received yet.",
    "contents": "Its contents have not arrived, and nobody has erased them.",
    "fork": "Its author's device wrote two different operations at one place; "
    "nothing of that device counts from there on until a coordinator names one branch.",
    "grant": "The device that wrote it was never let in, or the letting in does not stand.",
    "kind": "The rules of this community do not know this kind of act.",
    "role": "The author's role did not allow this act when it was written.",
    "oversize": "Its contents are larger than the rules allow.",
    "malformed": "Its contents are not what its kind asks for.",
    "part": "It carries a part that its kind does not allow.",
    "log": "It stands in the wrong log of its author's chain.",
    "invite": "The invite that it uses is not known to its author.",
    "expired": "The invite had expired when the newcomer was let in.",
    "spent": "The invite had been used up when the newcomer was let in.",
    "possession": "The newcomer did not prove to hold the invite.",
    "consent": "The device that is let in did not sign for it.",
    "keys": "The device that is let in has a key to which nothing can be sealed.",
    "subject": "It acts on somebody who is not a member, or on an equal.",
    "document": "It names a document that it may not name.",
    "target": "What it would erase is not the author's to erase, or cannot be erased.",
    "reference": "It does not refer to what it depends on.",
    "terms": "Its terms contradict themselves.",
    "unlisted": "It needs a newer version of this program to be understood.",
}
"""A sentence that a member understands for every reason; the empty reason is an accepted one."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason (a key of ``SENTENCES``)."""

    verdict: Verdict
    reason: str = ""

    @property
    def sentence(self) -> str:
        """The explanation for a member."""
        return SENTENCES[self.reason]


ACCEPTED = Judgement(Verdict.ACCEPTED)


def rejected(reason: str) -> Judgement:
    """A rejection; its reason must have a sentence."""
    if reason not in SENTENCES:
        raise ValueError(reason)
    return Judgement(Verdict.REJECTED, reason)
