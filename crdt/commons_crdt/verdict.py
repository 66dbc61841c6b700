"""Verdicts: what every node says of an operation, with a sentence that explains it.

A verdict depends on the set of operations and the pin, never on this machine. What depends on
this machine is a local state of the daemon and does not stand here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from commons_crdt.sentences import SENTENCES, UNSURE


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


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason (a key of ``SENTENCES``)."""

    verdict: Verdict
    reason: str = ""

    @property
    def sentence(self) -> str:
        """The explanation for a member."""
        if self.verdict is Verdict.PENDING and self.reason in UNSURE:
            return UNSURE[self.reason]
        return SENTENCES[self.reason]


ACCEPTED = Judgement(Verdict.ACCEPTED)


def rejected(reason: str) -> Judgement:
    """A rejection; its reason must have a sentence."""
    return _said(Verdict.REJECTED, reason)


def contested(reason: str) -> Judgement:
    """Neither stands nor falls until somebody decides; its reason must have a sentence."""
    return _said(Verdict.CONTESTED, reason)


def pending(reason: str) -> Judgement:
    """It waits for operations; its reason must have a sentence."""
    return _said(Verdict.PENDING, reason)


def _said(verdict: Verdict, reason: str) -> Judgement:
    if reason not in SENTENCES:
        raise ValueError(reason)
    return Judgement(verdict, reason)
