"""What whole nodes come to is what the slow oracle says, which judges from nothing.

The storm has liars of every kind of authority; the oracle reads like the page on authority, and
shares no logic with the program (`tests/authority/oracle`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from tests.authority.oracle import judge_all

from commons_crdt.authority.judge import Candidate
from commons_crdt.errors import Refused
from commons_crdt.kinds import Kind, decode_fact
from commons_crdt.operation import Operation, content, decode_header, operation_id
from commons_crdt.roles import Role
from commons_crdt.verdict import Judgement, Verdict
from commons_node.domains import RULES
from commons_node.testing.lies import SCHEMES
from commons_node.testing.node import Node
from commons_node.testing.plan import SMALL, command
from commons_node.testing.storm import run

ALL_SCHEMES = replace(SMALL, lies=tuple(SCHEMES), schemes=6, crashes=1, jumps=0, writes=20)


def candidate(operation: Operation) -> Candidate:
    """An operation as the judge is told it, its contents as they are here."""
    header = decode_header(operation.header)
    kind = RULES.kinds.get(header.kind)
    body, fault = None, ""
    if isinstance(kind, Kind) and operation.body is not None and _is_fact(kind):
        try:
            body = decode_fact(cast(Any, kind.body), content(operation.body))
        except Refused as error:
            fault = error.why
    return Candidate(
        operation_id(operation.header), header, body, operation.body is not None, fault
    )


def _is_fact(kind: Kind) -> bool:
    return isinstance(kind.body, type)


def disagreements(node: Node) -> list[str]:
    """Operations of log 0 of which the store and the oracle say something else.

    Log 1 has documents, erasures and rules of domains, which are no part of authority.
    """
    assert node.realm_id is not None
    operations = node.operations()
    answer = judge_all(node.realm_id, [candidate(one) for one in operations], RULES.tables)
    stored = {i: Judgement(Verdict(v), r) for i, v, r in node.stored()}
    found = []
    for one in operations:
        ident, header = operation_id(one.header), decode_header(one.header)
        said = answer.verdicts.get(ident)
        if header.log == 0 and said is not None and said != stored[ident]:
            found.append(f"{header.kind} {ident.hex()[:8]}: {stored[ident]}, oracle {said}")
    return found


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_judge_of_a_town_of_liars_says_what_the_oracle_says(seed: int) -> None:
    outcome, town = run(seed, ALL_SCHEMES)
    assert not outcome.wrong, f"{command(seed, ALL_SCHEMES)}: {outcome.wrong}"
    honest = town.honest[0]
    assert not disagreements(honest), command(seed, ALL_SCHEMES)
    assert any(verdict != 1 for _, verdict, _ in honest.stored()), "somebody was judged"
    assert honest.role is Role.COORDINATOR


def test_a_verdict_that_is_not_the_oracles_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: a store that says of the genesis that it was cut is found."""
    _, town = run(1, ALL_SCHEMES)
    honest, genesis = town.honest[0], town.honest[0].realm.realm
    told = [(i, v, r) if bytes(i) != genesis else (i, 2, "cut") for i, v, r in honest.stored()]
    monkeypatch.setattr(honest, "stored", lambda: told)
    assert len(disagreements(honest)) == 1
