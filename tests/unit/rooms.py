"""Rooms: realms of the small town over real SQLite files and real verifier processes.

A `Room` is one node's realm without daemon or network. What is fed to it comes from a `Replica` of
`town`, which writes; the room receives. `Facts` is all that two rooms with the same operations must
agree on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.unit.town import (
    LOAN,
    NOTE,
    PAGE,
    RULES,
    Number,
    Person,
    Replica,
    person,
    town,
)

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Standing
from commons_crdt.document.schema import DocumentSchema
from commons_crdt.document.write import create, edit
from commons_crdt.folds import Subject, Value, View, by_document
from commons_crdt.ids import DocumentId, OperationId, RealmId
from commons_crdt.kinds import Rules
from commons_crdt.operation import Operation, content, decode_header, operation_id
from commons_crdt.roles import Role
from commons_node.health.overview import own_causes
from commons_node.realm.realm import Realm
from commons_node.store.database import fetch, open_database
from commons_node.store.reading import NOT_VOID
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_node.verifier.work import form as check_form
from commons_protocol.replica import Ingested, Range

HOUR_MS = 3_600_000
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def _notes(subject: Subject) -> Sequence[Value] | None:
    values = [fact.body.value for fact in subject.facts if fact.body is not None]
    return (len(subject.facts), sum(values)) if subject.facts else None


def _loan(subject: Subject) -> Sequence[Value] | None:
    values = [fact.body.value for fact in subject.facts if fact.body is not None]
    return (max(values),) if values else None


def _page(subject: Subject) -> Sequence[Value] | None:
    title = (subject.fields or {}).get("title")
    return None if title is None else (title,)


VIEWS = (
    View(
        "notes",
        frozenset({NOTE}),
        {"count": "INTEGER", "total": "INTEGER"},
        lambda fact: (fact.member,),
        _notes,
    ),
    View("loans", frozenset({LOAN}), {"value": "INTEGER"}, by_document, _loan),
    View("pages", frozenset({PAGE}), {"title": "TEXT"}, by_document, _page, document=True),
)


class Facts(NamedTuple):
    """What rooms with the same operations agree on, whatever way those came.

    What lies beyond the end of its chain counts for nothing: one room may hold it, another not.
    """

    verdicts: Mapping[OperationId, tuple[int, str]]
    applied: Mapping[OperationId, str]
    rows: Mapping[str, list[tuple[Any, ...]]]
    set_hash: bytes
    state_hash: bytes
    digest: bytes


@dataclass(slots=True)
class Room:
    """One node's realm. ``now`` is its clock."""

    path: Path
    realm: Realm
    clock: list[int]

    @property
    def now(self) -> int:
        return self.clock[0]

    @now.setter
    def now(self, ms: int) -> None:
        self.clock[0] = ms

    async def take(self, *operations: Operation) -> Ingested:
        """A peer brings operations."""
        return await self.realm.ingest(operations, "peer")

    async def why(self) -> dict[str, int]:
        """What `sync why` would say of this room alone: codes, with how many."""
        return {cause.code: cause.count for cause in await own_causes(self.realm)}

    async def facts(self) -> Facts:
        """All that others must agree with."""
        read = self.realm.store.database.read
        query = f"SELECT id, verdict, reason FROM operations WHERE {NOT_VOID}"  # noqa: S608 - own clause
        verdicts = await fetch(read, query)
        query = f"SELECT o.id, e.applied FROM edits e JOIN operations o USING (n) WHERE {NOT_VOID}"  # noqa: S608 - own clause
        applied = await fetch(read, query)
        rows = {
            view.name: await fetch(read, f"SELECT * FROM v_{view.name} ORDER BY key")  # noqa: S608 - our own names
            for view in VIEWS
        }
        of_set, of_state = await self.realm.hashes()
        return Facts(
            {ident: (verdict, reason) for ident, verdict, reason in verdicts},
            dict(applied),
            rows,
            of_set,
            of_state,
            self.realm.digest(),
        )

    async def said(self, *ids: bytes) -> list[tuple[int, str, str | None] | None]:
        """(verdict, reason, applied) of these; None for what is not here."""
        query = (
            "SELECT o.id, verdict, reason, e.applied FROM operations o LEFT JOIN edits e USING (n)"
        )
        rows = await fetch(self.realm.store.database.read, query)
        found = {row[0]: tuple(row[1:]) for row in rows}
        return [found.get(one) for one in ids]

    async def everything(self, page_bytes: int = 1 << 20) -> list[Operation]:
        """All stored operations, as a peer pages through them."""
        store = self.realm.store
        ends = await fetch(
            store.database.read,
            "SELECT c.device, c.log, max(o.seq) FROM operations o JOIN chains c ON c.n = o.chain"
            " GROUP BY o.chain",
        )
        ranges = [Range(device, log, 1, seq) for device, log, seq in ends]
        found: list[Operation] = []
        after: int | None = None
        while True:
            page, after = await self.realm.read(ranges, after, page_bytes)
            found.extend(page)
            if after is None:
                return found

    async def close(self) -> None:
        await self.realm.close()


async def open_room(
    path: Path, realm: RealmId, pool: VerifierPool, now: int, rules: Rules = RULES
) -> Room:
    """The room in this file, made if it is not there."""
    clock = [now]
    store = RealmStore(await open_database(path, REALM_SCHEMA))
    made = Realm(realm, store, rules, VIEWS, pool, lambda: clock[0])
    try:
        await made.open()
    except BaseException:
        await made.close()
        raise
    return Room(path, made, clock)


@dataclass(slots=True)
class Rooms:
    """Opens rooms in one folder, all with the same workers, and closes them at the end."""

    folder: Path
    pool: VerifierPool
    opened: list[Room] = field(default_factory=list)
    rules: Rules = RULES

    async def open(self, name: str, home: Replica, *operations: Operation) -> Room:
        """A room for ``home``'s realm with a clock just after its last act; told ``operations``."""
        return await self.told(name, home.realm, home.now_ms + HOUR_MS, operations)

    async def told(
        self, name: str, realm: RealmId, now: int, operations: Sequence[Operation]
    ) -> Room:
        """A room for a realm with its clock at ``now``, that was told ``operations``."""
        path = self.folder / f"{name}.db"
        room = await open_room(path, realm, self.pool, now, self.rules)
        self.opened.append(room)
        for i in range(0, len(operations), 500):
            await room.take(*operations[i : i + 500])
        return room

    async def again(self, room: Room) -> Room:
        """The node stops and starts."""
        await room.close()
        self.opened.remove(room)
        made = await open_room(room.path, room.realm.realm, self.pool, room.now, self.rules)
        self.opened.append(made)
        return made

    async def close(self) -> None:
        for room in self.opened:
            await room.close()

    async def __aenter__(self) -> Rooms:
        return self

    async def __aexit__(self, *_: object) -> None:
        """However a test ends: an open database keeps its thread, and so the whole run."""
        await self.close()


@contextmanager
def working(workers: int = 2) -> Iterator[tuple[Run, VerifierPool]]:
    """One loop and one pool for the tests of a module."""
    with asyncio.Runner() as runner:
        pool = VerifierPool(workers)
        try:
            yield runner.run, pool
        finally:
            runner.run(pool.stop())


@contextmanager
def workers(count: int = 2) -> Iterator[VerifierPool]:
    """A pool for the async tests of a module, each of which has a loop of its own."""
    pool = VerifierPool(count)
    try:
        yield pool
    finally:
        asyncio.run(pool.stop())


# --- what people write ---------------------------------------------------------------------------


def schema() -> DocumentSchema:
    """The fields of a page."""
    found = RULES.kinds[PAGE].schema
    assert found is not None
    return found


def page(home: Replica, who: Person, title: str) -> Standing:
    """Somebody starts a page."""
    return home.write(
        who.device, Draft(PAGE, create(who.device.keys.id, {"title": title}, schema()))
    )


def retitle(
    home: Replica, who: Person, first: Standing, title: str, *, aware: bool = True
) -> Standing:
    """Somebody changes a page's title, on top of all edits that ``home`` knows."""
    change, refs = _changed(home, who, first, title)
    draft = Draft(PAGE, change, document=DocumentId(first.id), refs=refs)
    return home.write(who.device, draft, aware=aware)


def _changed(
    home: Replica, who: Person, first: Standing, title: str
) -> tuple[bytes, list[OperationId]]:
    history: dict[bytes, OperationId] = {}
    changes: list[bytes] = []
    for one, standing in home.standings.items():
        body = home.operations[one].body
        if standing.kind != PAGE or standing.document != first.document or body is None:
            continue
        form = check_form(body)
        creates = bytes(one) == bytes(first.id)
        if form.change is not None and form.change not in history and (form.deps or creates):
            history[form.change] = one
            changes.append(content(body))
    made, deps = edit(changes, who.device.keys.id, {"title": title}, schema())
    assert made is not None, "the title changes"
    return made, [history[dep] for dep in deps]


def note(home: Replica, who: Person, value: int, text: str = "") -> Standing:
    """Somebody writes a note, with a text beside it."""
    parts = [("text", text.encode())] if text else []
    return home.write(who.device, Draft.fact(NOTE, Number(value), parts=parts))


class Village(NamedTuple):
    """Who lives there: alice founded it, bob and eve are members, cia is a steward."""

    alice: Person
    bob: Person
    cia: Person
    eve: Person


def village() -> tuple[Replica, Village]:
    """Alice's town with three more people in it."""
    home = town()
    bob = home.welcome("bob", Role.MEMBER)
    cia = home.welcome("cia", Role.STEWARD)
    return home, Village(person("alice"), bob, cia, home.welcome("eve", Role.MEMBER))


def bytes_of(home: Replica) -> list[Operation]:
    """Everything that ``home`` knows, in the order in which it learned it."""
    return list(home.operations.values())


def ident(operation: Operation) -> OperationId:
    """The id of an operation."""
    return operation_id(operation.header)


def causal(operations: Sequence[Operation], prefer: Callable[[int], int]) -> list[Operation]:
    """Another causal order: of those that could come next, ``prefer(n)`` picks one of n."""
    left = {ident(op): op for op in operations}
    done: list[Operation] = []
    while left:
        ready = [
            i
            for i, op in left.items()
            if not any(OperationId(a) in left for a in decode_header(op.header).antecedents)
        ]
        chosen = ready[prefer(len(ready))]
        done.append(left.pop(chosen))
    return done
