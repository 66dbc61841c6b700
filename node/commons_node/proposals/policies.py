"""Policies in the file of jobs: whom an agent may have sign what, how often in a day, until when.

A policy is one member's word for one agent and one act. It covers what is proposed after it, as
long as the agent is of the same publisher and may do no more than it might then. What ends stays
ended: with the agent, with the member, by a word of anybody at this node.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.agents.grants import within
from commons_node.agents.manifest import Grant
from commons_node.jobs import windows
from commons_node.jobs.queue import Queue
from commons_node.proposals import store
from commons_node.proposals.store import Proposal

DAYS: Final = 90
"""How long one counts where nothing is said."""
MOST_DAYS: Final = 366
EACH_DAY: Final = 5
MOST_EACH_DAY: Final = 100
End = Literal["distrusted", "replaced", "over", "suspended", "removed", "left", "restored"]
_COLUMNS: Final = (
    "policy, agent, principal, member, device, publisher, package, granted, command, each_day,"
    " until_ms, made_ms, newest, ended_ms, ended"
)


class NotCovered(CommonsError):
    """The policy {policy} does not cover that any more."""

    code = "not_covered"
    hint = "commons-node agent list"


@dataclass(frozen=True, slots=True)
class Policy:
    """One of them. ``member``, ``device``: who signs, and with which device, in hex.

    ``publisher``, ``granted``: of the agent and what it might do when this was said; ``package``
    likewise, for whoever looks back. ``newest``: the last proposal before it.
    """

    number: int
    agent: str
    principal: str
    member: str
    device: str
    publisher: str
    package: str
    granted: Mapping[str, Grant]
    command: str
    each_day: int
    until_ms: int
    made_ms: int
    newest: int
    ended_ms: int | None
    ended: End | None

    def covers(self, publisher: str, granted: Mapping[str, Grant]) -> bool:
        """Whether an agent as it is now is no other, and may do no more, than it was then."""
        return publisher == self.publisher and all(
            method in self.granted and within(now, self.granted[method])
            for method, now in granted.items()
        )


def _policy(row: tuple[Any, ...]) -> Policy:
    (number, agent, principal, member, device, publisher, package, granted, command, each_day,
     until, made, newest, ended_ms, ended) = row  # fmt: skip
    return Policy(
        number, agent, principal, member, device, publisher, package,
        msgspec.json.decode(granted, type=dict[str, Grant]), command, each_day, until, made,
        newest, ended_ms, ended,
    )  # fmt: skip


def make(queue: Queue, policy: Policy) -> Policy:
    """Keep it, in place of one that the same member has for the same act of the agent.

    Its number and what it follows are set here.
    """
    with queue.transaction() as file:
        end(
            queue, "replaced", agent=policy.agent, member=policy.member,
            principal=policy.principal, commands=(policy.command,),
        )  # fmt: skip
        ((newest,),) = queue.rows("SELECT coalesce(max(proposal), 0) FROM proposals")
        made = file.execute(
            f"INSERT INTO policies ({_COLUMNS}) VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,NULL,NULL)",  # noqa: S608 - our own words
            (policy.agent, policy.principal, policy.member, policy.device, policy.publisher,
             policy.package, msgspec.json.encode(policy.granted), policy.command,
             policy.each_day, policy.until_ms, policy.made_ms, newest),
        )  # fmt: skip
    return one(queue, int(made.lastrowid or 0))


def one(queue: Queue, number: int) -> Policy:
    """By its number. Raises ``NotCovered`` where there is none."""
    rows = queue.rows(f"SELECT {_COLUMNS} FROM policies WHERE policy = ?", number)  # noqa: S608 - our own words
    if not rows:
        raise NotCovered(policy=number)
    return _policy(rows[0])


def live(queue: Queue, agent: str | None = None) -> list[Policy]:
    """Those that have not ended, the oldest first; of one agent, or all."""
    over(queue)
    query = f"SELECT {_COLUMNS} FROM policies WHERE ended_ms IS NULL AND (?1 IS NULL OR agent = ?1)"  # noqa: S608 - our own words
    return [_policy(row) for row in queue.rows(f"{query} ORDER BY policy", agent)]


def over(queue: Queue) -> None:
    """End those whose time has passed; a clock that is set back revives none."""
    with queue.transaction() as file:
        file.execute(
            "UPDATE policies SET ended_ms = ?1, ended = 'over'"
            " WHERE ended_ms IS NULL AND (until_ms <= ?1 OR made_ms > ?1 + ?2)",
            (queue.now(), windows.DAY_MS),
        )


def end(
    queue: Queue,
    why: End,
    *,
    agent: str | None = None,
    member: str | None = None,
    principal: str | None = None,
    commands: Collection[str] = (),
) -> int:
    """End all that fit, at once and for good; how many."""
    wanted = {"agent": agent, "member": member, "principal": principal}
    given = [(name, value) for name, value in wanted.items() if value is not None]
    where = "".join(f" AND {name} = ?" for name, _ in given)
    if commands:
        where += f" AND command IN ({', '.join('?' * len(commands))})"
    with queue.transaction() as file:
        done = file.execute(
            f"UPDATE policies SET ended_ms = ?, ended = ? WHERE ended_ms IS NULL{where}",  # noqa: S608 - our own words
            (queue.now(), why, *(value for _, value in given), *commands),
        )
    return done.rowcount


def fitting(queue: Queue, proposal: Proposal) -> list[Policy]:
    """Those that speak of such a proposal: made before it, of its agent, community and act."""
    return [
        one
        for one in live(queue, proposal.agent)
        if one.principal == proposal.principal
        and one.command == proposal.command
        and one.newest < proposal.number
    ]


def used(queue: Queue, policy: Policy) -> int:
    """How many it has signed, or tried to, in the day that is open now."""
    return windows.look(queue, _window(policy.number), windows.DAY_MS).used


def take(queue: Queue, number: int, proposal: int) -> Proposal:
    """The proposal is being signed by this policy from now on, and is counted, whatever comes.

    Raises ``NotCovered`` where it has ended or has no more today; and as ``store.begin``.
    """
    with queue.transaction() as file:
        over(queue)
        policy = one(queue, number)
        if policy.ended_ms is not None or used(queue, policy) >= policy.each_day:
            raise NotCovered(policy=number)
        found = store.begin(queue, proposal, policy.member, number)
        windows.take(queue, file, _window(number), 1, windows.DAY_MS)
    return found


def _window(number: int) -> str:
    return f"policy/{number}"
