"""The story of `vectors/judge.json`: members, invites, contents, erasures, a fork, forgeries."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from commons_crdt.author import Draft, found
from commons_crdt.authority.facts import Erasure, Genesis
from commons_crdt.authority.judge import ERASURE, Judge, Standing
from commons_crdt.ids import OperationId, digest
from commons_crdt.operation import Operation, decode_header, encode_header, sign
from commons_crdt.roles import Role
from making.names import NOTE, RULES, START_MS, identity, secrets
from making.town import Town, admission, erasure, invitation, node_grant, note, role_act


def story() -> Town:
    """A founder, a member, a used invite, contents good and bad, erasures, a fork, forgeries."""
    settings = (("budget.newcomer.capacity", 40), ("timezone", "Europe/Lisbon"))
    genesis = Genesis(identity("alice"), 1, settings)
    realm, operation = found(
        genesis, secrets("alice"), START_MS, lambda: digest("v-salt", b"genesis")
    )
    town = Town(realm, Judge(realm, RULES))
    start = town.tell("genesis", operation)
    bob, eve = identity("bob").member, identity("eve").member

    town.write("alice grants her node", "alice", node_grant(town, "alice", "node"))
    invite = town.write("alice invites once", "alice", invitation("one"))
    late = town.write("an invite that has expired", "alice", invitation("late", 1, START_MS))
    let_in = town.write("the node admits bob", "node", admission(town, invite, "one", "bob"))
    town.write("the invite is used up", "node", admission(town, invite, "one", "eve"))
    town.write("after its time", "node", admission(town, late, "late", "eve"))
    fresh = town.write("alice invites twice", "alice", invitation("two", 2))
    town.write(
        "possession is not proved",
        "node",
        admission(town, fresh, "two", "eve", possession=bytes(64)),
    )
    town.write(
        "consent is not given", "node", admission(town, fresh, "two", "eve", consent=bytes(64))
    )
    town.write("an admission counts in any chain", "alice", admission(town, fresh, "two", "dora"))
    town.write("an invite nobody wrote", "node", admission(town, let_in, "two", "eve"))
    town.write("a newcomer does not invite", "bob", invitation("bob's"))
    town.write("alice makes bob a member", "alice", role_act(bob, Role.MEMBER))
    town.write("nobody acts on a coordinator", "alice", role_act(identity("alice").member, Role(1)))
    town.write("nobody acts on a stranger", "alice", role_act(identity("carol").member, Role.HOST))
    town.write("a member gives no roles", "bob", role_act(eve, Role.MEMBER))
    town.write("an unknown kind of log 0", "bob", Draft("council.party.1", b"later", log=0))

    first = town.write("bob writes a note", "bob", note(parts=[("text", b"hello")]))
    town.write("an unknown kind of log 1", "bob", Draft("vector.party.1", b"later"))
    town.write("a body that is no note", "bob", Draft(NOTE, b"garbage"))
    big = town.draw("a body beyond the kind's bound", "bob", Draft(NOTE, b"x" * 69))
    town.tell("a body beyond the kind's bound", replace(big, body=None))
    town.write("a part that notes do not have", "bob", note(parts=[("photo", b"hello")]))
    town.write("a node writes no notes", "node", note())
    town.write("a kind of log 1 in log 0", "alice", note(log=0))
    alices = town.write("alice writes a note", "alice", note(2))
    town.write("bob cannot erase it", "bob", erasure(alices))
    town.write("bob erases his own", "bob", erasure(first))
    erased = town.operations["bob writes a note"]
    town.operations["bob writes a note"] = replace(erased, body=None, parts=(None,))
    town.write("an erasure that does not refer", "bob", Draft.fact(ERASURE, Erasure(first)))
    town.write("eve's node is none", "bob", node_grant(town, "eve", "eve's node"))
    town.write("from a grant that does not stand", "eve's node", note())

    below = town.write("below the fork", "bob", note(3))
    town.write("one branch", "bob", note(4))
    town.write("the other branch", "bob", note(5), below)
    town.write("behind the other branch", "bob", note(6))

    forgeries(town, start, alices)
    return town


def forgeries(town: Town, start: OperationId, alices: OperationId) -> None:
    """Envelopes that break a rule that all nodes check alike."""
    prev = town.standings[alices]
    bobs = town.standings[town.places[secrets("bob").keys.id, 1]]
    forged: tuple[tuple[str, Standing, dict[str, object]], ...] = (
        ("another realm", prev, {"realm": b"r" * 32}),
        ("seq jumps", prev, {"seq": prev.seq + 2}),
        ("prev is somebody else's", bobs, {"prev": bobs.id}),
        ("lamport too low", prev, {"lamport": prev.lamport}),
        ("lamport too high", prev, {"lamport": prev.lamport + 10}),
        ("time runs backwards", prev, {"time_ms": prev.time_ms - 1}),
        ("authority in prev's past", prev, {"authority": (start,)}),
        ("more than its budget", prev, {"body_length": 2**40}),
    )
    for name, behind, changes in forged:
        operation = town.draw(name, "alice", note())
        plain = {"authority": (), "lamport": behind.lamport + 1}
        header = msgspec.structs.replace(decode_header(operation.header), **(plain | changes))
        data = encode_header(header)
        body = None if "body_length" in changes else operation.body
        town.refuse(name, Operation(data, sign(data, secrets("alice").signing), body))
    fact = town.draw("log 0 refers to log 1", "alice", replace(invitation("x"), refs=[alices]))
    town.refuse("log 0 refers to log 1", fact)
    bare = town.draw("log 0 without its body", "alice", invitation("y"))
    town.refuse("log 0 without its body", replace(bare, body=None))
