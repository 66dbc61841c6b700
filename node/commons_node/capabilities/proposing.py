"""``docs.propose``: an agent says what somebody might do; a member signs it, or nobody does.

Only what the community can undo or live with may be proposed: acts on things, loans and places. No
agent proposes anything about members, keys, the council or this node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from commons_node.agents.manifest import Grant
from commons_node.api.arguments import (
    BadArgument,
    BadJson,
    MissingArgument,
    UnknownField,
    from_body,
)
from commons_node.capabilities.capability import Calling, Capability
from commons_node.capabilities.refusals import BadParameters, NotGranted, TooMuch
from commons_node.jobs.agent_effects import EXPIRES_MS
from commons_node.registry import Command, Registry, describe_arguments

_NOUNS: Final = frozenset({"loan", "resource", "space"})
_PLAIN: Final = frozenset({"text", "integer", "number", "flag", "choice", "time", "duration"})
_MIXED: Final = frozenset({"file-or-text"})
"""Of these only the text may be given."""
MOST_OPEN: Final = 200
"""Proposals of one agent that nobody has decided on."""
_BYTES: Final = 16 << 10


class Propose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``command``: such as ``loan.decline``. ``args``: its arguments, as the API takes them.
    ``why``: what the member reads who decides. ``key``: what it is about, so that it is proposed
    once.
    """

    command: Annotated[str, Meta(max_length=64)]
    args: dict[str, Any] = {}
    why: Annotated[str, Meta(max_length=1_000)] = ""
    key: str = ""


def proposable(registry: Registry) -> dict[str, Command]:
    """The commands that an agent may propose: acts of a member that need nothing but words."""
    return {
        one.name: one
        for one in registry.commands
        if one.member
        and not one.opens_session
        and one.name.partition(".")[0] in _NOUNS
        and all(
            str(arg["kind"]) in _PLAIN | _MIXED
            for arg in describe_arguments(one)
            if arg.get("required")
        )
    }


def trustable(acts: Mapping[str, Command]) -> tuple[str, ...]:
    """Those that a member may have signed beforehand; what is asked about first, never."""
    return tuple(sorted(name for name, one in acts.items() if one.trustable and not one.asks))


def checked(command: Command, args: dict[str, Any]) -> None:
    """Raises ``BadParameters`` for arguments that the command would not take, or of a file."""
    described = describe_arguments(command)
    kinds = {str(one["name"]): str(one["kind"]) for one in described}
    for name, value in args.items():
        kind = kinds.get(name, "text")
        if kind not in _PLAIN | _MIXED or (kind in _MIXED and not isinstance(value, str)):
            raise BadParameters(method="docs.propose", why=f"{name}: an agent proposes no files")
    try:
        from_body(command, described, msgspec.json.encode(args))
    except (BadArgument, BadJson, MissingArgument, UnknownField) as error:
        raise BadParameters(method="docs.propose", why=error) from None


async def propose(calling: Calling, grant: Grant, params: Propose) -> object:
    """Kept with the end of the run, for somebody to sign."""
    command = calling.inside.acts.get(params.command)
    if command is None or params.command not in (grant.kinds or ()):
        raise NotGranted(method="docs.propose", why=f"the command {params.command!r}")
    checked(command, params.args)
    if len(msgspec.json.encode(params.args)) > _BYTES:
        raise TooMuch(method="docs.propose", why=f"arguments of more than {_BYTES} bytes")
    agent = calling.agent
    ((waiting,),) = await calling.inside.desk.call(
        lambda queue: queue.rows(
            "SELECT count(*) FROM proposals WHERE agent = ? AND state = 'open' AND at_ms > ?",
            agent,
            queue.now() - EXPIRES_MS,
        )
    )
    mine = sum(one.kind == "proposal" for one in calling.effects)
    if waiting + mine >= MOST_OPEN:
        raise TooMuch(method="docs.propose", why=f"{MOST_OPEN} proposals wait for somebody already")
    key = calling.want(
        "docs.propose", "proposal", params.key,
        {**calling.whose, "command": params.command, "args": params.args, "why": params.why},
    )  # fmt: skip
    return {"key": key}


CAPABILITIES: Final = (
    Capability(
        "docs.propose", "Propose an act; a member signs it, or nobody does.", Propose, "`{key}`",
        propose, ("kinds", "max_bytes"), 5, effect=True, needs=("kinds",),
    ),
)  # fmt: skip
