"""What is known of log 0 by bytes, shared by all sets that are evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commons_crdt.authority.book import Book, Entry, View
from commons_crdt.authority.council import Council
from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse, Promise, Seal
from commons_crdt.authority.cuts import Shown
from commons_crdt.authority.facts import Admit, Genesis
from commons_crdt.authority.identity_facts import (
    ForkProof,
    GuardianEndorsement,
    Own,
    Pick,
    Readmit,
    Recover,
    SetGuardians,
)
from commons_crdt.authority.proofs import shown
from commons_crdt.authority.seals import (
    Layer,
    closure,
    lists_what_is_cut,
    seal_of,
    tips_of_log_1,
)
from commons_crdt.kinds import Kind

if TYPE_CHECKING:
    from commons_crdt.authority.strata import Polity

KindOf = Callable[[int, str], Kind | None]
"""The kind of a name in a rules version that this software has."""
Evaluate = Callable[["Ledger", View, Sequence[int], Sequence[int]], "Polity"]
"""The polity of a view under a council chain, with the tips of these seals listed already."""


@dataclass(slots=True)
class Ledger:
    """What is known of log 0 by bytes, shared by all sets that are evaluated."""

    book: Book
    council: Council
    kind_of: KindOf
    polity: Evaluate
    proofs: dict[int, tuple[Shown, ...]] = field(default_factory=dict)
    alone: dict[View, Polity] = field(default_factory=dict)
    """The polities of views that somebody had alone; forgotten at will."""
    layers: dict[int, Layer] = field(default_factory=dict)
    """What each seal settles; a fact of bytes."""
    own_past: dict[tuple[int, int], bool] = field(default_factory=dict)
    """By operation and the council's base in its view."""

    def shown(self, n: int) -> tuple[Shown, ...]:
        """What a fork proof shows."""
        if n not in self.proofs:
            self.proofs[n] = shown(self.book, self.book.entries[n])
        return self.proofs[n]

    def __post_init__(self) -> None:
        """Let the council ask about tips."""
        self.council.lists_what_is_cut = self._bad_tip

    def _bad_tip(self, entry: Entry, base: int, seal: Seal) -> bool:
        path = self.council.path(base)
        alone = self.polity(self, entry.past, path or [0], ())
        return lists_what_is_cut(alone, seal)

    def layer(self, act: int) -> Layer:
        """What a seal settles. Ask in the order of the chain: it rests on earlier ones."""
        known = self.layers.get(act)
        seal = seal_of(self.book, act)
        if known is None and seal is not None:
            path = self.council.path(self.council.bases[act]) or [0]
            earlier = [self.layer(one) for one in path if seal_of(self.book, one) is not None]
            own = closure(self.book, act)
            view = own | (earlier[-1].view if earlier else 0)
            polity = self.polity(self, view, path, (act,)).evaluate()
            known = self.layers[act] = Layer(act, view, own, tips_of_log_1(seal), polity)
        if known is None:
            raise LookupError("no seal")
        return known

    def certifies_itself(self, n: int) -> bool:
        """True if an operation counts by its bytes, whoever's chain carried it."""
        entry = self.book.entries[n]
        match entry.body:
            case CouncilAct() | Promise() | Ballot() | Endorse():
                return n in self.council.messages
            case Admit() | Readmit():
                return not self.book.signatures.genuine(self.book, entry)
            case Genesis():
                return n == 0
            case ForkProof():
                return bool(self.shown(n))
            case Recover() | SetGuardians() | Pick():
                return not isinstance(entry.body.warrant, Own)
            case GuardianEndorsement():
                return True
            case _:
                return False
