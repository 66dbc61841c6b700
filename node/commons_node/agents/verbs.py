"""`agent …`: what a host does with agents: install, agree, look, pause, remove."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from commons_node.agents import screen, wording
from commons_node.agents.authoring import REGISTRY as AUTHORING
from commons_node.agents.house import Installed
from commons_node.agents.package import Package, read
from commons_node.domains.agents.offers import chosen, fetched, offers
from commons_node.jobs import showing
from commons_node.jobs.outbox import count_ready
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
    merge,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_AGENTS: Final = Complete("agent.list", "agents", "name")
_WITHOUT: Final = "withhold this capability, such as http.fetch"
_AGREE: Final = "agree to just what was shown: the word that a refusal answers as `agree`"


class Nothing(msgspec.Struct):
    """No arguments."""


class Install(msgspec.Struct):
    """Arguments of ``agent install``."""

    package: Annotated[
        File | str, argument("a signed package, or the name of an agent that a member offers")
    ]
    without: Annotated[list[str], option(_WITHOUT, metavar="CAPABILITY")] = []
    agree: Annotated[str | None, option(_AGREE, metavar="WORD")] = None


class Grant(msgspec.Struct):
    """Arguments of ``agent grant``."""

    agent: Annotated[str, argument("the agent, by name or id", complete=_AGENTS)]
    without: Annotated[list[str], option(_WITHOUT, metavar="CAPABILITY")] = []
    agree: Annotated[str | None, option(_AGREE, metavar="WORD")] = None


class One(msgspec.Struct):
    """Arguments of verbs about one agent."""

    agent: Annotated[str, argument("the agent, by name or id", complete=_AGENTS)]


class Set(msgspec.Struct):
    """Arguments of ``agent set``."""

    agent: Annotated[str, argument("the agent, by name or id", complete=_AGENTS)]
    settings: Annotated[list[str], argument("KEY=VALUE; KEY= for the default")]


async def install(request: Request[Daemon], args: Install) -> Mapping[str, object]:
    """Install an agent, or another version of one that is here."""
    node = request.node
    package, data = await _package(request, args.package)
    manifest, name = package.manifest, package.hash.hex()
    former = node.agents.check(package)
    if former is None:
        community: bytes = (await node.community(request)).realm.realm
        screen.needs_agreement(manifest, name, community.hex(), args.without, args.agree)
        agreed = before = None
    else:
        community, agreed, before = former.community, former.approval, former.manifest
    found = await node.agents.install(package, data, community, node.now_ms(), args.without)
    _tell(node, found)
    answer: dict[str, object] = _answer(found)
    answer["goes_on"] = node.jobs.preparing.state != "ready"  # there is nothing to wait for
    if agreed is None:
        return answer
    shown = screen.of_package(manifest, agreed, before, agreed.withheld)
    changes = {key: shown[key] for key in ("permissions", "limits", "former")}
    return {**answer, **changes, "waits": found.why or None}


async def _package(request: Request[Daemon], given: File | str) -> tuple[Package, bytes]:
    """A package from a file, or from whoever has what a member offers."""
    if isinstance(given, File):
        return read(given.data, signed=True), given.data
    community = await request.node.community(request)
    offer = chosen(await offers(community), given)
    return await fetched(request.node, community, offer)


async def prepare(request: Request[Daemon], _args: Nothing) -> Mapping[str, object]:
    """Wait until what agents run on is compiled; at once where it is."""
    preparing = request.node.jobs.preparing
    began, before = time.monotonic(), preparing.made
    await preparing.prepare()
    seconds = round(time.monotonic() - began) if preparing.made > before else None
    return {"state": preparing.state, "seconds": seconds}


async def grant(request: Request[Daemon], args: Grant) -> Mapping[str, object]:
    """Agree to what an agent asks for, or to some of it."""
    agents = request.node.agents
    one = agents.find(args.agent)
    screen.needs_agreement(
        one.manifest, one.package, one.community, args.without, args.agree,
        agents.approval(one.agent),
    )  # fmt: skip
    found = await agents.grant(one.agent, args.without)
    _tell(request.node, found)
    return _answer(found)


async def put(request: Request[Daemon], args: Set) -> Mapping[str, object]:
    """Change settings of an agent, for its next runs."""
    agents = request.node.agents
    found = await agents.set(agents.find(args.agent).agent, args.settings)
    _tell(request.node, found)
    return {"agent": found.agent, "name": found.manifest.name, "settings": dict(found.settings),
            "set": _settings(found)}  # fmt: skip


async def pause(request: Request[Daemon], args: One) -> Mapping[str, object]:
    """Begin no run of it."""
    agents = request.node.agents
    found = await agents.pause(agents.find(args.agent).agent, paused=True)
    _tell(request.node, found)
    return _answer(found)


async def resume(request: Request[Daemon], args: One) -> Mapping[str, object]:
    """Begin runs of it again."""
    agents = request.node.agents
    found = await agents.pause(agents.find(args.agent).agent, paused=False)
    _tell(request.node, found)
    return _answer(found)


async def remove(request: Request[Daemon], args: One) -> Mapping[str, object]:
    """Remove an agent, with what it was granted."""
    agents = request.node.agents
    found = agents.find(args.agent)
    await agents.remove(found.agent)
    request.node.events.publish("agent", {"agent": found.agent, "state": "removed"})
    return {**_answer(found), "state": "removed", "granted": []}


def _tell(node: Daemon, found: Installed) -> None:
    node.events.publish("agent", {"agent": found.agent, "state": found.state})


def _answer(found: Installed) -> dict[str, object]:
    manifest = found.manifest
    return {
        "agent": found.agent,
        "name": manifest.name,
        "version": manifest.version,
        "publisher": manifest.publisher,
        "package": found.package,
        "job": found.job,
        "community": found.community,
        "state": found.state,
        "why": found.why or None,
        "next_action": found.next_action or None,
        "granted": sorted(found.granted),
    }


async def list_agents(request: Request[Daemon], _args: Nothing) -> Reading:
    """All agents of this node."""
    return Reading({"agents": [await _row(request.node, one) for one in request.node.agents.all()]})


async def _row(node: Daemon, one: Installed) -> dict[str, Any]:
    scheduler = node.jobs.scheduler
    job = scheduler.jobs.get(one.job)
    runs = await showing.job_row(scheduler, job) if job is not None else {}
    fields = ("next", "last", "last_state", "waiting", "dead", "credits")
    return {
        **_answer(one),
        "summary": one.manifest.summary,
        "installed": moment(one.installed_ms),
        **{name: runs.get(name) for name in fields},
    }


async def show(request: Request[Daemon], args: One) -> Reading:
    """One agent: what it is, what it may do, and what one run may take."""
    agents, scheduler = request.node.agents, request.node.jobs.scheduler
    one = agents.find(args.agent)
    approval = agents.approval(one.agent)
    shown = screen.of_package(one.manifest, approval, without=set(approval.withheld))
    rows = [{**row, "granted": row["capability"] in one.granted} for row in shown["permissions"]]
    shown |= {
        "permissions": rows,
        "limits": wording.limit_rows(one.limits, None),
        "settings": dict(one.settings),
        "set": _settings(one),
        "trust": (trust := await request.node.jobs.trusting.rows(one.agent)),
        "trusted": wording.trusted(trust),
        "letters": await scheduler.desk.call(lambda queue: count_ready(queue, one.job)),
    }
    return Reading({**shown, **await _row(request.node, one)})


def _settings(one: Installed) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(one.settings.items())) or "-"


_PERMISSIONS: Final = Table(
    "permissions",
    (
        Column("changes", "Change"),
        Column("means", "What it may do"),
        Column("bounds", "Within"),
        Column("capability", "Capability"),
    ),
)
_GRANTED: Final = Table(
    "permissions",
    (Column("granted", "Granted", "yes"), *_PERMISSIONS.columns[1:]),
    "It may do nothing but compute, write lines to its log and know the time.",
)
_SCREEN: Final = (
    "{asking} {version}: {summary}\npublisher {publisher}\nruns {when}\none run takes {run}\n"
    "It asks to:"
)
_SUSPENDED: Final = (
    "{agent} {version} is installed in place of {former}, and suspended: {waits}\n"
    "next: {next_action}"
)
_STANDS: Final = (
    "{agent} {version}, {state}: {summary}\npublisher {publisher}\nruns {when}\n"
    "one run takes {run}\nsettings {set}\nsigned beforehand: {trusted}\njob {job}"
)
_STOPPED: Final = "{agent} {version}, {state}: {why}\nnext: {next_action}"

_HOST: Final = Registry(
    commands=(
        Command("agent.install", "Install an agent, or a newer version of one.", Install, install,
                says=(_SCREEN, _SUSPENDED,
                      "{agent} {version} is installed in place of {former}.",
                      "{agent} {version} is installed; its job is {job}."),
                table=_PERMISSIONS, timeout_s=180.0, then="agent.prepare"),
        Command("agent.prepare", "Compile what agents run on, once for this node.", Nothing,
                prepare, timeout_s=1_900.0, progress="runner",
                says=("What agents run on is prepared; it took {seconds} s.",
                      "What agents run on is prepared.")),
        Command("agent.grant", "Agree to what an agent asks for, or to some of it.", Grant, grant,
                says=(_SCREEN, "{agent} may do now what was shown."), table=_PERMISSIONS),
        Command("agent.set", "Change settings of an agent, for its next runs.", Set, put,
                says="Settings of {name}: {set}"),
        Command("agent.pause", "Begin no run of an agent any more.", One, pause,
                says="{agent} is paused; what runs goes on, and what it sends waits."),
        Command("agent.resume", "Begin runs of an agent again.", One, resume,
                says="{agent} runs again when it is due."),
        Command("agent.remove", "Remove an agent, with what it was granted.", One, remove,
                says="{agent} is removed.",
                asks="Remove the agent {agent}, with its notes and what it was granted?"),
    ),
    views=(
        View("agent.list", "The agents of this node.", Nothing, list_agents,
             table=Table("agents", (Column("agent", "Agent"), Column("version", "Version"),
                                    Column("state", "State"), Column("next", "Next", "time"),
                                    Column("last", "Last", "time"), Column("last_state", "Ended"),
                                    Column("summary", "What it does")), "No agents.")),
        View("agent.show", "One agent: what it may do, and what one run may take.", One, show,
             says=(_STOPPED, _STANDS), table=_GRANTED),
    ),
    nouns={"agent": "small programs that this node runs, within what was granted"},
)  # fmt: skip
REGISTRY = merge([_HOST, AUTHORING])
