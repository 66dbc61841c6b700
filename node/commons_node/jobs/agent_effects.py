"""Effects that only agents have: what they keep, and what they propose. See ``effects``."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from commons_node.jobs.effects import Effect


EXPIRES_MS: Final = 30 * 86_400_000
"""A proposal that nobody has decided on by then is nobody's wish any more."""


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    agent: str
    name: str
    quota: int
    value: Any = None
    gone: bool = False


class _Proposal(msgspec.Struct, forbid_unknown_fields=True):
    agent: str
    principal: str
    command: str
    args: dict[str, Any]
    why: str


def keep_value(file: sqlite3.Connection, _job: str, _run: int, _now: int, effect: Effect) -> None:
    """``kv`` {agent, name, value, gone, quota}; a run beside it may have used up the quota."""
    given = msgspec.convert(effect.body, _Kept)
    if given.gone:
        file.execute("DELETE FROM kv WHERE agent = ? AND name = ?", (given.agent, given.name))
        return
    value = msgspec.json.encode(given.value)
    file.execute("INSERT OR REPLACE INTO kv VALUES (?,?,?)", (given.agent, given.name, value))
    ((held,),) = file.execute(
        "SELECT coalesce(sum(length(CAST(name AS BLOB)) + length(value)), 0) FROM kv"
        " WHERE agent = ?",
        (given.agent,),
    )
    if held > given.quota:
        raise ValueError(f"the agent's store has {held} bytes, of {given.quota} at most")


def keep_proposal(file: sqlite3.Connection, job: str, run: int, now: int, effect: Effect) -> None:
    """``proposal`` {agent, principal, command, args, why}: for a member to sign, or nobody."""
    given = msgspec.convert(effect.body, _Proposal)
    file.execute(
        "INSERT INTO proposals (job, operation, run, agent, principal, command, arguments, why,"
        " at_ms, state) VALUES (?,?,?,?,?,?,?,?,?,'open')",
        (job, effect.operation, run, given.agent, given.principal, given.command,
         msgspec.json.encode(given.args), given.why, now),
    )  # fmt: skip
