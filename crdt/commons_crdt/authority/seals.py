"""Seals: what they settle of log 0, and which of them list what does not stand.

A *layer* is what one seal settles: the closure of its tips and of earlier seals' tips, evaluated
by itself under the council chain up to the seal's base. It never changes again.

Source: docs/protocol/authority.md "Seals".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commons_crdt.authority.book import NOWHERE, Book, View
from commons_crdt.authority.council_facts import CouncilAct, Seal, Tip
from commons_crdt.authority.cuts import Ruling
from commons_crdt.authority.flips import Anchor
from commons_crdt.ids import DeviceId, OperationId

if TYPE_CHECKING:
    from commons_crdt.authority.council import Council
    from commons_crdt.authority.strata import Polity


@dataclass(frozen=True, slots=True)
class Layer:
    """What one seal (a number) settles. ``view``: log 0 with that of earlier seals.

    ``own`` is the closure of its own tips of log 0; ``tips`` are those of log 1.
    """

    seal: int
    view: View
    own: View
    tips: tuple[Anchor, ...]
    polity: Polity


def seal_of(book: Book, act: int) -> Seal | None:
    """The seal that an act of the council is, if it is one."""
    body = book.entries[act].body
    return body.act if isinstance(body, CouncilAct) and isinstance(body.act, Seal) else None


def newest_seen_by(book: Book, council: Council, operation: OperationId) -> OperationId | None:
    """The newest seal that is in force in the view of an operation of log 0, if any."""
    n = book.numbers.get(operation, NOWHERE)
    if n == NOWHERE:
        return None
    acts, _ = council.chain((), book.entries[n].past)
    seals = [act for act in acts if seal_of(book, act) is not None]
    return book.entries[seals[-1]].id if seals else None


def tips_of_log_0(book: Book, act: int) -> Iterator[tuple[DeviceId, int]]:
    """The operations of log 0 that a seal lists: in its past, so that it always lists the same."""
    seal = seal_of(book, act)
    for tip in seal.tips if seal else ():
        n = _known(book, tip, book.entries[act].past)
        if n != NOWHERE:
            yield DeviceId(tip.device), n


def closure(book: Book, act: int) -> View:
    """The operations of log 0 at or before the tips of a seal."""
    view = 0
    for _, n in tips_of_log_0(book, act):
        view |= book.entries[n].past | 1 << n
    return view


def tips_of_log_1(seal: Seal) -> tuple[Anchor, ...]:
    """The tips of log 1 as a node is asked for them."""
    return tuple(
        Anchor(DeviceId(tip.device), tip.seq, OperationId(tip.id)) for tip in seal.tips if tip.log
    )


def highest_tips(book: Book, seals: Iterable[int], view: View) -> dict[DeviceId, int]:
    """The highest operation of each chain of log 0 that these seals (numbers) list.

    A tip that is not on one line with an earlier seal's tip of its chain names nothing.
    """
    kept: dict[DeviceId, list[int]] = {}
    for seal in seals:
        for device, n in tips_of_log_0(book, seal):
            if not view >> n & 1:
                continue
            known = kept.setdefault(device, [])
            if all(book.leads(n, one) or book.leads(one, n) for one in known):
                known.append(n)
    entries = book.entries
    return {device: max(of, key=lambda n: entries[n].seq) for device, of in kept.items() if of}


def _known(book: Book, tip: Tip, view: View) -> int:
    return NOWHERE if tip.log else book.at(DeviceId(tip.device), tip.seq, tip.id, view)


def lists_what_is_cut(polity: Polity, seal: Seal) -> bool:
    """True if a tip of log 0 is not in the seal's view, or any lies beyond a cut standing there.

    ``polity`` is the seal's view alone, under the chain up to its base.
    """
    book = polity.book
    for tip in seal.tips:
        device = DeviceId(tip.device)
        known = _known(book, tip, polity.view)
        if tip.log == 0:
            if known == NOWHERE:
                return True
            grants = [book.entries[known].grant]
        else:
            grants = list(book.among(book.grants.get(device, ()), polity.view))
        for grant in grants:
            for ruling in polity.strata.identities.rulings(grant):
                if _beyond(book, tip, known, ruling):
                    return True
    return False


def _beyond(book: Book, tip: Tip, known: int, ruling: Ruling) -> bool:
    if tip.log == 0:
        return ruling.authority == NOWHERE or not book.leads(known, ruling.authority)
    end = ruling.record
    return tip.seq > end.seq or (tip.seq == end.seq and tip.id != end.id)
