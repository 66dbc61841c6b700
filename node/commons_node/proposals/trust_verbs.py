"""`agent trust` and `agent distrust`: a member's word that an agent's proposals be signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.agents.house import Installed
from commons_node.agents.refusals import Suspended
from commons_node.jobs.windows import DAY_MS
from commons_node.moments import moment
from commons_node.proposals import policies
from commons_node.proposals.policies import EACH_DAY, MOST_DAYS, MOST_EACH_DAY, Policy
from commons_node.registry import Command, Complete, Registry, Request, argument, option

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_AGENTS: Final = Complete("agent.list", "agents", "name")


class NotTrustable(CommonsError):
    """No agent can be trusted with {act}."""

    code = "not_trustable"
    hint = "only with {acts}; anything else: commons-node proposal sign"


class NotProposing(CommonsError):
    """{agent} may not propose {act}."""

    code = "usage"
    hint = "commons-node agent show {agent}"
    status = "usage"


class LimitedDevice(CommonsError):
    """This device of yours may write a few things only: it trusts nobody in your name."""

    code = "limit"
    hint = "say it with another device of yours"
    status = "locked"


class BadUntil(CommonsError):
    """The time is wrong: {why}"""

    code = "usage"
    hint = "for example --until 2027-01-01"
    status = "usage"


class Trust(msgspec.Struct):
    """Arguments of ``agent trust``."""

    agent: Annotated[str, argument("the agent, by name or id", complete=_AGENTS)]
    acts: Annotated[
        Annotated[list[str], msgspec.Meta(min_length=1, max_length=16)],
        argument("what it may have signed, such as loan.approve"),
    ]
    each_day: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=MOST_EACH_DAY)],
        option("how many of each in a day"),
    ] = EACH_DAY
    until: Annotated[datetime | None, option("until when; otherwise for 90 days")] = None


class Distrust(msgspec.Struct):
    """Arguments of ``agent distrust``."""

    agent: Annotated[str, argument("the agent, by name or id", complete=_AGENTS)]
    acts: Annotated[list[str], argument("only with these acts; otherwise with all")] = []


async def trust(request: Request[Daemon], args: Trust) -> Mapping[str, object]:
    """From now on, sign what it proposes of these acts in the member's name."""
    daemon = request.node
    one = daemon.agents.find(args.agent)
    if one.state == "suspended":
        raise Suspended(agent=one.agent, why=one.why, next=one.next_action)
    acts = _acts(daemon, one, args.acts)
    asked = Request(daemon, one.community, request.member, request.session)
    community = await daemon.community(asked)
    actor = await daemon.actor(asked, community)
    if community.realm.judge.authority.grants[actor.grant].limit is not None:
        raise LimitedDevice
    now = daemon.now_ms()
    until = _until(args.until, now)
    trusting = daemon.jobs.trusting
    made = [
        await trusting.make(Policy(
            0, one.agent, one.community, actor.member.hex(), actor.device.hex(),
            one.manifest.publisher, one.package, one.granted, act, args.each_day, until, now,
            0, None, None,
        ))
        for act in acts
    ]  # fmt: skip
    _tell(daemon, one)
    return {
        "agent": one.agent, "name": one.manifest.name, "acts": acts, "told": ", ".join(acts),
        "each_day": args.each_day, "until": moment(until), "member": actor.member.hex(),
        "community": one.community, "policies": [policy.number for policy in made],
    }  # fmt: skip


def _acts(daemon: Daemon, one: Installed, acts: Sequence[str]) -> list[str]:
    known = daemon.jobs.trusting.acts
    granted = one.granted.get("docs.propose")
    for act in acts:
        if act not in known:
            raise NotTrustable(act=act, acts=", ".join(known))
        if granted is None or act not in (granted.kinds or ()):
            raise NotProposing(agent=one.agent, act=act)
    return list(dict.fromkeys(acts))


def _until(given: datetime | None, now: int) -> int:
    if given is None:
        return now + policies.DAYS * DAY_MS
    local = given if given.tzinfo is not None else given.replace(tzinfo=UTC)
    until = int(local.timestamp() * 1000)
    if until <= now:
        raise BadUntil(why=_("it has passed"))
    if until > now + MOST_DAYS * DAY_MS:
        raise BadUntil(
            why=_("nobody is trusted for longer than {days} days").format(days=MOST_DAYS)
        )
    return until


async def distrust(request: Request[Daemon], args: Distrust) -> Mapping[str, object]:
    """Sign nothing more for it: at once, and for everybody unless ``--as`` says who."""
    daemon = request.node
    one = daemon.agents.find(args.agent)
    member = None
    if request.member is not None:
        community = await daemon.community(Request(daemon, one.community))
        member = (await community.member(request.member)).hex()
    count = await daemon.jobs.scheduler.desk.call(
        lambda queue: policies.end(
            queue, "distrusted", agent=one.agent, member=member, commands=args.acts
        )
    )
    _tell(daemon, one)
    return {"agent": one.agent, "name": one.manifest.name, "count": count}


def _tell(daemon: Daemon, one: Installed) -> None:
    daemon.events.publish("agent", {"agent": one.agent, "state": one.state})


REGISTRY = Registry(
    commands=(
        Command("agent.trust", "Have what an agent proposes signed in your name.", Trust, trust,
                says="Until {until:time}, what {agent} proposes of {told} is signed in your name"
                " while you are unlocked: at most {each_day} of each in a day.",
                asks="Let the agent {agent} act in your name, without asking you each time:"
                " {acts}?", member=True),
        Command("agent.distrust", "Have nothing more signed that an agent proposes.", Distrust,
                distrust, says="Nothing is signed for {agent} any more; what was ended: {count}."),
    ),
)  # fmt: skip
