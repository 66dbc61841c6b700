"""What a borrower changed about a loan, as it is read: called off, or asked to keep it longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commons_crdt.ids import OperationId
from commons_node.community import Community
from commons_node.domains.lending.terms import instant
from commons_node.store.database import placeholders

if TYPE_CHECKING:
    from commons_node.domains.lending.loans import Loan

_IN: Final = 400
_EXTENSIONS: Final = (
    "SELECT e.loan, e.member, e.key, e.state, e.until_ms, e.due, e.answer FROM v_extensions e"
    " JOIN operations o ON o.id = e.key"
)
_CANCELS: Final = (
    "SELECT c.loan, c.member, c.key FROM v_cancels c JOIN operations o ON o.id = c.key"
)
_ANSWERS: Final = {"granted": "grant", "refused": "refuse"}


@dataclass(frozen=True, slots=True)
class Extension:
    """The borrower's wish to keep it until ``until_ms``. ``state``: asked, granted, refused."""

    id: OperationId
    state: str
    until_ms: int
    due: str
    answer: OperationId | None

    @property
    def json(self) -> dict[str, object]:
        """As rows show it."""
        return {
            "extension": self.id.hex(),
            "state": self.state,
            "due": instant(self.until_ms),
            "due_day": self.due,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """``wishes`` in the order in which they were written; ``cancel``: the word that ended it."""

    wishes: tuple[Extension, ...] = ()
    cancel: OperationId | None = None

    @property
    def steps(self) -> list[tuple[str, OperationId]]:
        """(what was done, the operation), in order."""
        found = [("cancel", self.cancel)] if self.cancel is not None else []
        for one in self.wishes:
            found.append(("extend", one.id))
            if one.answer is not None:
                found.append((_ANSWERS[one.state], one.answer))
        return found

    @property
    def last(self) -> Extension | None:
        """The last wish."""
        return self.wishes[-1] if self.wishes else None


NONE: Final = Change()


async def changes_of(community: Community, found: Sequence[Loan]) -> dict[OperationId, Change]:
    """What the borrowers of these loans changed; only for loans of which there is something.

    What others than the borrower wrote says nothing.
    """
    borrowers = {bytes(one.id): one.borrower for one in found}
    keys = list(borrowers)
    wishes: dict[bytes, list[Extension]] = {}
    cancels: dict[bytes, OperationId] = {}
    for at in range(0, len(keys), _IN):
        part = keys[at : at + _IN]
        marks = placeholders(len(part))
        query = f"{_EXTENSIONS} WHERE e.loan IN ({marks}) ORDER BY o.lamport, e.key"
        for loan, member, key, state, until_ms, due, answer in await community.query(query, part):
            if borrowers[loan] == member:
                said = OperationId(answer) if answer is not None else None
                wishes.setdefault(loan, []).append(
                    Extension(OperationId(key), state, until_ms, due, said)
                )
        query = f"{_CANCELS} WHERE c.loan IN ({marks}) ORDER BY o.lamport, c.key"
        for loan, member, key in await community.query(query, part):
            if borrowers[loan] == member:
                cancels.setdefault(loan, OperationId(key))
    return {
        OperationId(loan): Change(tuple(wishes.get(loan, ())), cancels.get(loan))
        for loan in wishes.keys() | cancels.keys()
    }
