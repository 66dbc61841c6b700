"""What members do with the product's own verbs: they look at what is there and take the next step.

Beside `deeds`, which writes what no honest verb would write any more (an offer for what is out).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from commons_crdt.roles import Role
from commons_node.community import Actor
from commons_node.testing.node import Node

_THINGS = ("drill", "ladder", "tent", "saw", "canoe", "projector", "sewing machine", "trailer")
_ENOUGH = 6
"""Things from which on members rather lend than add."""

_OPEN = "SELECT 1 FROM v_loans WHERE state NOT IN ('returned', 'declined', 'cancelled')"

Errand = tuple[str, Mapping[str, object]]
"""A verb and its arguments."""


async def any_errand(node: Node, rng: random.Random) -> None:
    """One step that this member may take now, if there is any."""
    actor = node.actor()
    if actor is None:
        return
    possible = [*await _loans(node, actor), *await _things(node, actor, rng)]
    if possible:
        verb, arguments = rng.choice(possible)
        await node.desk.do(verb, **arguments)


async def _loans(node: Node, actor: Actor) -> Sequence[Errand]:
    """The next step of each loan that waits for this member."""
    steward = actor.role >= Role.STEWARD
    found: list[Errand] = []
    rows = await node.community.query(
        "SELECT key, state, borrower, handover FROM v_loans ORDER BY key"
    )
    for key, state, borrower, handover in rows:
        mine, one = borrower == actor.member, {"loan": key.hex()}
        match state:
            case "requested" if steward:
                found += [("loan.approve", one)] * 3 + [("loan.decline", {**one, "reason": "no"})]
            case "approved" if steward and not mine:
                found += [("loan.handover", one)] * 3
            case "offered" if mine and handover:
                found += [("loan.accept", one)] * 4
            case "on_loan" if mine:
                found += [("loan.return", one)] * 2
            case "on_loan" if steward:
                found += [("loan.receive", one)]
            case "returning" if steward and not mine:
                found += [("loan.receive", {**one, "note": "as good as new"})] * 3
            case _:
                pass
    return found


async def _things(node: Node, actor: Actor, rng: random.Random) -> Sequence[Errand]:
    """Ask for a thing; and, for stewards, add, describe and erase some."""
    rows: list[Any] = await node.community.query("SELECT key FROM v_items ORDER BY key")
    found: list[Errand] = []
    if rows:
        one = {"resource": rng.choice(rows)[0].hex()}
        if len(await node.community.query(_OPEN)) < _ENOUGH:
            found += [("loan.request", {**one, "days": rng.randrange(1, 9)})]
        if actor.role >= Role.STEWARD:
            found += [("resource.edit", {**one, "notice": "worn " * rng.randrange(1, 200)})]
            found += [("resource.erase", one)] if len(rows) > 2 else []
    if actor.role >= Role.STEWARD and len(rows) < _ENOUGH:
        name = f"{rng.choice(_THINGS)} {rng.randrange(10_000)}"
        found += [("resource.add", {"name": name, "number": str(rng.randrange(10_000))})] * 2
    return found
