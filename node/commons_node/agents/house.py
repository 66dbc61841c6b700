"""The agents of one node: installed, upgraded, agreed to, stopped and removed, each with its job.

Decides what a package may become here. What is granted follows from the row (``grants``), whether
one is paused stands with its job, and a suspended one has no job at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec
import structlog

from commons_crdt.texts import N_, _
from commons_node.agents.grants import (
    Approval,
    agreeing,
    effective,
    effective_limits,
    kept,
    wider,
)
from commons_node.agents.jobs import job_name, job_of
from commons_node.agents.manifest import AgentLimits, Grant, Manifest, Setting
from commons_node.agents.package import Package
from commons_node.agents.refusals import (
    BadSetting,
    Downgrade,
    NoAgent,
    NothingAsked,
    OtherPublisher,
    SameVersion,
    Suspended,
)
from commons_node.agents.store import AgentStore, Row
from commons_node.jobs.job import Job
from commons_node.jobs.scheduler import NoHandler
from commons_node.store.database import Database

log = structlog.get_logger(component="agents")

State = Literal["active", "paused", "suspended"]
Stop = Literal["", "wider", "gone", "no_handler"]
"""Why one is suspended; "" where it is not."""
WHY: Final[Mapping[Stop, tuple[str, str]]] = {
    "wider": (
        N_("it asks for more than was agreed to"),
        N_("commons-node agent grant {name}"),
    ),
    "gone": (
        N_("the file of its package is not there any more, or was changed"),
        N_("install the same package again: commons-node agent install FILE"),
    ),
    "no_handler": (
        N_("this version of the node cannot run agents"),
        N_("install a version that can"),
    ),
}
"""The sentence, and what to do."""


class Schedules(Protocol):
    """What agents need of the node's jobs."""

    async def define(self, job: Job) -> None:
        """A job, new or changed. Raises ``NoHandler``."""

    async def forget(self, name: str) -> None:
        """A job is no more; what runs of it ends."""

    async def pause(self, name: str, *, paused: bool) -> None:
        """Begin no run of it, or begin again."""

    async def clear(self, agent: str, job: str) -> None:
        """An agent was removed: its notes go, what it proposed that nobody signed, letters of its
        job that have not left, and trust.
        """

    async def distrust(self, agent: str, why: Literal["suspended"]) -> None:
        """An agent may not run: nothing more is signed for it beforehand."""

    def defined(self) -> Mapping[str, Job]:
        """All jobs by name."""

    def is_paused(self, name: str) -> bool:
        """Whether no run of it begins."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An agent as it stands: what it is, what it may do, and whether it may run now.

    ``agent``: ``publisher's first eight digits/name``; ``package``: SHA-256 in hex; ``community``:
    whose things it works with, 64 hex digits; ``stop``: why it is suspended.
    """

    agent: str
    package: str
    manifest: Manifest
    granted: Mapping[str, Grant]
    limits: AgentLimits
    settings: Mapping[str, Setting]
    community: str
    state: State
    stop: Stop
    installed_ms: int

    @property
    def job(self) -> str:
        """The name of its job."""
        return job_name(self.manifest)

    @property
    def why(self) -> str:
        """Why it is suspended, in the reader's words; "" where it is not."""
        return _(WHY[self.stop][0]) if self.stop else ""

    @property
    def next_action(self) -> str:
        """What to do about that, likewise."""
        return _(WHY[self.stop][1]).format(name=self.manifest.name) if self.stop else ""


class Agents:
    """One for a node. ``load`` before the jobs start, ``arrange`` after."""

    def __init__(
        self, home: Path, jobs: Schedules, zone: Callable[[bytes], str] = lambda _realm: "UTC"
    ) -> None:
        """``home`` is the node's folder; ``zone``: the IANA zone of a community."""
        self._zone = zone
        self._store = AgentStore(home)
        self._jobs = jobs
        self._cannot: set[str] = set()
        """Agents whose job this version cannot define."""
        self._shown: dict[str, tuple[Row, Installed]] = {}
        """By agent, what was made of its row, which is never changed, only replaced."""

    async def load(self, database: Database) -> None:
        """Know what is installed; nothing runs by it yet."""
        await self._store.load(database)

    async def arrange(self) -> None:
        """Let the jobs be those of the agents that may run: a crash may have come between."""
        for row in list(self._store.rows.values()):
            await self._arrange(row)
        ours = {job_name(row.manifest) for row in self._store.rows.values()}
        for name, job in list(self._jobs.defined().items()):
            if job.agent is not None and name not in ours:
                await self._jobs.forget(name)

    # -- looking -------------------------------------------------------------------------------

    def installed(self, agent: str) -> Installed | None:
        """An agent by its id (``hex8/name``)."""
        row = self._store.rows.get(agent)
        return self._installed(row) if row is not None else None

    def all(self) -> list[Installed]:
        """Every agent, by name."""
        rows = sorted(self._store.rows.values(), key=lambda row: row.manifest.name)
        return [self._installed(row) for row in rows]

    def held(self) -> frozenset[str]:
        """Jobs of those that are paused or suspended: what they wrote waits until they are not."""
        rows = self._store.rows.values()
        return frozenset(job_name(row.manifest) for row in rows if self._state(row)[0] != "active")

    def find(self, selector: str) -> Installed:
        """By name, by id, or by the name of its job. Raises ``NoAgent``."""
        wanted = selector.strip()
        for one in self.all():
            if wanted in {one.manifest.name, one.agent, one.job}:
                return one
        raise NoAgent(agent=selector)

    def named(self, manifest: Manifest) -> Installed | None:
        """The agent that a package of this manifest would replace, if any."""
        return self.installed(manifest.agent)

    def approval(self, agent: str) -> Approval:
        """What the host has agreed to."""
        return self._store.rows[agent].approval

    def code(self, package: str) -> Package:
        """A package by its hash (hex), its bytes checked now. Raises ``PackageGone``."""
        return self._store.code(bytes.fromhex(package))

    def _installed(self, row: Row) -> Installed:
        """What may change without the row, its state, is looked at each time."""
        state, stop = self._state(row)
        of, shown = self._shown.get(row.agent, (None, None))
        if shown is None or of is not row or (shown.state, shown.stop) != (state, stop):
            shown = self._made(row, state, stop)
            self._shown[row.agent] = row, shown
        return shown

    def _made(self, row: Row, state: State, stop: Stop) -> Installed:
        return Installed(
            row.agent,
            row.package.hex(),
            row.manifest,
            effective(row.manifest, row.approval) if state != "suspended" else {},
            effective_limits(row.manifest, row.approval),
            {**row.manifest.settings, **row.settings},
            row.community.hex(),
            state,
            stop,
            row.installed_ms,
        )

    def _state(self, row: Row) -> tuple[State, Stop]:
        if row.waits:
            return "suspended", "wider"
        if not self._store.there(row.package):
            return "suspended", "gone"
        if row.agent in self._cannot:
            return "suspended", "no_handler"
        return ("paused" if self._jobs.is_paused(job_name(row.manifest)) else "active"), ""

    # -- changing ------------------------------------------------------------------------------

    def check(self, package: Package) -> Row | None:
        """The row that a package would replace, if it may; None for a new agent.

        Raises ``OtherPublisher``, ``Downgrade``, ``SameVersion``.
        """
        manifest = package.manifest
        for row in self._store.rows.values():
            other = row.manifest
            # the short id is the beginning of a key: two keys may begin alike, on purpose
            if other.publisher != manifest.publisher and manifest.name == other.name:
                raise OtherPublisher(
                    name=manifest.name, installed=other.publisher, publisher=manifest.publisher
                )
        former = self._store.rows.get(manifest.agent)
        if former is None:
            return None
        there = former.manifest
        details = {"agent": former.agent, "name": there.name, "version": manifest.version}
        if manifest.order < there.order:
            raise Downgrade(installed=there.version, **details)
        if manifest.order == there.order and package.hash != former.package:
            raise SameVersion(**details)
        return former

    async def install(
        self,
        package: Package,
        data: bytes,
        community: bytes,
        now_ms: int,
        without: Collection[str] = (),
    ) -> Installed:
        """A new agent that was agreed to, or another version of one. Raises as ``check``.

        A version that asks for more than was agreed to is suspended until ``grant``.
        """
        former, manifest = self.check(package), package.manifest
        if former is None:
            _asked(manifest, without)
            approval = agreeing(manifest, without)
            row = Row(
                manifest.agent, community, package.hash, manifest, approval, {}, False, now_ms
            )
        else:
            fitting = {
                key: value
                for key, value in former.settings.items()
                if type(manifest.settings.get(key)) is type(value)
            }
            row = msgspec.structs.replace(
                former,
                package=package.hash,
                manifest=manifest,
                approval=kept(manifest, former.approval),
                settings=fitting,
                waits=bool(wider(manifest, former.approval)),
                installed_ms=now_ms,
            )
        await self._keep(row, data)
        return self._installed(row)

    async def grant(self, agent: str, without: Collection[str] = ()) -> Installed:
        """Agree to what an agent asks for, but for some capabilities; from now on."""
        row = self._store.rows[agent]
        _asked(row.manifest, without)
        approval = agreeing(row.manifest, without)
        await self._keep(msgspec.structs.replace(row, approval=approval, waits=False))
        return self._installed(self._store.rows[agent])

    async def set(self, agent: str, given: Collection[str]) -> Installed:
        """Settings as ``KEY=VALUE``, of the kind that its default is; ``KEY=``: the default."""
        row = self._store.rows[agent]
        settings = dict(row.settings)
        for text in given:
            key, equals, value = text.partition("=")
            default = row.manifest.settings.get(key.strip())
            if not equals or default is None:
                raise BadSetting(agent=row.agent, given=text, known=_known(row.manifest))
            settings.pop(key.strip(), None)
            if value:
                settings[key.strip()] = _value(row, text, value, default)
        await self._keep(msgspec.structs.replace(row, settings=settings))
        return self._installed(self._store.rows[agent])

    async def pause(self, agent: str, *, paused: bool) -> Installed:
        """Begin no run of it, or begin again. Raises ``Suspended``."""
        found = self._installed(self._store.rows[agent])
        if found.state == "suspended":
            raise Suspended(agent=found.agent, why=found.why, next=found.next_action)
        await self._jobs.pause(found.job, paused=paused)
        return self._installed(self._store.rows[agent])

    def lacks(self, agent: str) -> bool:
        """Whether it has a job, and nothing that the job could run."""
        row = self._store.rows.get(agent)
        if row is None or self._store.there(row.package):
            return False
        return job_name(row.manifest) in self._jobs.defined()

    async def suspend(self, agent: str) -> Installed:
        """Its package is gone: it has no job until the same package is installed again."""
        row = self._store.rows[agent]
        await self._arrange(row)
        log.warning("agent_package_gone", agent=agent)
        return self._installed(row)

    async def remove(self, agent: str) -> None:
        """It is no more, and what runs of it ends."""
        row = self._store.rows[agent]
        await self._store.remove(agent)
        self._cannot.discard(agent)
        self._shown.pop(agent, None)
        await self._forget(row)
        await self._jobs.clear(agent, job_name(row.manifest))

    # -- its job -------------------------------------------------------------------------------

    async def _keep(self, row: Row, data: bytes | None = None) -> None:
        await self._store.put(row, data)
        await self._arrange(row)

    async def _arrange(self, row: Row) -> None:
        if row.waits or not self._store.there(row.package):
            await self._jobs.distrust(row.agent, "suspended")
            await self._forget(row)
            return
        try:
            await self._jobs.define(job_of(row, self._zone(row.community)))
            self._cannot.discard(row.agent)
        except NoHandler:
            self._cannot.add(row.agent)
            log.warning("agent_without_handler", agent=row.agent)

    async def _forget(self, row: Row) -> None:
        if job_name(row.manifest) in self._jobs.defined():
            await self._jobs.forget(job_name(row.manifest))


def _asked(manifest: Manifest, without: Collection[str]) -> None:
    for method in without:
        if method not in manifest.capabilities:
            raise NothingAsked(agent=manifest.name, method=method)


def _known(manifest: Manifest) -> str:
    return ", ".join(f"{key}={value}" for key, value in manifest.settings.items()) or "-"


def _value(row: Row, text: str, value: str, default: Setting) -> Setting:
    try:
        if isinstance(default, bool):
            return {"true": True, "yes": True, "false": False, "no": False}[value.casefold()]
        found = msgspec.convert(value, type(default), strict=False)
    except (KeyError, msgspec.ValidationError):
        known = _known(row.manifest)
        raise BadSetting(agent=row.agent, given=text, known=known) from None
    if isinstance(found, str) and (len(found) > _LONGEST or not found.isprintable()):
        raise BadSetting(agent=row.agent, given=text[:40], known=_known(row.manifest))
    return found


_LONGEST: Final = 500
"""Letters of a setting."""
