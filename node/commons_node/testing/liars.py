"""Members who break rules on purpose: each lie is one function, and says what must come of it.

A liar runs the same node as everybody; only what it says beside that is false. It knows all the
secrets of a standing member and nothing more.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import msgspec

from commons_crdt.author import Draft, Place, compose
from commons_crdt.authority.facts import Invite
from commons_crdt.authority.judge import Standing
from commons_crdt.authority.kinds import INVITE
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.operation import (
    Operation,
    decode_header,
    encode_header,
    operation_id,
    salted,
    sign,
)
from commons_crdt.operation import body_hash as hash_of
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.domains.resources.facts import SPECIFICATION, SPECIFICATION_SCHEMA
from commons_node.testing.node import Node
from commons_node.testing.town import Town
from commons_node.verifier.work import create_documents
from commons_protocol import gossip
from commons_protocol.codes import invite_key

Lie = Callable[[Node, random.Random], Awaitable[Sequence[Operation]]]
"""Gives the operations that no honest node may ever store, if there are such."""

_FLOOD = 400
_KEPT = 64
_HALF = 0.5


async def fork(node: Node, rng: random.Random) -> Sequence[Operation]:
    """Two branches from one place: some neighbours are told one, the others the other."""
    tip = await _tip(node)
    one = await craft(node, _name(node, rng), tip)
    two = await craft(node, _name(node, rng), tip)
    near = list(node.peering.talks.now)
    rng.shuffle(near)
    half = (len(near) + 1) // 2
    say(node, [one, _behind(node, one)], near[:half])
    say(node, [two, _behind(node, two)], near[half:])
    if rng.random() < _HALF:
        await node.realm.ingest([one], "lie")
    return ()


async def fork_authority(node: Node, rng: random.Random) -> Sequence[Operation]:
    """Two invites at one place of log 0, each with a neighbour who believes in it."""
    tip, seed = await _tip(node, log=0), rng.randbytes(16)
    ends = node.now_ms() + 86_400_000
    drafts = [Draft.fact(INVITE, Invite(invite_key(seed), n, ends), log=0) for n in (1, 2)]
    one, two = [await craft(node, draft, tip) for draft in drafts]
    near = list(node.peering.talks.now)
    rng.shuffle(near)
    half = (len(near) + 1) // 2
    say(node, [one], near[:half])
    say(node, [two, _behind(node, two)], near[half:])
    if rng.random() < _HALF:
        await node.realm.ingest([two], "lie")
    return ()


async def back_date(node: Node, rng: random.Random) -> Sequence[Operation]:
    """An operation that claims to be older than what it follows."""
    tip = await _tip(node)
    false = resigned(node, await craft(node, _name(node, rng), tip), time_ms=tip.time_ms - 60_000)
    return await _spread(node, [false])


async def jump_ahead(node: Node, rng: random.Random) -> Sequence[Operation]:
    """An operation whose lamport is larger than its past makes it."""
    honest = await craft(node, _name(node, rng), await _tip(node))
    false = resigned(node, honest, lamport=decode_header(honest.header).lamport + 1000)
    return await _spread(node, [false])


async def forge(node: Node, rng: random.Random) -> Sequence[Operation]:
    """An operation in somebody else's name, signed with the wrong key."""
    other = rng.choice([n for n in node.town.nodes if n is not node])
    honest = await craft(node, _name(node, rng), await _tip(node))
    false = resigned(node, honest, device=other.secrets.keys.id)
    return await _spread(node, [false])


async def stand_in(node: Node, rng: random.Random) -> Sequence[Operation]:
    """Another body under a signed header."""
    honest = await craft(node, _name(node, rng), await _tip(node))
    false = replace(honest, body=salted(rng.randbytes(32), b"\x80"))
    await _spread(node, [false])
    return ()  # the same id is fine with its own body


async def withhold(node: Node, rng: random.Random) -> Sequence[Operation]:
    """The second of two operations, never the first."""
    first = await craft(node, _name(node, rng), await _tip(node))
    return await _spread(node, [_behind(node, first)])


async def from_tomorrow(node: Node, rng: random.Random) -> Sequence[Operation]:
    """An operation that claims to be written in three days."""
    honest = await craft(node, _name(node, rng), await _tip(node))
    ahead = decode_header(honest.header).time_ms + 3 * 86_400_000
    return await _spread(node, [resigned(node, honest, time_ms=ahead)])


async def overstep(node: Node, rng: random.Random) -> Sequence[Operation]:
    """An edit that is no change at all, larger than its kind allows, or not its author's to make.

    Its envelope is good: everybody stores it, and everybody rejects it alike.
    """
    junk = rng.choice((rng.randbytes(200), rng.randbytes(17 * 1024), b""))
    false = await craft(node, Draft(SPECIFICATION, junk), await _tip(node))
    await node.realm.ingest([false], "lie")
    say(node, [false], list(node.peering.talks.now))
    return ()


async def second_root(node: Node, rng: random.Random) -> Sequence[Operation]:
    """A first change for a document that somebody else has created."""
    known = await node.community.query("SELECT key FROM v_specifications ORDER BY key")
    if known:
        document = DocumentId(rng.choice(known)[0])
        fields = {"name": "mine now"}
        device = node.secrets.keys.id
        change = create_documents(device, [fields], SPECIFICATION_SCHEMA)[0]
        draft = Draft(SPECIFICATION, change, document=document)
        false = await craft(node, draft, await _tip(node))
        await node.realm.ingest([false], "lie")
        say(node, [false], list(node.peering.talks.now))
    return ()


async def flood(node: Node, _rng: random.Random) -> Sequence[Operation]:
    """More hints than anybody wants to hear."""
    channel = _channel(node)
    (plain,) = gossip.hints([Operation(b"", b"", bytes(2048))], bytes(32))  # "I know more than you"
    for n in range(_FLOOD):
        await node.host.publish(channel.topic, channel.seal(plain, n.to_bytes(12, "big")))
    known = node.operations()[:1]
    for _ in range(_FLOOD):
        say(node, known, list(node.peering.talks.now))
    return ()


async def replay(node: Node, rng: random.Random) -> Sequence[Operation]:
    """Old operations, told again as if they were new."""
    known = node.operations()
    for _ in range(_KEPT // 8):
        await hint(node, rng.sample(known, min(8, len(known))))
    say(node, rng.sample(known, min(16, len(known))), list(node.peering.talks.now))
    return ()


LIES: dict[str, Lie] = {
    "fork": fork,
    "fork_authority": fork_authority,
    "back_date": back_date,
    "jump_ahead": jump_ahead,
    "forge": forge,
    "stand_in": stand_in,
    "withhold": withhold,
    "from_tomorrow": from_tomorrow,
    "overstep": overstep,
    "second_root": second_root,
    "flood": flood,
    "replay": replay,
}


async def tell(town: Town, node: Node, name: str) -> Sequence[OperationId]:
    """Tell one lie; the ids that no honest node may store."""
    if not node.alive or not node.communities:
        return ()
    false = await node.run(_told(node, LIES[name]))
    if false is None:
        return ()
    town.faults[f"lie_{name}"] += 1
    town.note("lie", node, name)
    return [operation_id(one.header) for one in false]


async def _told(node: Node, lie: Lie) -> Sequence[Operation]:
    rng = node.town.rng
    await node.write([_name(node, rng), _name(node, rng)])  # a liar has an honest past, too
    return await lie(node, rng)


# --- what liars do ---


async def craft(node: Node, draft: Draft, prev: Standing) -> Operation:
    """A signed operation behind ``prev``, good in itself."""
    realm = node.realm
    news = [await realm.standing(i) for i in realm.judge.authority.news(prev.view)]
    place = Place(realm.realm, prev, (), [one for one in news if one is not None])
    return compose(draft, place, node.secrets, node.now_ms(), lambda: node.town.rng.randbytes(32))


def resigned(node: Node, operation: Operation, /, **changes: object) -> Operation:
    """The operation with another header, signed again."""
    header = encode_header(msgspec.structs.replace(decode_header(operation.header), **changes))
    return replace(operation, header=header, signature=sign(header, node.secrets.signing))


def _behind(node: Node, first: Operation) -> Operation:
    """An operation that follows ``first`` and says nothing new."""
    header = decode_header(first.header)
    follows = operation_id(first.header)
    return resigned(
        node, first, prev=follows, seq=header.seq + 1, lamport=header.lamport + 1, authority=()
    )


async def _tip(node: Node, log: int = 1) -> Standing:
    """The end of one of the liar's own chains, or the grant that it starts from."""
    query = (
        "SELECT o.id FROM operations o JOIN chains c ON c.n = o.chain"
        " WHERE c.device = ? AND c.log = ? ORDER BY o.seq DESC, o.id LIMIT 1"
    )
    device = node.secrets.keys.id
    rows = await node.community.query(query, (device, log))
    ident = rows[0][0] if rows else node.realm.judge.authority.devices[device].id
    found = await node.realm.standing(OperationId(ident))
    assert found is not None
    return found


def _name(node: Node, rng: random.Random) -> Draft:
    document = DocumentId(node.member)
    part = f"{node.name} {rng.randrange(10**9)}".encode()
    return Draft.fact(PROFILE, Profile(), document=document, parts=[(NAME, part)])


def _channel(node: Node) -> gossip.Channel:
    return gossip.Channel.of(node.realm.epochs()[0][1])


async def hint(node: Node, operations: Sequence[Operation]) -> None:
    """Say it to everybody."""
    channel = _channel(node)
    for plain in gossip.hints(operations, node.realm.digest()):
        nonce = node.town.rng.randbytes(12)
        await node.host.publish(channel.topic, channel.seal(plain, nonce))


def say(node: Node, operations: Sequence[Operation], peers: Sequence[str]) -> None:
    """Say it to some of those who are in conversation."""
    for peer, talk in tuple(node.peering.talks.now.items()):
        if peer in peers:
            talk.perform(talk.session.push(node.realm.realm, operations))


async def _spread(node: Node, operations: Sequence[Operation]) -> Sequence[Operation]:
    say(node, operations, list(node.peering.talks.now))
    await hint(node, operations)
    return operations


__all__ = ["LIES", "craft", "hash_of", "hint", "resigned", "say", "tell"]
