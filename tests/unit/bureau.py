"""A broker over a real file of jobs and a small registry: an agent's calls without a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from commons_node.agents.manifest import AgentLimits, Grant, Manifest, parse
from commons_node.capabilities.broker import AgentDealing
from commons_node.capabilities.inside import Inside
from commons_node.capabilities.permit import Permit
from commons_node.capabilities.proposing import proposable
from commons_node.capabilities.rates import Rates
from commons_node.drivers.driver import Around
from commons_node.drivers.held import Drivers
from commons_node.jobs.definitions import define
from commons_node.jobs.desk import Desk
from commons_node.jobs.job import Job, Retry
from commons_node.jobs.lease import Lease
from commons_node.jobs.metering import Allowed, Meter
from commons_node.jobs.queue import Queue
from commons_node.jobs.workers import Attempt
from commons_node.models.held import Models
from commons_node.registry import (
    Command,
    File,
    Reading,
    Registry,
    Request,
    View,
    argument,
    option,
    passphrase,
)
from commons_node.web import Web

NOON = 1_780_000_000_000
AGENT = "0123abcd/helper"
ELM = "e1" * 32
TOML = b"""
[agent]
name = "helper"
version = "1.0.0"
publisher = "ed25519:%s"
""" % (b"0123abcd" * 8)

LOANS: list[dict[str, Any]] = [
    {
        "loan": f"{n:064x}", "resource": f"{n % 3:064x}", "number": f"DR-{n}", "name": "Drill",
        "borrower": "b0" * 32, "borrower_name": "Bo", "state": "on_loan" if n % 2 else "returned",
        "due": f"2026-12-{n % 28 + 1:02d}T12:00:00Z", "overdue": n % 4 == 1,
        "steps": [{"device": "secret"}], "settled": True,
    }
    for n in range(40)
]  # fmt: skip


class Nothing(msgspec.Struct):
    """No arguments."""


class Refusal(msgspec.Struct):
    """As of ``loan decline``."""

    loan: Annotated[str, argument("the loan")]
    reason: Annotated[str | None, option("why")] = None
    photo: Annotated[File | None, option("a picture")] = None


class Secret(msgspec.Struct):
    """What nobody proposes."""

    word: Annotated[str, passphrase("a passphrase")]


async def loans(request: Request[Any], _args: Nothing) -> Reading:
    """The loans of one community, as a view gives them that does no more than it is asked for."""
    assert request.selection is not None, "the broker says what anybody will look at"
    rows, seen = LOANS if request.community == ELM else [], request.selection.fields
    return Reading(
        {"loans": [{k: v for k, v in row.items() if k in seen} for row in rows]}, as_of="00ff"
    )


async def broken(_request: Request[Any], _args: Nothing) -> Reading:
    """A fault of ours."""
    raise RuntimeError("a bug with a secret in it")


async def done(_request: Request[Any], _args: Any) -> Mapping[str, object]:
    """A command that is never run here."""
    raise AssertionError("an agent runs no command")


REGISTRY = Registry(
    commands=(
        Command("loan.decline", "Say no.", Refusal, done, member=True),
        Command("loan.secret", "With a passphrase.", Secret, done, member=True),
        Command("loan.hidden", "Of the node.", Nothing, done),
        Command("member.remove", "Remove somebody.", Refusal, done, member=True),
    ),
    views=(
        View("loan.list", "Loans.", Nothing, loans),
        View("member.list", "Members.", Nothing, broken),
    ),
    nouns={"loan": "loans", "member": "members"},
)


async def _elm_street(_principal: str) -> str:
    return "Elm Street"


class Code:
    """A package."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    @property
    def manifest(self) -> Manifest:
        """Of a python agent."""
        return parse(TOML)


class Bureau:
    """One node's broker; clocks stand where they are put."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wall, self.clock, self.life = NOON, 0, 0
        self.meter = Meter(Allowed(run=5, agent_day=20, principal_day=30))
        self.granted: dict[str, Grant] | None = {}
        self.limits = AgentLimits()
        self.package = b"p" * 32
        self.files: Mapping[str, bytes] = {"agent.py": b"def main(event, host): ..."}
        self.web: Web | None = None
        self.drivers: Mapping[str, Mapping[str, Any]] = {}
        self.models: Mapping[str, str] = {}
        self.desk: Desk
        self.rates: Rates
        self.inside: Inside
        self.job = Job("helper", "agent", principal=ELM, agent=AGENT, retry=Retry(3, 1, 1))

    def _queue(self) -> Queue:
        made = Queue(
            self.folder / "jobs.db", f"life {self.life}", lambda: self.wall, lambda: self.clock,
            meter=self.meter,
        )  # fmt: skip
        made.file.execute("PRAGMA synchronous = OFF")
        made.recover()
        define(made, self.job)
        return made

    async def open(self) -> None:
        """A life of the node begins."""
        self.life += 1
        self.desk = Desk(self._queue)
        await self.desk.open()
        self.rates = Rates(self.desk, lambda: self.clock)
        around = Around(Web(), self.folder)
        self.inside = Inside(
            registry=REGISTRY,
            acts=proposable(REGISTRY),
            request=lambda community: Request(None, community=community),  # type: ignore[arg-type]  # no daemon here
            desk=self.desk,
            drivers=Drivers(self.drivers, around),
            models=Models(self.models),
            web=self.web,
            code=lambda _package: Code(self.files),
            now_ms=lambda: self.wall,
            zone=lambda: ZoneInfo("Europe/Stockholm"),
            name_of=_elm_street,
        )

    async def close(self) -> None:
        """It ends."""
        await self.inside.models.stop()
        await self.desk.close()

    def pass_time(self, seconds: float) -> None:
        """Both clocks go on."""
        self.wall += round(seconds * 1000)
        self.clock += round(seconds * 1000)

    def permit(self) -> Permit | None:
        """What the host lets the agent do now."""
        if self.granted is None:
            return None
        return Permit(self.granted, self.package, limits=self.limits)

    async def run(self, *, dry: bool = False) -> Run:
        """A run begins."""

        def work(queue: Queue) -> Lease | None:
            queue.enqueue(self.job.name, dry=dry)
            return queue.claim(30)

        lease = await self.desk.call(work)
        assert lease is not None, "there is room for a run"
        attempt = Attempt()
        return Run(self, lease, attempt, AgentDealing(
            self.inside, self.rates, self.permit, lease, attempt
        ))  # fmt: skip

    async def rows(self, sql: str, *arguments: object) -> list[Any]:
        """What stands in the file of jobs."""
        return await self.desk.call(lambda queue: queue.rows(sql, *arguments))


class Run:
    """One attempt."""

    def __init__(
        self, bureau: Bureau, lease: Lease, attempt: Attempt, dealing: AgentDealing
    ) -> None:
        self.bureau, self.lease, self.attempt, self.dealing = bureau, lease, attempt, dealing

    async def __call__(self, method: str, /, **params: Any) -> Any:
        """A call; raises what refuses it."""
        return await self.dealing.answer(method, params)

    async def done(self) -> int:
        """It ends well; how many of its effects were new."""
        lease, dealing = self.lease, self.dealing
        return await self.bureau.desk.call(
            lambda queue: queue.finish(lease.run, lease.fence, dealing.effects)
        )


@asynccontextmanager
async def bureau(folder: Path, **given: Any) -> AsyncIterator[Bureau]:
    """Open, and closed afterwards. ``given``: fields."""
    made = Bureau(folder)
    for name, value in given.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def settle() -> None:
    """Let everybody have a turn."""
    await asyncio.sleep(0)
