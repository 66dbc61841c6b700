"""Who breaks rules again and again is kept out: for minutes at first, for a day in the end.

Only for what a peer itself signed, or could have seen by looking at the bytes: never for being
slow, for an overload, or for what it passed on in good faith. Reads no clock; times are UTC
milliseconds. A subject is a node, or the device that it proved to be (a new transport key does not
make a new name), or its member: what the nodes of one member do counts together, so that a further
device, which any of hers may grant, brings neither patience nor a short time. Only who broke the
rules is kept out, never her other nodes: a thief with one of them could else shut her out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from commons_node.peering.records import Offender

BLAMED = frozenset(
    {
        "order", "unasked", "ranges", "credit", "flood",  # broke the order of a session
        "encoding", "format", "size", "message", "length",  # sent what is no message
    }
)  # fmt: skip
"""Codes with which a conversation ends by the other's own doing. A ``proof`` that fails is none of
them: so does that of a node that was removed or suspended, and has not heard of it.
"""
BLAMED_OPERATIONS = frozenset({"signature", "encoding", "size", "format", "body", "part"})
"""Refusals that anybody sees by the bytes alone, so that honest nodes never pass such on."""

PATIENCE = 3
WINDOW_MS = 600_000
FIRST_MS = 60_000
LONGEST_MS = 86_400_000
_MOST = 4096


class Penalties:
    """Counts offences and says until when who is kept out."""

    def __init__(self, patience: int = PATIENCE) -> None:
        """Nobody did anything.

        ``patience``: so many offences within ``WINDOW_MS`` are one too many; 0: none ever is.
        """
        self._patience = patience
        self._recent: dict[str, deque[int]] = {}
        self._nodes: dict[str, str] = {}
        """As which node a subject was met last."""
        self._known: dict[str, Offender] = {}

    def remember(self, offenders: Iterable[Offender]) -> None:
        """What was known before the restart."""
        self._known.update({one.subject: one for one in offenders})
        self._recent.update({one: deque(maxlen=self._patience) for one in self._known})
        self._nodes.update({one.subject: one.node for one in self._known.values()})

    def of(self, subject: str, now: int) -> Offender | None:
        """Who is kept out now."""
        known = self._known.get(subject)
        return known if known is not None and now < known.until_ms else None

    def here(self, now: int) -> list[Offender]:
        """All who are kept out now, ascending by subject."""
        return [one for subject, one in sorted(self._known.items()) if now < one.until_ms]

    def offence(self, subject: str, node: str, why: str, now: int) -> Offender | None:
        """It has done it once more, as this node; what follows, if anything does."""
        if not self._patience:
            return None
        recent = self._recent.setdefault(subject, deque(maxlen=self._patience))
        self._nodes[subject] = node
        while len(self._recent) > _MOST:
            oldest = next(iter(self._recent))
            del self._recent[oldest], self._nodes[oldest]
        recent.append(now)
        if len(recent) < self._patience or not 0 <= now - recent[0] <= WINDOW_MS:
            return None
        recent.clear()
        before = self._known.get(subject)
        again = before is not None and now < before.until_ms + LONGEST_MS
        times = before.times + 1 if before is not None and again else 1
        lasts = min(LONGEST_MS, FIRST_MS << min(times - 1, 20))
        found = self._known[subject] = Offender(subject, node, times, now + lasts, why)
        return found

    def broken(
        self, node: str, devices: Sequence[str], members: Sequence[str], why: str, now: int
    ) -> list[Offender]:
        """A node broke a rule, having proven to be these devices of these members.

        Who is kept out for it: the node and its devices, as long as is longest due to them or to a
        member of theirs; and the members' own count. While a member's time runs, each of her nodes
        is out with the first rule that it breaks. Of who is out already nothing is counted: it was
        on its way.
        """
        if self.of(node, now) is not None:
            return []
        names = (node, *devices)
        own = [self.offence(name, node, why, now) for name in names]
        theirs = [self.offence(one, node, why, now) or self.of(one, now) for one in members]
        due = [one for one in (*own, *theirs) if one is not None]
        if not due:
            return []
        longest = max(due, key=lambda one: one.until_ms)
        out = {name: replace(longest, subject=name, node=node, why=why) for name in names}
        self._known.update(out)
        return [*out.values(), *(one for one in theirs if one is not None)]

    def stale(self, now: int) -> list[str]:
        """Who has behaved for a day since: nothing is held against them any more."""
        return [s for s, one in self._known.items() if now >= one.until_ms + LONGEST_MS]

    def of_node(self, node: str) -> list[str]:
        """All that is held against a node: by its name, its devices, and their other names."""
        found = {subject for subject, as_node in self._nodes.items() if as_node == node}
        found |= {one.subject for one in self._known.values() if one.node == node}
        spells = {(one.until_ms, one.why) for s in found if (one := self._known.get(s)) is not None}
        same = (s for s, one in self._known.items() if (one.until_ms, one.why) in spells)
        return sorted(found | set(same))

    def lift(self, subject: str) -> None:
        """Forget everything that was held against it."""
        self._known.pop(subject, None)
        self._recent.pop(subject, None)
        self._nodes.pop(subject, None)
