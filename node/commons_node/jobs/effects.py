"""What a run wants to be true: kept in one transaction with its completion, or not at all.

Each has an operation id, the same at every attempt; (job, operation) is kept once for as long as it
is remembered (``history.KEYS_MS``, ``history.KEYS``), so that a run that is done twice by a crash
has its effects once. Effects of this file are local; all others
(``outbox``) are letters, delivered at least once with the same key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from commons_crdt.errors import CommonsError
from commons_node.jobs.agent_effects import keep_proposal, keep_value

MOST_KEPT: Final = 256
"""Values that one job may keep."""
_NOTICES: Final = 200
"""Notices that stay of one job."""
_SAMPLES_MS: Final = 30 * 86_400_000
"""How long samples stay."""


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that shall be so. ``body`` by kind: see the functions below."""

    kind: Annotated[str, Meta(max_length=32)]
    operation: Annotated[str, Meta(min_length=1, max_length=200)]
    body: Mapping[str, object]


class BadEffect(CommonsError):
    """The effect {operation} of kind {kind} cannot be kept: {why}."""

    code = "bad_effect"


class _Keep(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=128)]
    value: object


class _Notice(msgspec.Struct, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=2_000)]
    about: Mapping[str, object] = {}


class _Sample(msgspec.Struct, forbid_unknown_fields=True):
    values: Annotated[Mapping[str, float], Meta(max_length=100)]
    agent: str | None = None
    principal: str | None = None


class _Letter(msgspec.Struct, forbid_unknown_fields=True):
    to: Annotated[str, Meta(max_length=64)]
    body: Mapping[str, object]
    agent: str | None = None
    principal: str | None = None


def _keep(file: sqlite3.Connection, job: str, _run: int, _now: int, effect: Effect) -> None:
    given = msgspec.convert(effect.body, _Keep)
    file.execute(
        "INSERT OR REPLACE INTO kept VALUES (?,?,?)",
        (job, given.name, msgspec.json.encode(given.value)),
    )
    ((held,),) = file.execute("SELECT count(*) FROM kept WHERE job = ?", (job,))
    if held > MOST_KEPT:
        raise ValueError(f"a job keeps at most {MOST_KEPT} values")


def _notice(file: sqlite3.Connection, job: str, run: int, now: int, effect: Effect) -> None:
    given = msgspec.convert(effect.body, _Notice)
    file.execute(
        "INSERT INTO notices (job, run, at_ms, text, about) VALUES (?,?,?,?,?)",
        (job, run, now, given.text, msgspec.json.encode(given.about)),
    )
    file.execute(
        "DELETE FROM notices WHERE notice IN (SELECT notice FROM notices WHERE job = ?"
        " ORDER BY notice DESC LIMIT -1 OFFSET ?)",
        (job, _NOTICES),
    )


def _sample(file: sqlite3.Connection, job: str, _run: int, now: int, effect: Effect) -> None:
    given = msgspec.convert(effect.body, _Sample)
    file.executemany(
        "INSERT OR REPLACE INTO samples (job, at_ms, name, value, agent, principal)"
        " VALUES (?,?,?,?,?,?)",
        [
            (job, now, name, value, given.agent, given.principal)
            for name, value in given.values.items()
        ],
    )
    file.execute("DELETE FROM samples WHERE job = ? AND at_ms < ?", (job, now - _SAMPLES_MS))


def _outbox(file: sqlite3.Connection, job: str, _run: int, now: int, effect: Effect) -> None:
    given = msgspec.convert(effect.body, _Letter)
    file.execute(
        "INSERT INTO outbox (job, operation, kind, body, state, attempts, not_before_ms, delay_ms,"
        " agent, principal) VALUES (?,?,?,?,'ready',0,?,0,?,?)",
        (job, effect.operation, given.to, msgspec.json.encode(given.body), now, given.agent,
         given.principal),
    )  # fmt: skip


KINDS: Final[Mapping[str, Callable[[sqlite3.Connection, str, int, int, Effect], None]]] = {
    "keep": _keep,
    "notice": _notice,
    "sample": _sample,
    "outbox": _outbox,
    "kv": keep_value,
    "proposal": keep_proposal,
}
"""keep {name, value}; notice {text, about}; sample {values}; outbox {to, body}, both with ``agent``
and ``principal`` where it is an agent's; of agents kv and proposal, see `agent_effects`.
"""


def commit(
    file: sqlite3.Connection, job: str, run: int, now: int, effects: Sequence[Effect]
) -> int:
    """Keep those that are not kept yet, within the caller's transaction; how many were new.

    Raises ``BadEffect``: then nothing of the run may be kept.
    """
    new = 0
    for effect in effects:
        keep = KINDS.get(effect.kind)
        if keep is None:
            why = f"the kinds are {', '.join(KINDS)}"
            raise BadEffect(operation=effect.operation, kind=effect.kind, why=why)
        done = file.execute(
            "INSERT OR IGNORE INTO effects VALUES (?,?,?,?,?)",
            (job, effect.operation, run, effect.kind, now),
        )
        if not done.rowcount:
            continue
        try:
            keep(file, job, run, now, effect)
        # IntegrityError: what stands there already under this key; it is no fault of the disk
        except (ValueError, TypeError, sqlite3.IntegrityError) as error:
            raise BadEffect(operation=effect.operation, kind=effect.kind, why=error) from error
        new += 1
    return new
