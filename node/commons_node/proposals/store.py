"""Proposals in the file of jobs: who proposed what, for whom, and what became of it.

open → signing → signed, or open → dropped. *signing* is written down before anything is signed; the
operations that come of it are noted before they are stored. So whoever finds one there after a
crash can tell whether it had its effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.jobs.agent_effects import EXPIRES_MS
from commons_node.jobs.queue import Queue

State = Literal["open", "signing", "signed", "dropped", "expired"]
_COLUMNS: Final = (
    "proposal, job, operation, run, agent, principal, command, arguments, why, at_ms, state,"
    " member, ended_ms, answer, error, policy, held"
)


class NoProposal(CommonsError):
    """There is no proposal {proposal}."""

    code = "unknown"
    hint = "commons-node proposal list --all"
    status = "not_found"


class Decided(CommonsError):
    """Proposal {proposal} is {state} already."""

    code = "state"
    hint = "commons-node proposal show {proposal}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One of them. ``principal``: the community for which the agent works, 64 hex digits.

    ``member`` signed or dropped it. ``answer``: what the command said. ``policy``: by which it was
    signed, if by one; ``held``: why the last one that fitted did not sign it (``trusting``).
    """

    number: int
    job: str
    key: str
    run: int
    agent: str
    principal: str
    command: str
    arguments: Mapping[str, Any]
    why: str
    at_ms: int
    state: State
    member: str | None
    ended_ms: int | None
    answer: Mapping[str, Any] | None
    error: str | None
    policy: int | None
    held: str | None


def _proposal(row: tuple[Any, ...], now_ms: int) -> Proposal:
    (number, job, key, run, agent, principal, command, arguments, why, at, state, member, ended,
     answer, error, policy, held) = row  # fmt: skip
    if state == "open" and now_ms - at > EXPIRES_MS:
        state = "expired"
    return Proposal(
        number, job, key, run, agent, principal, command, msgspec.json.decode(arguments), why, at,
        state, member, ended, msgspec.json.decode(answer) if answer else None, error, policy, held,
    )  # fmt: skip


def listed(queue: Queue, *, every: bool, most: int) -> list[Proposal]:
    """The newest first; ``every``: with those that are decided."""
    where = "" if every else "WHERE state IN ('open', 'signing')"
    query = f"SELECT {_COLUMNS} FROM proposals {where} ORDER BY proposal DESC LIMIT ?"  # noqa: S608 - our own words
    found = [_proposal(row, queue.now()) for row in queue.rows(query, most)]
    return [one for one in found if every or one.state != "expired"]


def one(queue: Queue, number: int) -> Proposal:
    """Raises ``NoProposal``."""
    rows = queue.rows(f"SELECT {_COLUMNS} FROM proposals WHERE proposal = ?", number)  # noqa: S608 - our own words
    if not rows:
        raise NoProposal(proposal=number)
    return _proposal(rows[0], queue.now())


def of_run(queue: Queue, run: int) -> list[Proposal]:
    """What a run has proposed that nobody has decided on, the oldest first."""
    query = f"SELECT {_COLUMNS} FROM proposals WHERE run = ? AND state = 'open' ORDER BY proposal"  # noqa: S608 - our own words
    found = [_proposal(row, queue.now()) for row in queue.rows(query, run)]
    return [one for one in found if one.state == "open"]


def undecided(queue: Queue, job: str) -> list[Proposal]:
    """What a job has proposed that nobody has decided on, the newest first."""
    where = "WHERE job = ? AND state = 'open' ORDER BY proposal DESC LIMIT 1000"
    query = f"SELECT {_COLUMNS} FROM proposals {where}"  # noqa: S608 - our own words
    found = [_proposal(row, queue.now()) for row in queue.rows(query, job)]
    return [one for one in found if one.state == "open"]


def hold(queue: Queue, number: int, why: str) -> None:
    """Why a policy that fits it did not sign it; it waits for a member."""
    with queue.transaction() as file:
        file.execute("UPDATE proposals SET held = ? WHERE proposal = ?", (why, number))


def begin(queue: Queue, number: int, member: str | None, policy: int | None = None) -> Proposal:
    """It is being signed from now on; ``policy``: by which. Raises ``NoProposal``, ``Decided``."""
    found = one(queue, number)
    if found.state != "open":
        raise Decided(proposal=number, state=found.state)
    with queue.transaction() as file:
        file.execute(
            "UPDATE proposals SET state = 'signing', member = ?, policy = ?, held = NULL,"
            " error = NULL WHERE proposal = ?",
            (member, policy, number),
        )
    return found


def note(queue: Queue, number: int, written: Sequence[bytes]) -> None:
    """These operations are about to be stored, of this proposal."""
    with queue.transaction() as file:
        file.executemany(
            "INSERT OR IGNORE INTO proposed VALUES (?,?)", [(ident, number) for ident in written]
        )


def noted(queue: Queue, number: int) -> list[bytes]:
    """What was about to be stored of it."""
    return [row[0] for row in queue.rows("SELECT written FROM proposed WHERE proposal = ?", number)]


def signed(queue: Queue, number: int, answer: Mapping[str, object], error: str | None) -> None:
    """It had its effect."""
    with queue.transaction() as file:
        file.execute(
            "UPDATE proposals SET state = 'signed', ended_ms = ?, answer = ?, error = ?"
            " WHERE proposal = ?",
            (queue.now(), msgspec.json.encode(answer), error, number),
        )


def reopened(queue: Queue, number: int, error: str | None) -> None:
    """It had none: whoever wants may sign it again."""
    with queue.transaction() as file:
        file.execute("DELETE FROM proposed WHERE proposal = ?", (number,))
        file.execute(
            "UPDATE proposals SET state = 'open', member = NULL, policy = NULL, error = ?"
            " WHERE proposal = ?",
            (error and error[:500], number),
        )


def dropped(queue: Queue, number: int) -> Proposal:
    """Nobody will sign it. Raises ``NoProposal``, ``Decided``."""
    found = one(queue, number)
    if found.state not in {"open", "expired"}:
        raise Decided(proposal=number, state=found.state)
    with queue.transaction() as file:
        file.execute(
            "UPDATE proposals SET state = 'dropped', ended_ms = ? WHERE proposal = ?",
            (queue.now(), number),
        )
    return found


def interrupted(queue: Queue) -> list[Proposal]:
    """Those that somebody was signing; by nobody now, they are what a crash left."""
    query = f"SELECT {_COLUMNS} FROM proposals WHERE state = 'signing'"  # noqa: S608 - our own words
    return [_proposal(row, queue.now()) for row in queue.rows(query)]


def of_operation(queue: Queue, ident: bytes) -> Proposal | None:
    """The proposal of which an operation came, if it came of one on this node."""
    rows = queue.rows("SELECT proposal FROM proposed WHERE written = ?", ident)
    return one(queue, rows[0][0]) if rows else None
