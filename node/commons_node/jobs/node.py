"""The scheduler at home in a daemon: its duties, what they may ask of it, and whom it tells."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from commons_crdt.texts import N_, _
from commons_node.api.arguments import from_body
from commons_node.backup.schedule import every_s
from commons_node.capabilities.node import REMOVED, Capabilities
from commons_node.config import BadConfig
from commons_node.jobs import times
from commons_node.jobs.budget import Allowance
from commons_node.jobs.dealing import Dealing, OwnDuty
from commons_node.jobs.handler import HANDLERS, Handler
from commons_node.jobs.job import Cron, Every, Job, Limits, On, Retry, Trigger
from commons_node.jobs.lease import Lease
from commons_node.jobs.metering import Allowed, Meter
from commons_node.jobs.outbox import Deliver, Letter, drop
from commons_node.jobs.queue import Queue
from commons_node.jobs.scheduler import Around, Scheduler
from commons_node.jobs.workers import Attempt, NotOffered
from commons_node.proposals.policies import End
from commons_node.proposals.signing import Signing
from commons_node.proposals.store import Proposal, of_operation
from commons_node.proposals.trusting import Trusting, ends_with
from commons_node.registry import Registry, Request, describe_arguments
from commons_node.sandbox.preparing import Preparing

if TYPE_CHECKING:
    from commons_node.config import Config
    from commons_node.daemon import Daemon

FILE: Final = "jobs.db"
_AGAIN_S: Final = 30.0
"""How long the scheduler waits for a place among those who listen to events."""

DUTIES: Final[tuple[Job, ...]] = (
    Job(
        "backup", "backup", summary=N_("Make a backup, and read it back"), frees_disk=True,
        limits=Limits(14_400, 3_600, 1_024, 65_536), retry=Retry(20, 300), priority=4,
    ),
    Job(
        "integrity", "integrity", (Cron("17 4 * * *"),),
        summary=N_("Check that no database is damaged"), limits=Limits(3_600, 1_800, 768, 65_536),
        retry=Retry(3, 300), priority=7,
    ),
    Job(
        "tidy", "tidy", (Cron("47 3 * * *"),),
        summary=N_("Give back what the databases do not need"), priority=8, frees_disk=True,
        limits=Limits(600, 120, 768, 65_536), retry=Retry(3, 300),
    ),
    Job(
        "overdue", "overdue", (Cron("0 8 * * *", misfire="run_once"),),
        summary=N_("Say which loans are overdue"), limits=Limits(120, 30, 256), priority=3,
    ),
    Job(
        "figures", "figures", (Cron("0 * * * *", misfire="skip", grace_s=600),),
        summary=N_("Note the node's figures"), limits=Limits(60, 20, 256), retry=Retry(2, 60),
    ),
)  # fmt: skip
"""What a node does by itself, unless config.toml says otherwise."""


def zone_of(config: Config) -> ZoneInfo:
    """The zone of schedules: the setting, or the machine's own, or UTC. Raises ``BadConfig``."""
    if config.jobs_zone:
        try:
            return ZoneInfo(config.jobs_zone)
        except (KeyError, OSError, ValueError):
            why = _("there is no zone {zone!r}").format(zone=config.jobs_zone)
            fix = _("an IANA name such as Europe/Berlin")
            raise _wrong("jobs_zone", why, fix) from None
    here = os.environ.get("TZ", "").lstrip(":")
    if not here:
        there = os.path.realpath("/etc/localtime")
        here = there.partition("zoneinfo/")[2]
    try:
        return ZoneInfo(here or "UTC")
    except (KeyError, OSError, ValueError):
        return ZoneInfo("UTC")


def _wrong(key: str, why: str, fix: str) -> BadConfig:
    return BadConfig(where=_("the settings"), key=key, why=why, fix=fix)


def duties(config: Config) -> tuple[Job, ...]:
    """The duties with the schedules that the host chose. Raises ``BadConfig``."""
    chosen: dict[str, str] = {}
    for line in config.jobs_at:
        name, equals, schedule = line.partition("=")
        name, schedule = name.strip(), schedule.strip()
        fix = _("NAME=CRON or NAME=off, for example: overdue=0 9 * * MON")
        if not equals or name not in {job.name for job in DUTIES}:
            known = ", ".join(job.name for job in DUTIES)
            why = _("{line!r} names none of {known}").format(line=line, known=known)
            raise BadConfig(where=_("the settings"), key="jobs_at", why=why, fix=fix)
        chosen[name] = schedule
    zone = zone_of(config)
    return tuple(_at(_told(job, config), chosen.get(job.name), zone) for job in DUTIES)


def _told(job: Job, config: Config) -> Job:
    """Backups begin where config.toml says where they go."""
    if job.name != "backup" or not (seconds := every_s(config)):
        return job
    given = {"to": config.backup_to, "passphrase_file": config.backup_passphrase_file}
    return msgspec.structs.replace(job, triggers=(Every(seconds),), given=given)


def _at(job: Job, schedule: str | None, zone: ZoneInfo) -> Job:
    if schedule is None:
        return job
    triggers: tuple[Trigger, ...] = ()
    if schedule != "off":
        former = next((one for one in job.triggers if isinstance(one, Cron)), Cron(schedule))
        trigger = msgspec.structs.replace(former, expression=schedule)
        try:
            times.check(trigger, zone)
        except times.BadSchedule as error:
            raise BadConfig(
                where=_("the settings"), key="jobs_at", why=error, fix=error.way_out
            ) from None
        triggers = (trigger,)
    return msgspec.structs.replace(job, triggers=triggers)


def _first_backup(queue: Queue) -> None:
    """One at once, unless a start before this one has asked for it."""
    waits = "SELECT 1 FROM runs WHERE job = 'backup' AND state IN ('ready', 'leased')"
    if not queue.rows(waits):
        queue.enqueue("backup")


class Jobs:
    """One for a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        """Starts nothing. Raises ``BadConfig``."""
        config = daemon.config
        self._daemon = daemon
        self.registry: Registry
        self.signing: Signing
        self.trusting: Trusting
        self._duties = duties(config)
        self.preparing = Preparing(
            daemon.home.path, lambda: daemon.standing.network_seed, self._compiling
        )
        zone = zone_of(config)
        self.capabilities = Capabilities(daemon)
        self.scheduler = Scheduler(
            daemon.home.path / FILE,
            Around(
                zone=lambda: zone,
                short=daemon.room.short,
                dealing=self._dealing,
                given=self._given,
                told=self._told,
                refuse=self.capabilities.refuse,
                held=self._held,
                ways={"event": self._publish, "repair": self._repair, **self._ways()},
                preparer=self.preparing,
                now=daemon.now_ms,
                meter=Meter(
                    Allowed(
                        config.agents_run_credits,
                        config.agents_day_credits,
                        config.agents_community_credits,
                    )
                ),
            ),
            Allowance(
                config.jobs_workers, config.jobs_cpu_s, config.jobs_memory_mib, config.jobs_disk_mib
            ),
        )
        self._listening: asyncio.Task[None] | None = None

    async def start(self, registry: Registry) -> None:
        """Open the file and begin."""
        self.registry = registry
        self.capabilities.start(registry, self.scheduler.desk, self.scheduler.around)
        desk = self.scheduler.desk
        self.signing = Signing(self._daemon, registry, desk)
        self.trusting = Trusting(self._daemon, registry, desk, self.signing)
        await self.scheduler.start(self._duties)
        if await self._daemon.backups.lacking():
            await self.scheduler.desk.call(_first_backup)
            self.scheduler.wake()
        self._listen()

    async def stop(self) -> None:
        """Leave nothing running."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self.scheduler.stop()
        await self.preparing.stop()
        await self.capabilities.stop()

    def _ways(self) -> Mapping[str, Deliver]:
        drivers = self.capabilities.drivers
        return {f"driver:{name}": drivers.deliver for name in drivers.names()}

    async def define(self, job: Job) -> None:
        """The seam: a job of an agent, of backups, of anything that has a handler."""
        await self.scheduler.define(job)
        self._listen()
        if job.handler == "agent":
            self.preparing.begin()

    async def forget(self, name: str) -> None:
        """A job is no more; what runs of it ends."""
        await self.scheduler.forget(name)

    async def clear(self, agent: str, job: str) -> None:
        """See ``Schedules``."""

        def work(queue: Queue) -> None:
            drop(queue, job, REMOVED)
            with queue.transaction() as file:
                file.execute("DELETE FROM kv WHERE agent = ?", (agent,))
                file.execute(
                    "UPDATE proposals SET state = 'dropped', ended_ms = ?"
                    " WHERE agent = ? AND state = 'open'",
                    (queue.now(), agent),
                )
                ends_with(queue, agent, "removed")

        await self.scheduler.desk.call(work)

    async def distrust(self, agent: str, why: End) -> None:
        """Nothing more is signed for an agent that may not run."""
        await self.scheduler.desk.call(lambda queue: ends_with(queue, agent, why))

    async def proposal_of(self, operation: bytes) -> Proposal | None:
        """Of which proposal an operation came, if it came of one on this node."""
        return await self.scheduler.desk.call(lambda queue: of_operation(queue, operation))

    async def pause(self, name: str, *, paused: bool) -> None:
        """Begin no run of a job, or begin again."""
        await self.scheduler.pause(name, paused=paused)

    def defined(self) -> Mapping[str, Job]:
        """All jobs by name."""
        return self.scheduler.jobs

    def is_paused(self, name: str) -> bool:
        """Whether no run of a job begins."""
        return name in self.scheduler.paused

    # -- events --------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Only where a job waits for an event: who listens costs the node something."""
        wanted = any(
            isinstance(t, On) for job in self.scheduler.jobs.values() for t in job.triggers
        )
        if wanted and self._listening is None:
            self._listening = asyncio.create_task(self._hear(), name="job events")

    async def _hear(self) -> None:
        while True:
            lost = False
            while (listener := self._daemon.events.listen()) is None:  # too many listen already
                lost = True
                await asyncio.sleep(_AGAIN_S)
            if lost:
                self.scheduler.missed()
            async for encoded in listener:
                event = msgspec.json.decode(encoded, type=dict[str, object])
                if event.get("event") != "job":  # no job wakes itself
                    self.scheduler.hear(event)
            if not listener.dropped:
                return
            self.scheduler.missed()

    def _told(self, job: str, run: int, state: str) -> None:
        self._daemon.events.publish("job", {"job": job, "run": run or None, "state": state})
        found = self.scheduler.jobs.get(job)
        if found is None or found.agent is None or state == "leased":
            return
        if state == "done":
            self._daemon.spawn(self.trusting.after(run))
        if self._daemon.agents.lacks(found.agent):  # it would fail again and again
            self._daemon.spawn(self._suspend(found.agent))

    async def _suspend(self, agent: str) -> None:
        if self._daemon.agents.lacks(agent):
            state = (await self._daemon.agents.suspend(agent)).state
            self._daemon.events.publish("agent", {"agent": agent, "state": state})

    def _compiling(self, percent: int) -> None:
        self._daemon.events.publish("runner", {"done": percent, "total": 100})

    def _held(self) -> frozenset[str]:
        return self._daemon.agents.held()

    async def _publish(self, letter: Letter) -> None:
        self._daemon.events.publish("job_notice", {"key": letter.key, **letter.body})

    async def _repair(self, letter: Letter) -> None:
        """A file is damaged, or shows something else than its operations give: it is made anew."""
        body = letter.body
        await self._daemon.repairs.told(
            str(body["file"]), str(body["why"]), int(str(body["inode"])),
            parts=body.get("parts") is True,
        )  # fmt: skip

    # -- what a run may ask --------------------------------------------------------------------

    def _given(self, job: Job) -> Mapping[str, object]:
        handler = HANDLERS.get(job.handler)
        home = {"home": str(self._daemon.home.path)} if handler and handler.home else {}
        return {**job.given, **home}

    def _dealing(self, lease: Lease, attempt: Attempt) -> Dealing:
        if lease.job.agent is not None:
            return self.capabilities.dealing(lease, attempt)
        handler = HANDLERS.get(lease.job.handler, Handler(""))

        async def answer(method: str, params: dict[str, Any], /) -> object:
            name = params.get("name")
            if method == "act" and isinstance(name, str) and name in handler.acts:
                return await self._daemon.backups.act(name, params)
            if method != "view" or not isinstance(name, str) or name not in handler.views:
                raise NotOffered(method=f"{method} {name}" if name else method)
            return await self._view(name, params)

        return OwnDuty(answer)

    async def _view(self, name: str, params: Mapping[str, Any]) -> object:
        view = self.registry.view(name)
        if view is None:
            raise NotOffered(method=f"view {name}")
        community = params.get("community")
        given = params.get("args", {})
        body = msgspec.json.encode(given)
        args = from_body(view, describe_arguments(view), body)
        request = Request(self._daemon, community=str(community) if community else None)
        return (await view.read(request, args)).value


__all__ = ["DUTIES", "FILE", "Jobs", "duties", "zone_of"]
