"""`proposal …`: what agents want done, seen, signed and dropped by members."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from commons_crdt.ids import MemberId
from commons_crdt.texts import N_, _
from commons_node.moments import moment
from commons_node.proposals import store
from commons_node.proposals.store import Proposal
from commons_node.proposals.trust_verbs import REGISTRY as TRUST
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Count,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
    merge,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_PROPOSALS: Final = Complete("proposal.list", "proposals", "proposal")
MOST: Final = 1_000
_ID: Final = re.compile(r"[0-9a-f]{64}")


class Listing(msgspec.Struct):
    """Arguments of ``proposal list``."""

    all: Annotated[bool, option("with those that are decided")] = False


class One(msgspec.Struct):
    """Arguments of the others."""

    proposal: Annotated[Count, argument("its number", complete=_PROPOSALS)]


async def _row(request: Request[Daemon], one: Proposal) -> dict[str, object]:
    daemon = request.node
    asked = Request(daemon, community=one.principal)
    community = await daemon.community(asked) if daemon.communities else None
    names = await community.names() if community is not None else {}
    command = daemon.jobs.registry.command(one.command)
    words = ", ".join(f"{name} {_short(value)}" for name, value in one.arguments.items())
    held = await daemon.jobs.trusting.held(one)
    return {
        "proposal": one.number,
        "agent": one.agent,
        "principal": one.principal,
        "principal_name": await community.name() if community is not None else None,
        "job": one.job,
        "run": one.run,
        "key": one.key,
        "command": one.command,
        "args": one.arguments,
        "act": f"{one.command.replace('.', ' ')}: {words}" if words else one.command,
        "summary": _(command.summary) if command is not None else None,
        "why": one.why,
        "time": moment(one.at_ms),
        "state": one.state,
        "by": one.member,
        "by_name": names.get(MemberId(bytes.fromhex(one.member))) if one.member else None,
        "ended": moment(one.ended_ms),
        "operation": (one.answer or {}).get("operation"),
        "error": one.error,
        "policy": await daemon.jobs.trusting.of(one),
        "held": held,
        "stands": held or one.state,
        "next_action": _(_NEXT).format(proposal=one.number) if one.state == "open" else None,
    }


_NEXT: Final = N_(
    "commons-node proposal sign {proposal}; to say no: commons-node proposal drop {proposal}"
)


def _short(value: object) -> object:
    """Of an id as much as people need to know it by."""
    return value[:12] if isinstance(value, str) and _ID.fullmatch(value) else value


async def list_proposals(request: Request[Daemon], args: Listing) -> Reading:
    """The newest first."""
    jobs = request.node.jobs
    await jobs.signing.look_back()
    found = await jobs.scheduler.desk.call(
        lambda queue: store.listed(queue, every=args.all, most=MOST)
    )
    waits = any(one.state == "open" for one in found)
    return Reading(
        {
            "proposals": [await _row(request, one) for one in found],
            "next_action": _(_NEXT).format(proposal="N") if waits else None,
        }
    )


async def show(request: Request[Daemon], args: One) -> Reading:
    """One of them."""
    jobs = request.node.jobs
    await jobs.signing.look_back()
    found = await jobs.scheduler.desk.call(lambda queue: store.one(queue, args.proposal))
    return Reading(await _row(request, found))


async def sign(request: Request[Daemon], args: One) -> Mapping[str, object]:
    """Do what it says, in the name of the member who is unlocked here."""
    found, answer = await request.node.jobs.signing.sign(request, args.proposal)
    return {"proposal": found.number, "agent": found.agent, "command": found.command, **answer}


async def drop(request: Request[Daemon], args: One) -> Mapping[str, object]:
    """Nobody will do it."""
    desk = request.node.jobs.scheduler.desk
    found = await desk.call(lambda queue: store.dropped(queue, args.proposal))
    return {"proposal": found.number, "agent": found.agent, "state": "dropped"}


_HERE = Registry(
    commands=(
        Command("proposal.sign", "Do what an agent proposes, signed by you.", One, sign,
                says=("Proposal {again} was signed before: {operation:id}.",
                      "You signed proposal {proposal} of {agent}: {command}, {operation:id}.",
                      "You signed proposal {proposal} of {agent}: {command}."), member=True),
        Command("proposal.drop", "Say no to what an agent proposes.", One, drop,
                says="Proposal {proposal} of {agent} is dropped."),
    ),
    views=(
        View("proposal.list", "What agents propose.", Listing, list_proposals,
             says="next: {next_action}",
             table=Table("proposals", (Column("proposal", "Proposal", "number"),
                                       Column("agent", "Agent"), Column("act", "What"),
                                       Column("why", "Why"), Column("stands", "State", "word"),
                                       Column("time", "Since", "time")),
                         "No agent proposes anything.")),
        View("proposal.show", "One proposal of an agent.", One, show,
             says=(("{agent}, for {principal_name}: {act}\n{summary}\n{why}\nstate {state}\n"
                    "It is trusted with that, but {held}.\nnext: {next_action}"),
                   ("{agent}, for {principal_name}: {act}\n{summary}\n{why}\nstate {state}\n"
                    "next: {next_action}"),
                   "{agent}, for {principal_name}: {act}\n{summary}\n{why}\nstate {state}")),
    ),
    nouns={"proposal": "what agents want done, for a member to sign"},
)  # fmt: skip
REGISTRY = merge([_HERE, TRUST])
