"""The two evaluators behind one call: what each says of a set of operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tests.authority.sets import judged
from tests.authority.village import Village

from commons_crdt.ids import OperationId
from commons_crdt.verdict import Judgement

Verdicts = Mapping[OperationId, Judgement]
Evaluator = Callable[[Village, "Iterable[OperationId] | None", "OperationId | None"], Verdicts]


def slow(
    village: Village, ids: Iterable[OperationId] | None = None, pin: OperationId | None = None
) -> Verdicts:
    """By the oracle."""
    return judged(village, ids, pin).verdicts


EVALUATORS: dict[str, Evaluator] = {"oracle": slow}


class Says:
    """What one evaluator says, word by word."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def all(self, village: Village, pin: OperationId | None = None) -> dict[OperationId, str]:
        return {x: word(j) for x, j in self.evaluator(village, None, pin).items()}

    def __call__(
        self, village: Village, *of: OperationId, pin: OperationId | None = None
    ) -> str | tuple[str, ...]:
        """ "accepted", "rejected(cut)" and so on, of one operation or of several."""
        verdicts = self.all(village, pin)
        said = tuple(verdicts[x] for x in of)
        return said[0] if len(said) == 1 else said


def word(judgement: Judgement) -> str:
    name = judgement.verdict.name.lower()
    return f"{name}({judgement.reason})" if judgement.reason else name
