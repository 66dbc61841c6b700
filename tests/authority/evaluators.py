"""The two evaluators behind one call: what each says of a set of operations.

`Keeper` does for the incremental `Judge` what a store does: it hands over operations in causal
order, tells forks of log 1, answers anchors, and judges again what flips.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from tests.authority.sets import causal_order, closure, judged
from tests.authority.village import RULES, Village

from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.judge import Judge, Standing
from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.verdict import Judgement

Verdicts = Mapping[OperationId, Judgement]
Evaluator = Callable[[Village, "Iterable[OperationId] | None", "OperationId | None"], Verdicts]


@dataclass
class Keeper:
    """One node's copy of the village, judged as it arrives."""

    village: Village
    judge: Judge
    standings: dict[OperationId, Standing] = field(default_factory=dict)
    places: dict[tuple[bytes, int], list[OperationId]] = field(default_factory=dict)
    flipped: int = 0

    @classmethod
    def of(cls, village: Village, pin: OperationId | None = None) -> Keeper:
        return cls(village, Judge(village.realm, RULES, pin=pin))

    def hear(self, x: OperationId) -> None:
        """Judge one operation whose past is here, and whatever that changes."""
        signed = self.village.all[x]
        standing = self.judge.judge(signed.candidate, self.standings.get)
        assert isinstance(standing, Standing), (x, standing)
        self.standings[x] = standing
        header = signed.header
        if header.log == 1:
            twins = self.places.setdefault((header.device, header.seq), [])
            twins.append(x)
            if len(twins) > 1:
                self.judge.forked(DeviceId(header.device), 1, header.seq)
        self.settle()

    def restored(self) -> Keeper:
        """Another node of the same store: log 0 learned again as it was stored."""
        again = Keeper(self.village, Judge(self.village.realm, RULES, self.judge.forks))
        again.judge.pin = self.judge.pin
        again.places = {place: [*ids] for place, ids in self.places.items()}
        for x, standing in self.standings.items():
            if standing.log == 0:
                again.judge.restore(self.village.all[x].candidate, standing)
            again.standings[x] = standing
        again.settle()
        return again

    def settle(self) -> None:
        """Follow the flips until there are none."""
        for _ in range(50):
            flips = self.judge.flips()
            if not flips:
                return
            for x, judgement in flips.operations.items():
                self.flipped += 1
                self.standings[x] = msgspec.structs.replace(self.standings[x], judgement=judgement)
            for anchor in flips.wanted:
                self.judge.anchor(anchor, self.answer(anchor))
            for seal, tips in flips.closures.items():
                self.judge.closure(seal, self.tops(tips))
            for seal, tips in flips.closures.items():
                self.judge.closure(seal, self.closure(tips))
            again = sorted(
                (x for x in self.standings if self.chain(x) in flips.chains),
                key=lambda x: self.standings[x].seq,
            )
            for x in again:
                old = self.standings[x]
                self.standings[x] = self.judge.rejudge(
                    self.village.all[x].candidate, old, self.standings.get
                )
                self.flipped += self.standings[x].judgement != old.judgement
        raise AssertionError("the judge never comes to rest")

    def chain(self, x: OperationId) -> tuple[DeviceId, int]:
        header = self.village.all[x].header
        return DeviceId(header.device), header.log

    def closure(self, tips: Iterable[Anchor]) -> dict[Anchor, tuple[OperationId, ...]]:
        """The last operations of each branch of log 1 in the closure of a seal's tips."""
        headers = {x: self.village.all[x].header for x in self.standings}
        here = closure(self.village, (tip.id for tip in tips))
        ones = {x for x in here if headers[x].log == 1}
        inner = {OperationId(headers[x].prev) for x in ones}
        tops = {Anchor(*self.chain(x)[:1], headers[x].seq, x) for x in ones - inner}
        return {top: self.answer(top) or () for top in tops}

    def answer(self, anchor: Anchor) -> tuple[OperationId, ...] | None:
        """What a store answers to an anchor, as `Anchor` asks."""
        if anchor.id not in self.standings:
            return None
        at = self.standings[anchor.id]
        if (at.device, at.log, at.seq) != (anchor.device, 1, anchor.seq):
            return ()
        doubled = [
            seq for (d, seq), ids in self.places.items() if d == anchor.device and len(ids) > 1
        ]
        proved = self.judge.forks.get((anchor.device, 1))
        if proved is not None:
            doubled.append(proved)
        lowest = min(doubled, default=at.seq + 1)
        line = [anchor.id]
        while self.standings[line[0]].seq > max(1, lowest):
            line.insert(0, OperationId(self.village.all[line[0]].header.prev))
        return tuple(line)

    def tops(self, tips: Iterable[Anchor]) -> dict[Anchor, Sequence[OperationId]]:
        """The last operation of every branch of log 1 in the closure of these tips."""
        within = {
            x
            for x in closure(self.village, [tip.id for tip in tips])
            if self.village.all[x].header.log == 1
        }
        followed = {self.village.all[x].prev for x in within}
        found: dict[Anchor, Sequence[OperationId]] = {}
        for x in within - followed:
            header = self.village.all[x].header
            anchor = Anchor(DeviceId(header.device), header.seq, x)
            found[anchor] = self.answer(anchor) or ()
        return found

    @property
    def verdicts(self) -> dict[OperationId, Judgement]:
        return {x: s.judgement for x, s in self.standings.items()}


def slow(
    village: Village, ids: Iterable[OperationId] | None = None, pin: OperationId | None = None
) -> Verdicts:
    """By the oracle."""
    return judged(village, ids, pin).verdicts


def fast(
    village: Village, ids: Iterable[OperationId] | None = None, pin: OperationId | None = None
) -> Verdicts:
    """By the judge, operation by operation, in some causal order."""
    known = judged(village, ids, pin).verdicts  # those with a past
    keeper = Keeper.of(village, pin)
    for x in causal_order(village, known, random.Random(len(known))):
        keeper.hear(x)
    return keeper.verdicts


EVALUATORS: dict[str, Evaluator] = {"oracle": slow, "judge": fast}


class Says:
    """What one evaluator says, word by word."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def all(self, village: Village, pin: OperationId | None = None) -> dict[OperationId, str]:
        return {x: word(j) for x, j in self.evaluator(village, None, pin).items()}

    def __call__(
        self, village: Village, *of: OperationId, pin: OperationId | None = None
    ) -> str | tuple[str, ...]:
        """The words "accepted", "rejected(cut)" and so on, of one operation or of several."""
        verdicts = self.all(village, pin)
        said = tuple(verdicts[x] for x in of)
        return said[0] if len(said) == 1 else said


def word(judgement: Judgement) -> str:
    name = judgement.verdict.name.lower()
    return f"{name}({judgement.reason})" if judgement.reason else name
