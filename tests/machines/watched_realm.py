"""What is looked at of realms: what becomes of operations and of edits, on each simulated disk.

Loans and custody are folds: their moves are those that one more fact makes, fact by fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from tests.machines.recorder import Recorder

from commons_crdt.folds import Fact, Subject
from commons_crdt.verdict import Verdict
from commons_node.domains.lending import custody, extending, views
from commons_node.realm.batches import Parsed
from commons_node.realm.intake import Batch, Intake
from commons_node.store.reading import HELD, NOT_STANDING
from commons_node.testing import disk
from commons_node.testing.node import Node
from commons_node.testing.oracle import Oracle, shuffled

OPERATION = "operation#An operation at one node"
EDIT = "edit#An edit of a document"
LOAN = "loan#A loan"
CUSTODY = "custody#Who has a thing"
LONGER = "loan#A longer loan"

WAITING = {
    "missing": "waiting_for_past",
    "clock": "waiting_for_clock",
    "verifier": "waiting_for_worker",
}
EXPLICIT = {
    OPERATION: frozenset(v.name.lower() for v in Verdict)
    | frozenset(WAITING.values())
    | frozenset({"refused"})
}


def watch(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    """Look at every disk after each of its commits."""
    seen: dict[int, dict[bytes, str]] = {}
    commit = disk._Connection.commit

    async def committed(connection: Any) -> None:
        await commit(connection)
        _look(recorder, connection._shared.disk, seen)

    refuse = Intake._refuse

    def refused(intake: Intake, item: Parsed, why: str, batch: Batch) -> None:
        recorder.move(OPERATION, (recorder.number(intake), item.id), "refused")
        refuse(intake, item, why, batch)

    patch.setattr(disk._Connection, "commit", committed)
    patch.setattr(Intake, "_refuse", refused)


def _look(recorder: Recorder, platter: disk.Disk, seen: dict[int, dict[bytes, str]]) -> None:
    number = recorder.number(platter)
    states: dict[bytes, str] = {
        ident: WAITING[why] for ident, why in platter.rows("SELECT id, why FROM waiting")
    }
    for ident, verdict, applied in platter.rows(
        "SELECT id, verdict, (SELECT applied FROM edits e WHERE e.n = o.n) FROM operations o"
    ):
        states[ident] = Verdict(verdict).name.lower()
        if applied is not None:
            word = {"": "taken", HELD: "held", NOT_STANDING: "not_standing"}.get(applied, "refused")
            recorder.move(EDIT, (number, ident), word)
    before = seen.setdefault(number, {})
    for ident in before.keys() - states.keys():
        # What waited and is neither waiting nor stored was refused when its turn came.
        if before[ident].startswith("waiting"):
            recorder.move(OPERATION, (number, ident), "refused")
        recorder.end(OPERATION, (number, ident))
    for ident, state in states.items():
        if before.get(ident) != state:
            recorder.move(OPERATION, (number, ident), state)
    seen[number] = states


def lending(recorder: Recorder, histories: Iterable[Sequence[Fact]]) -> None:
    """Fold the facts of each loan and each thing of each history one by one, in their order."""
    for number, history in enumerate(histories):
        loans: dict[bytes, list[Fact]] = {}
        things: dict[bytes, list[Fact]] = {}
        wishes: dict[bytes, list[Fact]] = {}
        for fact in history:
            if fact.kind in extending.EXTENSIONS.kinds:
                for key in extending.EXTENSIONS.keys(fact):
                    wishes.setdefault(key, []).append(fact)
            for key in views.LOANS.keys(fact):
                loans.setdefault(key, []).append(fact)
            if fact.kind in custody.CUSTODY.kinds:
                for key in custody.CUSTODY.keys(fact):
                    things.setdefault(key, []).append(fact)
        for key, facts in loans.items():
            for row in _rows(views.loan, key, facts):
                recorder.move(LOAN, (recorder.number(recorder), number, key), str(row[0]))
        for key, facts in wishes.items():
            for row in _rows(extending.extension, key, facts):
                recorder.move(LONGER, (recorder.number(recorder), number, key), str(row[2]))
        for key, facts in things.items():
            recorder.move(CUSTODY, (recorder.number(recorder), number, key), "home")
            for row in _rows(custody.custody, key, facts):
                out = row[1] is not None
                word = "with_borrower" if out else "with_steward"
                recorder.move(CUSTODY, (recorder.number(recorder), number, key), word)


def _rows(fold: Any, key: bytes, facts: Sequence[Fact]) -> Iterable[Sequence[Any]]:
    for n in range(1, len(facts) + 1):
        row = fold(Subject(key, facts[:n]))
        if row is not None:
            yield row


def facts(node: Node) -> list[Fact]:
    """All standing facts about loans at a node, as folds get them, in the order of lamports."""
    assert node.realm_id is not None
    memory = Oracle(node.realm_id)
    memory.learn(shuffled(node.operations(), node.town.rng))
    found = [memory._fact(ident, one) for ident, one in memory.known.items()]
    mine = [fact for fact in found if fact is not None and fact.kind in views.LOANS.kinds]
    return sorted(mine, key=lambda fact: (fact.lamport, fact.id))
