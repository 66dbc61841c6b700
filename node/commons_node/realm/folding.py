"""Keeps the SQL rows of the replicated views equal to the folds of the stored operations.

Never decides what a row says (the folds do) and never which operations stand (the judge does).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import aiosqlite

from commons_crdt.authority.judge import Judge, Standing
from commons_crdt.authority.state import Authority
from commons_crdt.errors import Refused
from commons_crdt.folds import Fact, Subject, Value, View, state_hash
from commons_crdt.ids import DocumentId
from commons_crdt.kinds import Rules, decode_fact
from commons_crdt.operation import content
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.store.database import fetch, placeholders
from commons_node.store.realm_store import RealmStore

_IN = 400


class Fields(NamedTuple):
    """What a document says: the kind of its edits, and its fields."""

    kind: str
    values: Mapping[str, str | int | bool | None]


class Folding:
    """The views of one realm."""

    def __init__(self, store: RealmStore, rules: Rules, views: Sequence[View]) -> None:
        """``create`` must follow."""
        self._store = store
        self._rules = rules
        self._views = {view.name: view for view in views}
        self._of_kind: dict[str, list[View]] = {}
        for view in views:
            for kind in view.kinds:
                self._of_kind.setdefault(kind, []).append(view)
        self._heeded = {kind for view in views if not view.document for kind in view.kinds}

    async def create(self, connection: aiosqlite.Connection) -> bool:
        """Make the tables that are not there yet; True if what is stored must be folded again.

        A view whose columns are others than those of its table has its table made anew.
        """
        again = False
        for view in self._views.values():
            columns = [f"{name} {kind}" for name, kind in view.columns.items()]
            there = await fetch(connection, f"PRAGMA table_info(v_{view.name})")
            names = [row[1] for row in there]
            if there and names != ["key", *view.columns]:
                await connection.execute(f"DROP TABLE v_{view.name}")
            if names != ["key", *view.columns]:
                again = True
                await connection.execute(
                    f"CREATE TABLE v_{view.name} (key BLOB PRIMARY KEY, {', '.join(columns)})"
                    " WITHOUT ROWID"
                )
            for column in view.indexes:
                await connection.execute(
                    f"CREATE INDEX IF NOT EXISTS v_{view.name}_{column} ON v_{view.name} ({column})"
                )
        return again

    async def clear(self, connection: aiosqlite.Connection, held: Iterable[bytes]) -> None:
        """Forget every row before all is folded again, save those of documents that are held."""
        await connection.execute("DELETE FROM subjects")
        keys = list(held)
        for name, view in self._views.items():
            kept = []
            if view.document and keys:
                every = await fetch(connection, f"SELECT * FROM v_{name}")  # noqa: S608 - declared names
                kept = [row for row in every if row[0] in keys]
            await connection.execute(f"DELETE FROM v_{name}")  # noqa: S608 - declared names
            if kept:
                await self._put(connection, view, [(row[0], row[1:]) for row in kept], [])

    def fact(self, judge: Judge, standing: Standing, body: bytes | None) -> Fact | None:
        """A standing operation as folds see it; None if it does not stand or says nothing."""
        return fact_of(self._rules, judge, standing, body)

    @property
    def views(self) -> Sequence[View]:
        """The replicated views, each of which is a table."""
        return tuple(self._views.values())

    def heeds(self, kind: str) -> bool:
        """True if an operation of this kind touches other rows than that of its document."""
        return kind in self._heeded

    def keys(self, fact: Fact) -> list[tuple[str, bytes]]:
        """The (view, key) rows that an operation touches."""
        return [
            (view.name, key) for view in self._of_kind.get(fact.kind, ()) for key in view.keys(fact)
        ]

    def of_documents(self, documents: Mapping[DocumentId, Fields | None]) -> set[tuple[str, bytes]]:
        """The (view, key) rows of documents that were read; of all views where nothing stands."""
        return {
            (view.name, document)
            for view in self._views.values()
            if view.document
            for document, read in documents.items()
            if read is None or read.kind in view.kinds
        }

    async def note(
        self, connection: aiosqlite.Connection, facts: Iterable[tuple[int, Fact]]
    ) -> set[tuple[str, bytes]]:
        """Remember which rows stored operations (n, fact) touch; returns those rows."""
        touched = [(name, key, n) for n, fact in facts for name, key in self.keys(fact)]
        subjects = [row for row in touched if not self._views[row[0]].document]
        if subjects:
            await connection.executemany("INSERT OR IGNORE INTO subjects VALUES (?,?,?)", subjects)
        return {(name, key) for name, key, _ in touched}

    async def fold(
        self,
        connection: aiosqlite.Connection,
        judge: Judge,
        dirty: Iterable[tuple[str, bytes]],
        documents: Mapping[DocumentId, Fields | None],
    ) -> None:
        """Fold the named rows again; ``documents`` has the fields of changed documents.

        The row of a document that is not among them, and not erased, stays as it is.
        """
        by_view: dict[str, list[bytes]] = {}
        for name, key in dirty:
            by_view.setdefault(name, []).append(key)
        for name, keys in by_view.items():
            view = self._views[name]
            rows: list[tuple[bytes, Sequence[Value]]] = []
            gone: list[bytes] = []
            for i in range(0, len(keys), _IN):
                for subject in await self._subjects(judge, view, keys[i : i + _IN], documents):
                    row = view.fold(subject)
                    if row is None:
                        gone.append(subject.key)
                    else:
                        rows.append((subject.key, row))
            await self._put(connection, view, rows, gone)

    async def _put(
        self,
        connection: aiosqlite.Connection,
        view: View,
        rows: Sequence[tuple[bytes, Sequence[Value]]],
        gone: Sequence[bytes],
    ) -> None:
        marks = placeholders(1 + len(view.columns))
        if rows:
            await connection.executemany(
                f"INSERT OR REPLACE INTO v_{view.name} VALUES ({marks})",  # noqa: S608 - declared names
                [(key, *row) for key, row in rows],
            )
        if gone:
            await connection.executemany(
                f"DELETE FROM v_{view.name} WHERE key=?",  # noqa: S608 - declared names
                [(key,) for key in gone],
            )

    async def _subjects(
        self,
        judge: Judge,
        view: View,
        keys: Sequence[bytes],
        documents: Mapping[DocumentId, Fields | None],
    ) -> list[Subject]:
        if view.document:
            subjects = []
            for key in keys:
                read = documents.get(DocumentId(key))
                if read is not None:
                    fields = read.values if read.kind in view.kinds else None
                    subjects.append(Subject(key, (), fields))
                elif key in documents or key in judge.erased:
                    subjects.append(Subject(key, ()))
            return subjects
        facts: dict[bytes, list[Fact]] = {key: [] for key in keys}
        where = (
            "o.n IN (SELECT operation FROM subjects WHERE view=?"  # noqa: S608 - own clauses
            f" AND key IN ({placeholders(len(keys))}))"
        )
        for standing, operation in await self._store.inside.everything(where, (view.name, *keys)):
            fact = self.fact(judge, standing, operation.body)
            if fact is not None:
                for key in view.keys(fact):
                    if key in facts:
                        facts[key].append(fact)
        return [
            Subject(key, sorted(found, key=lambda f: (f.lamport, f.id)))
            for key, found in facts.items()
        ]

    async def members(self, connection: aiosqlite.Connection, authority: Authority) -> None:
        """Replace the ``members`` rows: they are the fold of log 0 as a whole."""
        await connection.execute("DELETE FROM members")
        flagged = authority.flagged()
        await connection.executemany(
            "INSERT INTO members VALUES (?,?,?)",
            [
                (member, int(role), int(member in flagged))
                for member, role in authority.members().items()
            ],
        )

    async def state_hash(self, connection: aiosqlite.Connection) -> bytes:
        """BLAKE2b-256 over all rows of all replicated views; see CONTRACT.md."""
        rows: list[tuple[str, bytes, Sequence[Value]]] = []
        for name in sorted([*self._views, "members"]):
            table = "members" if name == "members" else f"v_{name}"
            found = await fetch(connection, f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608 - declared names
            rows.extend((name, row[0], row[1:]) for row in found)
        return state_hash(rows)


def fact_of(rules: Rules, judge: Judge, standing: Standing, body: bytes | None) -> Fact | None:
    """A standing operation as folds see it; None if it does not stand or says nothing."""
    kind = rules.kinds.get(standing.kind)
    if kind is None or standing.judgement.verdict is not Verdict.ACCEPTED:
        return None
    member = judge.authority.grants[standing.grant].member
    erased = judge.is_erased(kind, standing.id, standing.document)
    parsed = None
    if not erased and kind.schema is None and body is not None:
        try:
            parsed = decode_fact(kind.body, content(body))  # type: ignore[arg-type]  # a fact's body is a Struct
        except Refused:
            return None
    role = Role(standing.role or Role.NEWCOMER)
    return Fact(
        standing.id, standing.kind, member, role, standing.device, standing.log, standing.seq,
        standing.lamport, standing.time_ms, standing.document, parsed, erased,
    )  # fmt: skip
