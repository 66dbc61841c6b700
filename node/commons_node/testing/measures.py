"""What a town does about who may do what: its council decides, members change devices, some go.

All of it is honest: by the product's verbs where one machine is enough, and by residents at the
machine of a coordinator. Each is counted as ``did_…`` when it was written and stood, and as
``saw_…`` for each other node that has accepted it in the end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from commons_crdt.author import Draft
from commons_crdt.authority.ballots import Open, open_at
from commons_crdt.authority.council_facts import Lift, Seal
from commons_crdt.authority.facts import Removal
from commons_crdt.authority.identity_facts import Close, Limit
from commons_crdt.authority.kinds import EPOCH, REMOVAL
from commons_crdt.authority.kinds_council import ACT, BALLOT, ENDORSE, PROMISE
from commons_crdt.authority.kinds_identity import CLOSE
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.domains.council.acts import content_of, ledger
from commons_node.domains.membership.facts import PROFILE
from commons_node.membership.rotation import rotate
from commons_node.testing.acts import renamed
from commons_node.testing.disk import PowerLost
from commons_node.testing.residents import Resident
from commons_node.testing.weather import Faults

if TYPE_CHECKING:
    from commons_node.realm.authoring import Written
    from commons_node.testing.node import Node
    from commons_node.testing.town import Town

_WORDS = ("share", "mend", "lend", "grow")
_SOON_MS = 3_600_000
_TRIES, _SITTINGS = 4, 5
_YES, _PATIENT, _LENIENT = 0.9, 0.8, 0.4


async def any_measure(town: Town, rng: random.Random) -> None:
    """One step that somebody may take now, if there is any; the council's are the likeliest."""
    for _ in range(_TRIES):
        taken = rng.choice(_STEPS)
        with suppress(CommonsError, PowerLost):
            done = await taken(town, rng)
            if done:
                return


# --- the council ---


async def _council(town: Town, rng: random.Random) -> bool:
    """Coordinators sit down, one after the other, as often as it takes to decide something."""
    done = [await _sit_down(town, rng)]
    while done[-1] and len(done) < _SITTINGS:
        await asyncio.sleep(rng.uniform(0.2, 2.0))
        done.append(await _sit_down(town, rng))
    return done[0]


async def _sit_down(town: Town, rng: random.Random) -> bool:
    """A coordinator looks at the table: answers what is there, or puts something on it."""
    node = _coordinator(town, rng)
    actor = node.actor() if node is not None else None
    if node is None or actor is None:
        return False
    council, base = ledger(node.community)
    table = [one for one in open_at(council, base, actor.device) if not _seals(node, one)]
    for one in table:
        if one.answerable and rng.random() < _YES:
            return await _decide(node, "community.endorse", operation=one.operation.hex())
    if table and table[0].by != actor.device and rng.random() < _PATIENT:
        return False  # somebody else's turn; who does not wait leads a higher ballot
    residents = {one.member for one in town.residents}
    cuts = [cut.id for cut in node.realm.judge.authority.cuts if cut.member in residents]
    if cuts and rng.random() < _LENIENT:
        cut = rng.choice(cuts).hex()
        return await _decide(node, "community.propose", what="lift", cut=cut)
    words = [f"motto={rng.choice(_WORDS)} {rng.randrange(1000)}"]
    return await _decide(node, "community.propose", what="constitution", settings=words)


def _seals(node: Node, one: Open) -> bool:
    """Whether it is a seal: no person can see whether that seals what is here."""
    return one.act is not None and isinstance(content_of(node.community, one.act), Seal)


async def _decide(node: Node, verb: str, **arguments: object) -> bool:
    done = await node.run(node.desk.do(verb, **arguments))
    if not done or "operation" not in done:
        return False
    return await _note(node, OperationId(bytes.fromhex(str(done["operation"]))))


async def _rotate(town: Town, rng: random.Random) -> bool:
    """New epoch keys, before anything makes it necessary."""
    node = _coordinator(town, rng)
    actor = node.actor() if node is not None else None
    if node is None or actor is None:
        return False
    written = await node.run(rotate(node.as_daemon, node.community, actor))
    return await _noted(node, written or ())


# --- members ---


async def _remove(town: Town, rng: random.Random) -> bool:
    return await _sanction(town, rng, "member.remove", reason="conduct")


async def _suspend(town: Town, rng: random.Random) -> bool:
    """For a moment: who is suspended comes back."""
    return await _sanction(town, rng, "member.suspend", days=1)


async def _lower(town: Town, rng: random.Random) -> bool:
    return await _sanction(town, rng, "member.role", role="newcomer")


async def _sanction(town: Town, rng: random.Random, verb: str, **arguments: object) -> bool:
    node = _coordinator(town, rng)
    if node is None:
        return False
    roles = node.realm.judge.authority.members()
    least = Role.NEWCOMER if verb != "member.role" else Role.MEMBER
    here = [one for one in town.residents if roles.get(one.member, least - 1) >= least]
    if len(here) < 2:
        return False
    who = rng.choice(here).member.hex()
    return await _decide(node, verb, who=who, **arguments)


# --- residents ---


async def _writes(town: Town, rng: random.Random) -> bool:
    """Somebody writes what may be cut later."""
    one = _resident(town, rng)
    if one is None:
        return False
    await one.home.run(one.write(renamed(one.member, one.name, rng)))
    return False


async def _device(town: Town, rng: random.Random) -> bool:
    """A second device; sometimes one that may write its name only."""
    one = _resident(town, rng)
    if one is None:
        return False
    realm = one.home.realm
    limit = [Limit((PROFILE,), 3, one.home.now_ms() + _SOON_MS)] if rng.random() < 0.3 else []
    new = one.new_machine()
    done = await one.home.run(one.write(one.another_device(realm, new, limit)))
    if done:
        one.spare.append(new)
    return await _noted(one.home, done or ())


async def _retire(town: Town, rng: random.Random) -> bool:
    """A device is retired by the key on paper."""
    one = _resident(town, rng, lambda one: bool(one.spare))
    if one is None:
        return False
    old = one.spare[0]
    terms = one.terms(one.home.realm, None, [await one.ending(old)])
    done = await one.home.run(one.write(one.by_paper(one.home.realm, terms)))
    if done:
        one.spare.pop(0)
    return await _noted(one.home, done or (), "retirement")


async def _recover(town: Town, rng: random.Random) -> bool:
    """All is lost; the guardians bring it back, at the machine at which they all meet."""
    one = _resident(town, rng, lambda one: bool(one.guardians))
    if one is None or any(_gone(guardian) for guardian in one.guardians):
        return False
    new = one.new_machine()
    terms = one.terms(one.home.realm, new, [await one.ending()])
    endorsed: list[Written] = []
    for guardian in one.guardians[: one.identity.threshold]:
        draft = one.endorsement(one.home.realm, terms)
        endorsed += await one.home.run(guardian.write(draft)) or ()
    if len(endorsed) < one.identity.threshold:
        return False
    await _noted(one.home, endorsed)
    draft = one.by_guardians(terms, [done.id for done in endorsed])
    carrier = one.guardians[0]
    done = await one.home.run(carrier.write(draft))
    if done and not done[0].judgement.reason:
        one.secrets = new
    return await _noted(one.home, done or ())


async def _close(town: Town, rng: random.Random) -> bool:
    """A device that is put away says that it writes no more."""
    one = _resident(town, rng, lambda one: bool(one.spare))
    if one is None:
        return False
    old = one.spare[-1]
    body = Close((await one.ending(old)).record)
    draft = Draft.fact(CLOSE, body, log=0, document=DocumentId(one.member))
    done = await one.home.run(one.write(draft, device=old))
    if done:
        one.spare.pop()
    return await _noted(one.home, done or ())


async def _return(town: Town, rng: random.Random) -> bool:
    """Whose suspension is over, or was never removed for good, comes back with a new device."""
    away = [one for one in town.residents if _gone(one) and one.home.alive]
    if not away:
        return False
    one = rng.choice(away)
    carrier = next((c for c in town.residents if c.home is one.home and not _gone(c)), None)
    if carrier is None:
        return False
    new = one.new_machine()
    draft = one.readmission(one.home.realm.realm, new)
    done = await one.home.run(carrier.write(draft))
    if done and not done[0].judgement.reason:
        one.secrets = new
        one.spare.clear()
    return await _noted(one.home, done or ())


# --- who can ---


def _coordinator(town: Town, rng: random.Random) -> Node | None:
    found = []
    for node in town.honest:
        actor = node.actor() if node.alive and node.communities else None
        if actor is not None and actor.role is Role.COORDINATOR:
            found.append(node)
    return rng.choice(found) if found else None


def _gone(one: Resident) -> bool:
    if not one.home.alive or not one.home.communities:
        return True
    authority = one.home.realm.judge.authority
    granted = authority.devices.get(one.secrets.keys.id)
    ended = one.home.realm.judge.end(one.secrets.keys.id, 0).seq is not None
    return granted is None or granted.verdict is not Verdict.ACCEPTED or ended


def _resident(
    town: Town, rng: random.Random, fits: Callable[[Resident], bool] = lambda _one: True
) -> Resident | None:
    here = [one for one in town.residents if not _gone(one) and fits(one)]
    return rng.choice(here) if here else None


# --- what is counted ---


async def _noted(node: Node, written: Sequence[Written], name: str = "") -> bool:
    for one in written:
        await _note(node, one.id, name)
    return bool(written)


async def _note(node: Node, ident: OperationId, name: str = "") -> bool:
    """Remember an operation under what it is, if it stands."""
    if not node.alive:
        return False
    ((kind, verdict, body),) = node.disk.rows(
        "SELECT kind, verdict, body FROM operations WHERE id = ?", (ident,)
    )
    if verdict != Verdict.ACCEPTED:
        return False
    if kind == ACT and isinstance(content_of(node.community, ident), Lift):
        name = "lift"
    if kind == REMOVAL and decode_fact(Removal, content(body)).until_ms:
        name = "suspension"
    found = name or _NAMES[kind]
    node.town.measures.setdefault(found, []).append((ident, node.name))
    node.town.faults[f"did_{found}"] += 1
    node.town.note("measure", node, found)
    return True


_NAMES: Mapping[str, str] = {
    ACT: "proposal",
    BALLOT: "ballot",
    PROMISE: "promise",
    ENDORSE: "endorsement",
    EPOCH: "rotation",
    REMOVAL: "removal",
    "membership.demotion.1": "demotion",
    "membership.readmit.1": "readmission",
    "identity.device.1": "device",
    "identity.recover.1": "recovery",
    "identity.endorse.1": "guardian",
    CLOSE: "closing",
}
MEASURES: Sequence[str] = (
    "proposal", "promise", "endorsement", "lift", "rotation", "removal", "suspension", "demotion",
    "readmission", "device", "retirement", "recovery", "guardian", "closing",
)  # fmt: skip
"""What must have happened, and been seen elsewhere, in any twenty towns."""

Step = Callable[["Town", random.Random], Awaitable[bool]]
_STEPS: Sequence[Step] = (
    _council, _council, _council, _council, _council, _council, _rotate,
    _remove, _suspend, _lower, _writes, _writes, _device, _device, _retire, _recover, _close,
    _return, _return,
)  # fmt: skip


def count_seen(town: Town) -> None:
    """Count where else the measures stand in the end."""
    for name, done in town.measures.items():
        for ident, author in done:
            for node in town.honest:
                if node.name != author and node.communities:
                    rows = node.disk.rows(
                        "SELECT 1 FROM operations WHERE id = ? AND verdict = 1", (ident,)
                    )
                    town.faults[f"saw_{name}"] += len(rows)


def undone(struck: Faults) -> list[str]:
    """Measures that nobody took, and those that nobody else has seen."""
    return [f"did_{name}" for name in MEASURES if not struck[f"did_{name}"]] + [
        f"did_{name} without saw_{name}"
        for name in MEASURES
        if struck[f"did_{name}"] and not struck[f"saw_{name}"]
    ]
