"""What members do all day: small acts of every domain, chosen by chance, drafted as the verbs do.

A deed may be refused by a fold (a thing lent twice on two islands): that is the point.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from commons_crdt.author import Draft
from commons_crdt.errors import CommonsError
from commons_crdt.ids import ZERO, DocumentId, OperationId
from commons_crdt.kinds import Kind, decode_fact
from commons_crdt.operation import content
from commons_crdt.roles import Role
from commons_node.community import Actor
from commons_node.domains import RULES
from commons_node.domains.lending.facts import (
    ACCEPT,
    DECISION,
    HANDOVER,
    NOTE,
    RECEIVE,
    REQUEST,
    RETURN,
    Accept,
    Decision,
    Handover,
    Receive,
    Request,
    Return,
)
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.domains.resources.drafts import Fields, changes, creations
from commons_node.domains.resources.facts import ITEM, SPECIFICATION
from commons_node.testing.acts import DAY_MS, erasure, role_act
from commons_node.testing.node import Node

_TRIES = 6
_THINGS = ("drill", "ladder", "tent", "saw", "canoe", "projector", "sewing machine", "trailer")

Deed = Callable[[Node, Actor, random.Random], Awaitable[Sequence[Draft]]]


async def any_deed(node: Node, rng: random.Random) -> Sequence[Draft]:
    """Drafts of one deed that this member may do now; empty where nothing fits."""
    actor = node.actor()
    if actor is None:
        return ()
    deeds = [deed for role, deed in _DEEDS if role <= actor.role]
    for _ in range(_TRIES):
        with suppress(CommonsError):  # an edit of what was erased meanwhile
            drafts = await rng.choice(deeds)(node, actor, rng)
            if drafts:
                return drafts
    return ()


async def rename(node: Node, actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Be called something else."""
    name = f"{node.name} {rng.randrange(1000)}".encode()
    document = DocumentId(actor.member)
    return [Draft.fact(PROFILE, Profile(), document=document, parts=[(NAME, name)])]


async def erase(node: Node, actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Take back a name."""
    query = (
        "SELECT o.id FROM operations o JOIN chains c ON c.n = o.chain"
        " WHERE o.kind = ? AND c.device = ? AND o.verdict = 1 ORDER BY o.id"
    )
    own = await node.community.query(query, (PROFILE, actor.device))
    if len(own) < 2:
        return ()
    target = await node.realm.standing(OperationId(rng.choice(own)[0]))
    return [erasure(target)] if target is not None else ()


async def describe(node: Node, actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """A new kind of thing."""
    fields: Fields = {"name": f"{rng.choice(_THINGS)} {rng.randrange(10_000)}", "loan_days": 7}
    return await creations(node.community, actor, SPECIFICATION, [fields])


async def own(node: Node, actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """A new thing of a kind that is there."""
    kinds = await node.community.query("SELECT key FROM v_specifications ORDER BY key")
    if not kinds:
        return await describe(node, actor, rng)
    fields = {"specification": rng.choice(kinds)[0].hex(), "number": str(rng.randrange(10_000))}
    return await creations(node.community, actor, ITEM, [fields])


async def edit(node: Node, actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Change the words about a thing, whoever else does so at the same time."""
    if rng.random() < 0.5:
        found = await node.community.query("SELECT key FROM v_specifications ORDER BY key LIMIT 3")
        kind, fields = SPECIFICATION, {"policy": f"policy {rng.randrange(100)}"}
    else:
        found = await node.community.query("SELECT key FROM v_items ORDER BY key LIMIT 3")
        kind, fields = ITEM, {"notice": "worn " * rng.randrange(1, 200)}
    if not found:
        return ()
    wanted: Mapping[DocumentId, Any] = {DocumentId(rng.choice(found)[0]): fields}
    return await changes(node.community, actor, kind, wanted)


async def ask(node: Node, _actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Ask to borrow a thing."""
    items = await node.community.query("SELECT key FROM v_items ORDER BY key")
    if not items:
        return ()
    begin = node.now_ms() + rng.randrange(5) * DAY_MS
    body = Request(rng.choice(items)[0], begin, begin + DAY_MS * rng.randrange(1, 9), "UTC")
    return [Draft.fact(REQUEST, body)]


async def decide(node: Node, _actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Approve or decline what somebody asked for."""
    found = await _facts(node, REQUEST)
    if not found:
        return ()
    loan = rng.choice(found)[0]
    body = Decision(rng.random() < 0.8)
    return [Draft.fact(DECISION, body, document=DocumentId(loan), refs=[loan])]


async def hand_over(node: Node, _actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Offer a thing to the one who asked for it."""
    found = await _facts(node, REQUEST)
    if not found:
        return ()
    loan, _, body, member = rng.choice(found)
    offer = Handover(body.resource, member, ZERO)
    return [Draft.fact(HANDOVER, offer, document=DocumentId(loan))]


async def accept(node: Node, actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Take what is offered to you."""
    found = [one for one in await _facts(node, HANDOVER) if one[2].taker == actor.member]
    if not found:
        return ()
    offer, loan, body, _ = rng.choice(found)
    return [Draft.fact(ACCEPT, Accept(offer, body.resource), document=loan)]


async def give_back(node: Node, actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Offer back what you have."""
    found = [one for one in await _facts(node, ACCEPT) if one[3] == actor.member]
    if not found:
        return ()
    taken, loan, body, _ = rng.choice(found)
    return [Draft.fact(RETURN, Return(body.resource, taken), document=loan)]


async def receive(node: Node, _actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Take a thing back in."""
    found = await _facts(node, RETURN)
    if not found:
        return ()
    offer, loan, body, member = rng.choice(found)
    fact = Receive(offer, body.resource, member, "ok", body.accept)
    note = [(NOTE, b"as good as new " * rng.randrange(1, 30))] if rng.random() < 0.3 else []
    return [Draft.fact(RECEIVE, fact, document=loan, parts=note)]


async def promote(node: Node, _actor: Actor, rng: random.Random) -> Sequence[Draft]:
    """Give somebody another role."""
    authority = node.realm.judge.authority
    others = [
        other
        for other in node.town.nodes
        if other.role is not Role.COORDINATOR
        and authority.role(other.member, authority.whole) is not None
    ]
    if not others:
        return ()
    other = rng.choice(others)
    return [role_act(other, rng.choice((other.role, other.role, Role.MEMBER, Role.STEWARD)))]


async def _facts(node: Node, kind: str) -> list[tuple[OperationId, DocumentId, Any, bytes]]:
    """Standing facts of one kind: id, document, body, author."""
    rows = await node.community.query(
        "SELECT id, document, origin, body FROM operations"
        " WHERE kind = ? AND verdict = 1 AND body IS NOT NULL ORDER BY id",
        (kind,),
    )
    declared: Kind = RULES.kinds[kind]
    grants = node.realm.judge.authority.grants
    return [
        (
            OperationId(ident),
            DocumentId(document),
            decode_fact(declared.body, content(body)),  # type: ignore[arg-type]  # facts only
            grants[OperationId(origin)].member,
        )
        for ident, document, origin, body in rows
    ]


_DEEDS: tuple[tuple[Role, Deed], ...] = (
    (Role.NEWCOMER, rename),
    (Role.NEWCOMER, erase),
    (Role.NEWCOMER, ask),
    (Role.NEWCOMER, accept),
    (Role.NEWCOMER, give_back),
    (Role.STEWARD, describe),
    (Role.STEWARD, own),
    (Role.STEWARD, edit),
    (Role.STEWARD, edit),
    (Role.STEWARD, decide),
    (Role.STEWARD, hand_over),
    (Role.STEWARD, receive),
    (Role.COORDINATOR, promote),
)
