"""The verbs of shared agents: offer one to the community, see what is offered, take it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE
from commons_crdt.ids import MemberId
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_crdt.texts import N_, _
from commons_node.agents.house import Agents
from commons_node.agents.package import read
from commons_node.agents.refusals import AlreadyShared
from commons_node.community import Community, written
from commons_node.domains.agents.facts import CONTENT, PACKAGE, SINCE, Shared
from commons_node.domains.agents.offers import Offer, chosen, offers
from commons_node.domains.closing import needs_open
from commons_node.domains.needed import needs_rules
from commons_node.moments import moment
from commons_node.registry import (
    Column,
    Command,
    Complete,
    File,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_OFFERS = Complete("agent.offers", "offers", "agent")
_OTHER = N_("another publisher's agent of this name is installed here")
_SAME_NAME = N_("several publishers offer an agent of this name")


class Nothing(msgspec.Struct):
    """No arguments."""


class Share(msgspec.Struct):
    """Arguments of ``agent share``."""

    file: Annotated[File, argument("the signed package")]


class Withdraw(msgspec.Struct):
    """Arguments of ``agent withdraw``."""

    offer: Annotated[
        str, argument("the agent, by name or id, or the hash of a package", complete=_OFFERS)
    ]


async def share(request: Request[Daemon], args: Share) -> Mapping[str, object]:
    """Offer a signed package to the community."""
    package = read(args.file.data, signed=True)
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.MEMBER)
    needs_rules(community, SINCE, N_("agents"))
    await needs_open(community)
    manifest = package.manifest
    if any(one.package == package.hash for one in await offers(community)):
        raise AlreadyShared(agent=manifest.agent, version=manifest.version)
    draft = Draft.fact(
        PACKAGE,
        Shared(bytes.fromhex(manifest.publisher), manifest.name, manifest.version, package.hash),
        parts=[(CONTENT, args.file.data)],
    )
    (result,) = await community.write(actor, draft)
    return {
        **written(result),
        "agent": manifest.agent,
        "name": manifest.name,
        "version": manifest.version,
        "publisher": manifest.publisher,
        "package": package.hash.hex(),
        "bytes": len(args.file.data),
    }


async def list_offers(request: Request[Daemon], _args: Nothing) -> Reading:
    """The agents that members offer."""
    community = await request.node.community(request)
    found = await offers(community)
    names = await community.names()
    rows = [_row(request.node.agents, found, one, names) for one in found]
    return await community.reading({"offers": rows})


def _row(
    agents: Agents, found: list[Offer], one: Offer, names: Mapping[MemberId, str]
) -> dict[str, object]:
    part = one.part
    there = next((each for each in agents.all() if each.manifest.name == one.name), None)
    same = there is not None and there.manifest.publisher == one.publisher
    publishers = {each.publisher for each in found if each.name == one.name}
    note = ""
    if there is not None and not same:
        note = _(_OTHER)
    elif len(publishers) > 1:
        note = _(_SAME_NAME)
    return {
        "offer": one.id.hex(),
        "agent": one.agent,
        "name": one.name,
        "version": one.version,
        "publisher": one.publisher,
        "package": one.package.hex(),
        "bytes": part.length - SALT_BYTES if part is not None else None,
        "here": part is None or part.whole,
        "installed": there.manifest.version if there is not None and same else None,
        "note": note or None,
        "member": one.member.hex(),
        "member_name": names.get(one.member),
        "time": moment(one.time_ms),
    }


async def withdraw(request: Request[Daemon], args: Withdraw) -> Mapping[str, object]:
    """Take an offer back, on every node; who has installed the agent keeps it."""
    community: Community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    one = chosen(await offers(community), args.offer)
    if one.member != actor.member:
        actor.needs(Role.COORDINATOR)
    draft = Draft.fact(ERASURE, Erasure(one.id), document=one.document, refs=[one.id])
    (result,) = await community.write(actor, draft)
    return {**written(result), "agent": one.agent, "version": one.version, "offer": one.id.hex()}


VERBS = Registry(
    commands=(
        Command("agent.share", "Offer a signed package to the community.", Share, share,
                says="{agent} {version} is offered to the community.", member=True,
                timeout_s=120.0),
        Command("agent.withdraw", "Take an offered agent back, on every node.", Withdraw, withdraw,
                says="{agent} {version} is not offered any more.", member=True,
                asks="Take the offer {offer} back on every node?"),
    ),
    views=(
        View("agent.offers", "The agents that members offer.", Nothing, list_offers,
             table=Table("offers", (Column("agent", "Agent"), Column("version", "Version"),
                                    Column("member_name", "By"), Column("here", "Here", "yes"),
                                    Column("installed", "Installed"), Column("note", "Note")),
                         "Nobody offers one.")),
    ),
    nouns={"agent": "small programs that this node runs, within what was granted"},
)  # fmt: skip
