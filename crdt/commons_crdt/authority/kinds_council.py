"""The kinds of a council. What they do is in ``council``: they count by their bytes."""

from __future__ import annotations

from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse, Promise
from commons_crdt.kinds import Kind
from commons_crdt.operation import MAX_BODY
from commons_crdt.roles import Role

ACT = "council.act.1"
PROMISE = "council.promise.1"
BALLOT = "council.ballot.1"
ENDORSE = "council.endorse.1"

COUNCIL_KINDS: tuple[Kind, ...] = (
    Kind(ACT, CouncilAct, Role.COORDINATOR, log=0, max_body=MAX_BODY),
    Kind(PROMISE, Promise, Role.COORDINATOR, log=0),
    Kind(BALLOT, Ballot, Role.COORDINATOR, log=0),
    Kind(ENDORSE, Endorse, Role.COORDINATOR, log=0),
)
