"""Keeps the SQL rows of the replicated views equal to the folds of the stored operations.

Never decides what a row says (the folds do) and never which operations stand (the judge does).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import NamedTuple

from commons_crdt.authority.judge import Judge, Standing
from commons_crdt.authority.state import Authority
from commons_crdt.errors import Refused
from commons_crdt.folds import Fact, Subject, Value, View, state_hash
from commons_crdt.ids import DocumentId
from commons_crdt.kinds import Rules, read_fact
from commons_crdt.operation import content
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.store.connection import Connection
from commons_node.store.database import fetch, placeholders
from commons_node.store.realm_store import RealmStore

_IN = 400
_PAGE = 1000
Row = tuple[bytes, str]
"""A row of a view that is about facts: its key, and the view."""


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

    async def create(self, connection: Connection) -> bool:
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

    async def clear(self, connection: Connection, held: Iterable[bytes]) -> None:
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
        self, connection: Connection, facts: Iterable[tuple[int, Fact]]
    ) -> set[tuple[str, bytes]]:
        """Remember which rows stored operations (n, fact) touch; returns those rows."""
        touched = [(name, key, n) for n, fact in facts for name, key in self.keys(fact)]
        subjects = [row for row in touched if not self._views[row[0]].document]
        if subjects:
            await connection.executemany("INSERT OR IGNORE INTO subjects VALUES (?,?,?)", subjects)
        return {(name, key) for name, key, _ in touched}

    async def fold(
        self,
        connection: Connection,
        judge: Judge,
        dirty: Iterable[tuple[str, bytes]],
        documents: Mapping[DocumentId, Fields | None],
    ) -> None:
        """Fold the named rows again; ``documents`` has the fields of changed documents.

        The row of a document that is not among them, and not erased, stays as it is.
        """
        told: list[Row] = []
        read: list[tuple[View, Subject]] = []
        for name, key in dirty:
            view = self._views[name]
            if not view.document:
                told.append((key, name))
            elif (subject := _of_document(judge, view, DocumentId(key), documents)) is not None:
                read.append((view, subject))
        await self._show(connection, read)
        told.sort()  # rows of one key are next to each other: its operations are read once
        for i in range(0, len(told), _IN):
            await self._show(connection, await self._subjects(judge, told[i : i + _IN]))

    async def _show(self, connection: Connection, subjects: Iterable[tuple[View, Subject]]) -> None:
        rows: dict[str, list[tuple[bytes, Sequence[Value]]]] = {}
        gone: dict[str, list[bytes]] = {}
        for view, subject in subjects:
            row = view.fold(subject)
            if row is None:
                gone.setdefault(view.name, []).append(subject.key)
            else:
                rows.setdefault(view.name, []).append((subject.key, row))
        for name in sorted(rows.keys() | gone.keys()):
            await self._put(connection, self._views[name], rows.get(name, ()), gone.get(name, ()))

    async def _put(
        self,
        connection: Connection,
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

    async def _subjects(self, judge: Judge, told: Sequence[Row]) -> list[tuple[View, Subject]]:
        """What the folds of these rows are given. An operation of several of them is read once."""
        keys: dict[str, list[bytes]] = {}
        for key, name in told:
            keys.setdefault(name, []).append(key)
        some = " UNION ".join(
            f"SELECT operation FROM subjects WHERE view=? AND key IN ({placeholders(len(of))})"  # noqa: S608 - own clauses
            for of in keys.values()
        )
        given = [value for name, of in keys.items() for value in (name, *of)]
        facts: dict[tuple[str, bytes], list[Fact]] = {(name, key): [] for key, name in told}
        for standing, body in await self._store.inside.bodies(f"o.n IN ({some})", given):
            fact = self.fact(judge, standing, body)
            if fact is not None:
                for row in self.keys(fact):
                    if row in facts:
                        facts[row].append(fact)
        return [
            (self._views[name], Subject(key, sorted(found, key=lambda f: (f.lamport, f.id))))
            for (name, key), found in facts.items()
        ]

    async def members(self, connection: Connection, authority: Authority) -> None:
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

    async def state_hash(self, connection: Connection) -> bytes:
        """BLAKE2b-256 over all rows of all replicated views; see CONTRACT.md."""
        return state_hash([row async for row in self.rows(connection)])

    async def rows(
        self, connection: Connection
    ) -> AsyncIterator[tuple[str, bytes, Sequence[Value]]]:
        """All rows of all replicated views, by ascending view and key, some at a time."""
        for name in sorted([*self._views, "members"]):
            table, key = ("members", "member") if name == "members" else (f"v_{name}", "key")
            query = f"SELECT * FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT {_PAGE}"  # noqa: S608 - declared names
            found = await fetch(
                connection,
                f"SELECT * FROM {table} ORDER BY {key} LIMIT {_PAGE}",  # noqa: S608 - likewise
            )
            while found:
                for row in found:
                    yield name, row[0], row[1:]
                found = await fetch(connection, query, (found[-1][0],))


def _of_document(
    judge: Judge, view: View, key: DocumentId, documents: Mapping[DocumentId, Fields | None]
) -> Subject | None:
    """What the fold of a document's row is given; None if the row stays as it is."""
    read = documents.get(key)
    if read is not None:
        return Subject(key, (), read.values if read.kind in view.kinds else None)
    return Subject(key, ()) if key in documents or key in judge.erased else None


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
            parsed = read_fact(kind.body, content(body))  # type: ignore[arg-type]  # a fact's body is a Struct
        except Refused:
            return None
    role = Role(standing.role or Role.NEWCOMER)
    return Fact(
        standing.id, standing.kind, member, role, standing.device, standing.log, standing.seq,
        standing.lamport, standing.time_ms, standing.document, parsed, erased,
    )  # fmt: skip
