"""`flip`: a late removal in a real realm on disk: verdicts, documents and rows, in one transaction.

Somebody has written 10,000 notes that stand, and then 1,000 more acts, half of them edits of other
people's pages, when the removal comes that cuts them off. The floor is what SQLite takes to write
that many verdicts in one durable commit.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.town import Town, say
from commons_crdt.author import Draft, found
from commons_crdt.authority.endings import Ending, Position
from commons_crdt.authority.facts import (
    Admit,
    Genesis,
    Identity,
    Invite,
    NodeGrant,
    Removal,
    RoleAct,
)
from commons_crdt.authority.kinds import ADMIT, CORE, INVITE, NODE, REMOVAL, ROLE
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.document.schema import DocumentSchema, Field
from commons_crdt.document.write import create, edit
from commons_crdt.folds import Subject, Value, View
from commons_crdt.ids import ZERO, DocumentId, OperationId
from commons_crdt.kinds import Kind, Rules
from commons_crdt.roles import Role
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_node.realm.told import Change
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool

NOTE, PAGE = "bench.note.1", "bench.page.1"
_STANDING, _FLIPPED, _PAGES = 10_000, 1_000, 500
_SLICE = 1_000
_SCHEMA = DocumentSchema("page", {"title": Field.text(80)})


class Number(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The body of a note."""

    value: int


def _count(subject: Subject) -> Sequence[Value] | None:
    return (len(subject.facts),) if subject.facts else None


def _title(subject: Subject) -> Sequence[Value] | None:
    title = (subject.fields or {}).get("title")
    return None if title is None else (title,)


RULES = Rules.of(
    1, (*CORE, Kind(NOTE, Number, Role.NEWCOMER), Kind(PAGE, _SCHEMA, Role.MEMBER, erased="body"))
)
VIEWS = (
    View("notes", frozenset({NOTE}), {"n": "INTEGER"}, lambda f: (f.document,), _count),
    View("pages", frozenset({PAGE}), {"title": "TEXT"}, lambda f: (f.document,), _title, True),
)


def measure(town: Town) -> dict[str, object]:
    """``standing, flipped, documents, seconds, lift_seconds, floor_seconds, ratio``."""
    return asyncio.run(_measure(town.folder / "flip.db"))


class _Pen:
    """Somebody's device in the realm."""

    def __init__(self, realm: Realm) -> None:
        self.realm = realm
        self.secrets = DeviceSecrets(os.urandom(32), os.urandom(32))
        self.identity = Identity(self.secrets.keys, (), 0, ZERO)
        self.last = OperationId(ZERO)

    async def write(self, *drafts: Draft) -> list[Written]:
        """Sign and store."""
        grant = self.realm.judge.authority.devices[self.secrets.keys.id].id
        written: list[Written] = []
        for at in range(0, len(drafts), _SLICE):
            some = drafts[at : at + _SLICE]
            written += await self.realm.write(some, self.secrets, grant)
        self.last = written[-1].id
        return written


async def _measure(path: Path) -> dict[str, object]:
    pool = VerifierPool(2)
    say(f"writing {_STANDING + _FLIPPED} acts that a removal will divide")
    alice = DeviceSecrets(os.urandom(32), os.urandom(32))
    body = Genesis(Identity(alice.keys, (), 0, ZERO), 1, (("budget.member.capacity", 1_000_000),))
    realm_id, genesis = found(body, alice, _now_ms(), lambda: os.urandom(32))
    database = await open_database(path, REALM_SCHEMA)
    realm = Realm(realm_id, RealmStore(database), RULES, VIEWS, pool, _now_ms)
    try:
        await realm.open()
        await realm.ingest([genesis], "bench")
        founder = _Pen(realm)
        founder.secrets = alice
        eve = await _admitted(realm, founder)
        await eve.write(*[Draft.fact(NOTE, Number(n)) for n in range(_STANDING)])
        cut_at = Position(_STANDING, eve.last)
        await _go_on(founder, eve)
        await realm.settled()
        heard: list[Change] = []
        realm.listeners.append(heard.append)
        say("the removal comes")
        ending = Ending(eve.secrets.keys.id, Position(0, bytes(ZERO)), cut_at)
        member = eve.identity.member
        removal = Draft.fact(
            REMOVAL,
            Removal(member, 0, (ending,), "conduct"),
            log=0,
            document=DocumentId(member),
        )
        began = time.perf_counter()
        await founder.write(removal)
        seconds = time.perf_counter() - began
        flipped = len(heard[0].flips)
        assert flipped == _FLIPPED, "all that lies beyond"
        floor = await _floor(realm)
    finally:
        await realm.close()
        await pool.stop()
    return {
        "standing": _STANDING,
        "flipped": flipped,
        "documents": _PAGES,
        "seconds": round(seconds, 3),
        "floor_seconds": round(floor, 3),
        "ratio": round(seconds / floor, 1),
    }


async def _admitted(realm: Realm, founder: _Pen) -> _Pen:
    """A member who was let in by the founder's node."""
    node, eve = _Pen(realm), _Pen(realm)
    owner = Identity(founder.secrets.keys, (), 0, ZERO).member
    consent = sign_claim("consent", node.secrets.signing, realm.realm, owner)
    grant = NodeGrant(node.secrets.keys, consent, ())
    await founder.write(Draft.fact(NODE, grant, log=0, document=DocumentId(owner)))
    seed = os.urandom(32)
    key = DeviceSecrets(seed, seed).keys.signing
    await founder.write(Draft.fact(INVITE, Invite(key, 1, _now_ms() + 10**9), log=0))
    member = eve.identity.member
    signed = (realm.realm, founder.last, member)
    admit = Admit(
        founder.last,
        eve.identity,
        sign_claim("possess", seed, *signed),
        sign_claim("consent", eve.secrets.signing, *signed),
        (),
    )
    document = DocumentId(member)
    await node.write(Draft.fact(ADMIT, admit, log=0, document=document))
    act = RoleAct(member, Role.MEMBER)
    await founder.write(Draft.fact(ROLE, act, log=0, document=document))
    return eve


async def _go_on(founder: _Pen, eve: _Pen) -> None:
    """What the removal takes: edits of the founder's pages, and notes."""
    device = founder.secrets.keys.id
    changes = [create(device, {"title": f"Page {n}"}, _SCHEMA) for n in range(_PAGES)]
    pages = await founder.write(*[Draft(PAGE, change) for change in changes])
    drafts: list[Draft] = []
    for change, page in zip(changes, pages, strict=True):
        made, _ = edit([change], eve.secrets.keys.id, {"title": "Another title"}, _SCHEMA)
        assert made is not None, "the title changes"
        drafts.append(Draft(PAGE, made, document=DocumentId(page.id), refs=[page.id]))
    drafts += [Draft.fact(NOTE, Number(n)) for n in range(_FLIPPED - _PAGES)]
    await eve.write(*drafts)


async def _floor(realm: Realm) -> float:
    began = time.perf_counter()
    async with realm.store.database.transaction() as connection:
        await connection.executemany(
            "UPDATE operations SET verdict = verdict WHERE n = ?", [(n,) for n in range(_FLIPPED)]
        )
    return time.perf_counter() - began


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
