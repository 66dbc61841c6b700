"""What never gets more or less, whatever was said at the same time on how many islands.

Counted from the stored facts themselves and compared with what the views show; no fold is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE
from commons_crdt.ids import ZERO
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_node.domains import RULES
from commons_node.domains.lending.facts import ACCEPT, HANDOVER, RECEIVE, REQUESTS, RETURN
from commons_node.domains.resources.facts import ITEM
from commons_node.testing.node import Node

OPEN = frozenset({"on_loan", "returning"})


class _Said(NamedTuple):
    """A fact that stands."""

    kind: str
    document: bytes
    body: Any
    member: bytes


def uneven(node: Node) -> Iterator[str]:
    """What does not add up at a node, each as a sentence."""
    yield from _things(node)
    facts = {kind: _facts(node, kind) for kind in (*REQUESTS, HANDOVER, ACCEPT, RETURN, RECEIVE)}
    loans = {key: row for key, *row in node.disk.rows("SELECT key, * FROM v_loans")}
    yield from (
        f"{node.name} shows nothing of the request {ident.hex()[:8]}"
        for kind in REQUESTS
        for ident in facts[kind].keys() - loans.keys()
    )
    yield from _custody(node, facts)


def _facts(node: Node, kind: str) -> dict[bytes, _Said]:
    declared = RULES.kinds[kind]
    grants = node.realm.judge.authority.grants
    query = (
        "SELECT id, document, origin, body FROM operations"
        " WHERE kind = ? AND verdict = 1 AND body IS NOT NULL"
    )
    return {
        ident: _Said(
            kind,
            document,
            decode_fact(declared.body, content(body), declared.max_body),  # type: ignore[arg-type]  # facts only
            grants[origin].member,
        )
        for ident, document, origin, body in node.disk.rows(query, (kind,))
    }


# --- things ---


def _things(node: Node) -> Iterator[str]:
    """Every thing that was made and not erased is there, once, and no other."""
    made = {
        ident
        for (ident,) in node.disk.rows(
            "SELECT o.id FROM operations o JOIN edits e USING (n) WHERE kind = ? AND verdict = 1"
            " AND e.applied = '' AND o.document = o.id",
            (ITEM,),
        )
    }
    erased = set()
    for (body,) in node.disk.rows(
        "SELECT body FROM operations WHERE kind = ? AND verdict = 1", (ERASURE,)
    ):
        erased.add(bytes(decode_fact(Erasure, content(body)).target))
    shown = [key for (key,) in node.disk.rows("SELECT key FROM v_items")]
    if len(shown) != len(set(shown)):
        yield f"{node.name} shows a thing twice"
    if set(shown) != made - erased:
        yield (
            f"{node.name} shows {len(shown)} things, of {len(made)} that were made"
            f" and {len(made & erased)} that were erased"
        )


# --- who has them ---


def _custody(node: Node, facts: Mapping[str, Mapping[bytes, _Said]]) -> Iterator[str]:
    """Each thing is with one person; each open loan either has its thing, or says why not."""
    where: dict[bytes, set[bytes]] = {}
    holders: dict[bytes, tuple[bytes, bytes | None]] = {}
    for key, holder, loan, move, provisional, conflicts in node.disk.rows(
        "SELECT key, holder, loan, move, provisional, conflicts FROM v_custody"
    ):
        thing = f"{node.name}: thing {key.hex()[:8]}"
        if key in holders:
            yield f"{thing} is with two people"
        holders[key] = holder, loan
        last = facts[ACCEPT].get(move) or facts[RECEIVE].get(move)
        if last is None or last.body.resource != key or last.member != holder:
            yield f"{thing} is with somebody who never took it"
            continue
        if (loan is not None) != (last.kind == ACCEPT) or (loan is not None) > (
            last.document == loan
        ):
            yield f"{thing} is out and in at once"
        path, whole = _path(move, facts)
        if not whole and not provisional:
            yield f"{thing} came from nowhere, and that is not said"
        if not provisional:
            where[key] = path | {conflicts[n : n + 32] for n in range(0, len(conflicts), 32)}
    rows = node.disk.rows("SELECT key, state, resource, borrower, accept, provisional FROM v_loans")
    for key, state, resource, borrower, accept, provisional in rows:
        loan = f"{node.name}: loan {key.hex()[:8]}"
        if state not in OPEN:
            if holders.get(resource, (None, None))[1] == key:
                yield f"{loan} is {state}, and has the thing all the same"
            continue
        if accept is None or borrower is None:
            yield f"{loan} is out, and nobody took it"
        elif not provisional and accept not in where.get(resource, {accept: ZERO}):
            yield f"{loan} is out, its thing is elsewhere, and that is no conflict"
        if holders.get(resource, (None, None))[1] == key and holders[resource][0] != borrower:
            yield f"{loan} is with somebody else than its thing"


def _path(move: bytes, facts: Mapping[str, Mapping[bytes, _Said]]) -> tuple[set[bytes], bool]:
    """All moves back to the first one; and whether that is where they lead."""
    seen: set[bytes] = set()
    while move != ZERO and move not in seen:
        seen.add(move)
        if (taken := facts[ACCEPT].get(move)) is not None:
            offer = facts[HANDOVER].get(taken.body.handover)
        elif (back := facts[RECEIVE].get(move)) is not None:
            given = facts[RETURN].get(back.body.offer)
            move = back.body.previous
            if move == ZERO and given is not None:
                move = given.body.accept
            continue
        else:
            return seen, False
        if offer is None:
            return seen, False
        move = offer.body.previous
    return seen, move == ZERO
