"""The fold of custody: who has a thing, as a linked list of moves that two people signed.

A move is an acceptance with its hand-over, or a receipt; each names the move before it. Where two
moves follow one (a thing handed over on two islands), one is shown and the other stays in sight:
nothing is deleted. Copies of which there are several have no line of custody of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from commons_crdt.folds import Fact, Subject, Value, View, prevailing
from commons_crdt.ids import ZERO
from commons_node.domains.lending.facts import ACCEPT, HANDOVER, RECEIVE, RETURN, Receive

COLUMNS = {
    "holder": "BLOB NOT NULL",
    "loan": "BLOB",  # NULL: it is with a steward again
    "move": "BLOB NOT NULL",
    "provisional": "INTEGER NOT NULL",  # 1: what came before is not here
    "conflicts": "BLOB NOT NULL",  # acceptances that do not count, 32 bytes each
}


@dataclass(frozen=True, slots=True)
class Move:
    """One change of custody. ``claim`` is the fact by whose author a contest is settled.

    ``previous``: the move before, 32 zero bytes for the first, None where it is not known here.
    """

    fact: Fact
    claim: Fact
    previous: bytes | None


def completes(accept: Fact, handover: Fact) -> bool:
    """True if ``accept`` is the second half of ``handover``: by its taker, from another device."""
    return (
        accept.body.handover == handover.id
        and accept.document == handover.document
        and accept.body.resource == handover.body.resource
        and accept.member == handover.body.taker
        and accept.device != handover.device
    )


def signs_alone(receive: Fact, offer: Fact | None, accept: Fact | None) -> bool:
    """True if a receipt is no second half: by the borrower's device, or for one's own debt."""
    body: Receive = receive.body
    if receive.device in {one.device for one in (offer, accept) if one is not None}:
        return True
    borrowers = {body.borrower, accept.member if accept is not None else ZERO}
    return offer is None and receive.member in borrowers


def custody(subject: Subject) -> Sequence[Value] | None:
    """The row of one thing; None while it has never moved."""
    moves = _moves(subject)
    after: dict[bytes | None, list[Move]] = {}
    for move in moves.values():
        known = move.previous is not None and (move.previous in moves or move.previous == ZERO)
        after.setdefault(move.previous if known else None, []).append(move)
    closed: dict[bytes, list[Move]] = {}
    for move in moves.values():
        if move.fact.kind == RECEIVE:
            closed.setdefault(move.fact.document, []).append(move)
    path = _walk(after, closed, ZERO)
    loose = after.get(None)
    if loose:  # what builds on something that has not arrived is later than what has
        first = _best(loose)
        path = [*path, first, *_walk(after, closed, first.fact.id)]
    if not path:
        return None
    head = path[-1].fact
    shown = {move.fact.id for move in path}
    came_back = {move.previous for received in closed.values() for move in received}
    conflicts = sorted(
        ident
        for ident, move in moves.items()
        if ident not in shown
        and move.fact.kind == ACCEPT
        and ident not in came_back
        and move.fact.document not in closed
    )
    out = head.kind == ACCEPT
    return (
        head.member,
        head.document if out else None,
        head.id,
        int(bool(loose)),
        b"".join(conflicts),
    )


def _moves(subject: Subject) -> Mapping[bytes, Move]:
    kinds: dict[str, dict[bytes, Fact]] = {kind: {} for kind in _KINDS}
    for fact in subject.facts:
        if fact.body is not None and fact.body.resource == subject.key:
            kinds[fact.kind][fact.id] = fact
    moves: dict[bytes, Move] = {}
    copies: set[bytes] = set()
    for accept in kinds[ACCEPT].values():
        handover = kinds[HANDOVER].get(accept.body.handover)
        if handover is None or not completes(accept, handover):
            continue
        if handover.body.previous == handover.document:
            copies.add(accept.id)
        else:
            moves[accept.id] = Move(accept, handover, handover.body.previous)
    for receive in kinds[RECEIVE].values():
        offer = kinds[RETURN].get(receive.body.offer)
        previous: bytes | None = receive.body.previous
        if previous == ZERO:
            previous = offer.body.accept if offer is not None else None
        accepted = kinds[ACCEPT].get(previous) if previous is not None else None
        if previous not in copies and not signs_alone(receive, offer, accepted):
            moves[receive.id] = Move(receive, receive, previous)
    return moves


def _walk(
    after: Mapping[bytes | None, Sequence[Move]],
    closed: Mapping[bytes, Sequence[Move]],
    start: bytes,
) -> list[Move]:
    """The moves that follow ``start``, at each branching the one that counts.

    ``closed``: the receipts of each loan. Whichever acceptance of a loan the receipt names, the
    thing is back: a borrower who accepts once more keeps nothing by it.
    """
    path: list[Move] = []
    seen = {start}
    following = after.get(start)
    while following:
        move = _best(following)
        if move.fact.id in seen:
            break  # never in real ids: a hash cannot name what names it
        seen.add(move.fact.id)
        path.append(move)
        following = after.get(move.fact.id)
        if not following and move.fact.kind == ACCEPT:
            following = [m for m in closed.get(move.fact.document, ()) if m.fact.id not in seen]
    return path


def _best(moves: Iterable[Move]) -> Move:
    """The claim that prevails; of two acceptances of one offer, the taker's last word."""
    contest = list(moves)
    claim = prevailing(move.claim for move in contest)
    last = prevailing(move.fact for move in contest if move.claim is claim)
    return next(move for move in contest if move.fact is last)


def _of_resource(fact: Fact) -> tuple[bytes, ...]:
    return (fact.body.resource,) if fact.body is not None else ()


_KINDS = frozenset({HANDOVER, ACCEPT, RETURN, RECEIVE})

CUSTODY = View("custody", _KINDS, COLUMNS, _of_resource, custody, indexes=("loan",))
