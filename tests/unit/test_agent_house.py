"""A node's agents: installed by agreement, upgraded with care, each with a job of its own."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.agents import ALICE, EVE, key_of, made, opened

from commons_node.agents import screen
from commons_node.agents.house import Agents, Installed
from commons_node.agents.manifest import Grant
from commons_node.agents.refusals import (
    BadSetting,
    Downgrade,
    NoAgent,
    NotAgreed,
    NothingAsked,
    OtherPublisher,
    SameVersion,
    Suspended,
)
from commons_node.agents.store import PackageGone
from commons_node.capabilities.node import Capabilities
from commons_node.drivers.driver import Around as Nearby
from commons_node.drivers.held import Drivers
from commons_node.jobs.budget import Allowance
from commons_node.jobs.handler import Handler
from commons_node.jobs.job import Every, Job
from commons_node.jobs.outbox import Letter
from commons_node.jobs.scheduler import Around, Scheduler
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA
from commons_node.web import Web

pytestmark = pytest.mark.anyio
ELM = b"e" * 32
READS = '[capabilities]\n"docs.query" = {collections = ["loan"]}\n'
SENDS = READS + '"notify.send" = {}\n'
SETS = '[settings]\ndays = 3\nwhere = "hall"\nloud = false\n'


class Shed:
    """The scheduler as a node has it; no worker ever starts."""

    def __init__(self, home: Path, handler: str) -> None:
        self.scheduler = Scheduler(
            home / "jobs.db", Around(), Allowance(0, 60, 512, 64), {handler: Handler("none:none")}
        )
        self.cleared: list[tuple[str, str]] = []
        self.distrusted: list[tuple[str, str]] = []

    async def define(self, job: Job) -> None:
        await self.scheduler.define(job)

    async def forget(self, name: str) -> None:
        await self.scheduler.forget(name)

    async def pause(self, name: str, *, paused: bool) -> None:
        await self.scheduler.pause(name, paused=paused)

    async def clear(self, agent: str, job: str) -> None:
        self.cleared.append((agent, job))

    async def distrust(self, agent: str, why: str) -> None:
        self.distrusted.append((agent, why))

    def defined(self) -> Mapping[str, Job]:
        return self.scheduler.jobs

    def is_paused(self, name: str) -> bool:
        return name in self.scheduler.paused


@asynccontextmanager
async def living(home: Path, handler: str = "agent") -> AsyncIterator[tuple[Agents, Shed]]:
    """From a start of the daemon to its stop."""
    database = await open_database(home / "node.db", NODE_SCHEMA)
    shed = Shed(home, handler)
    agents = Agents(home, shed, lambda _realm: "Europe/Stockholm")
    try:
        await agents.load(database)
        await shed.scheduler.start()
        await agents.arrange()
        yield agents, shed
    finally:
        await shed.scheduler.stop()
        await database.close()


async def put(agents: Agents, data: bytes, *without: str) -> Installed:
    return await agents.install(opened(data), data, ELM, 1, without)


AGENT = f"{key_of(ALICE)[:8]}/tell"
JOB = f"tell-{key_of(ALICE)[:8]}"


async def test_an_agent_has_a_job_as_long_as_it_may_run(tmp_path: Path) -> None:
    async with living(tmp_path) as (agents, shed):
        found = await put(agents, made(more=SENDS + SETS), "notify.send")
        assert (found.agent, found.job, found.state) == (AGENT, JOB, "active")
        assert found.granted == {"docs.query": Grant(("loan",))}, "what was withheld is not granted"
        job = shed.scheduler.jobs[JOB]
        assert (job.agent, job.principal, job.handler) == (AGENT, ELM.hex(), "agent")
        assert job.triggers == (Every(3600.0),)
        assert job.given["package"] == found.package
        assert job.given["settings"] == {"days": 3, "where": "hall", "loud": False}
        assert job.given["timezone"] == "Europe/Stockholm"
        (file,) = (tmp_path / "agents").iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        await agents.pause(AGENT, paused=True)
    async with living(tmp_path) as (agents, shed):
        again = agents.find("tell")
        assert again.state == "paused", "a stop forgets no pause"
        assert again.granted == found.granted
        assert JOB in shed.scheduler.jobs
        assert agents.code(found.package).files == {
            "agent.py": b"def main(event, host):\n    return 1\n"
        }
        assert (await agents.pause(AGENT, paused=False)).state == "active"
        await agents.remove(AGENT)
        assert shed.scheduler.jobs == {}
        assert shed.cleared == [(AGENT, JOB)]
        assert list((tmp_path / "agents").iterdir()) == []
        with pytest.raises(NoAgent):
            agents.find("tell")


async def test_an_upgrade_that_asks_for_more_waits_for_its_host(tmp_path: Path) -> None:
    async with living(tmp_path) as (agents, shed):
        await put(agents, made(more=READS))
        upgraded = await put(agents, made("1.1.0", SENDS))
        assert (upgraded.state, upgraded.granted) == ("suspended", {})
        assert "more than was agreed to" in upgraded.why
        assert JOB not in shed.scheduler.jobs, "nothing of it can run"
        with pytest.raises(Suspended):
            await agents.pause(AGENT, paused=False)
    async with living(tmp_path) as (agents, shed):
        assert agents.find("tell").state == "suspended", "nor after a start"
        assert JOB not in shed.scheduler.jobs
        granted = await agents.grant(AGENT)
        assert (granted.state, set(granted.granted)) == ("active", {"docs.query", "notify.send"})
        assert shed.scheduler.jobs[JOB].given["package"] == upgraded.package
        less = await put(agents, made("1.2.0", READS))
        assert (less.state, set(less.granted)) == ("active", {"docs.query"})
        more = await put(agents, made("1.3.0", SENDS))
        assert more.state == "suspended", "who asked for less once is asked about again"
        fine = await put(agents, made("1.4.0", READS))
        assert fine.state == "active", "and a version that asks for less needs no word"
        longer = await put(agents, made("1.5.0", READS + '[limits]\nwall = "1h"\n'))
        assert longer.state == "suspended", "limits are part of what is agreed to"


async def test_what_may_not_take_an_agents_place(tmp_path: Path) -> None:
    async with living(tmp_path) as (agents, _shed):
        await put(agents, made("1.2.0"))
        with pytest.raises(Downgrade):
            await put(agents, made("1.1.9"))
        with pytest.raises(SameVersion):
            await put(agents, made("1.2.0", READS))
        with pytest.raises(OtherPublisher) as caught:
            await put(agents, made("2.0.0", key=EVE))
        assert key_of(EVE) in str(caught.value)
        assert key_of(ALICE) in str(caught.value)
        assert (await put(agents, made("1.2.0"))).state == "active", "the same once more"
        with pytest.raises(NothingAsked):
            await put(agents, made(name="other", more=READS), "http.fetch")
        assert [one.manifest.version for one in agents.all()] == ["1.2.0"]


async def test_letters_of_one_that_may_not_act_wait_and_of_one_that_is_gone_are_dropped(
    tmp_path: Path,
) -> None:
    async with living(tmp_path) as (agents, _shed):
        capabilities: Any = Capabilities.__new__(Capabilities)
        capabilities._daemon = SimpleNamespace(agents=agents)
        mail = {"kind": "mail", "server": "x", "sender": "a@b.c", "to": ["a@b.c"], "fake": True}
        paper = {"kind": "file-drop", "folder": "/nowhere", "fake": True}
        capabilities.drivers = Drivers({"mail": mail, "paper": paper}, Nearby(Web(), tmp_path))
        letter = Letter(1, f"{JOB}/told", "driver:mail", {}, 0, JOB)
        duty = Letter(2, "overdue/told", "event", {}, 0, "overdue")
        sends = '[capabilities]\n"notify.send" = {drivers = ["mail"]}\n'
        await put(agents, made(more=sends))
        assert (agents.held(), capabilities.refuse(letter)) == (frozenset(), None)
        await agents.pause(AGENT, paused=True)
        assert agents.held() == {JOB}
        await agents.pause(AGENT, paused=False)
        assert agents.held() == frozenset()
        wider = f'{sends}"docs.query" = {{collections = ["loan"]}}\n'
        assert (await put(agents, made("2.0.0", wider))).state == "suspended"
        assert agents.held() == {JOB}, "nothing leaves until somebody has agreed"
        await agents.grant(AGENT)
        assert (agents.held(), capabilities.refuse(letter)) == (frozenset(), None)
        await agents.grant(AGENT, ["notify.send"])
        assert capabilities.refuse(letter) == "the host has taken back the driver mail"
        every = '[capabilities]\n"notify.send" = {}\n'
        await put(agents, made("2.1.0", more=every))
        await agents.grant(AGENT)
        assert capabilities.refuse(letter) is None, "a grant that names none is for each notifier"
        filed = replace(letter, to="driver:paper")
        assert capabilities.refuse(filed) == "the host has taken back the driver paper"
        await agents.remove(AGENT)
        assert agents.held() == frozenset(), "it is not held: it never leaves"
        assert capabilities.refuse(letter) == "its agent was removed", "also after a crash between"
        assert capabilities.refuse(duty) is None


async def test_settings_are_of_the_kind_that_their_defaults_are(tmp_path: Path) -> None:
    async with living(tmp_path) as (agents, shed):
        await put(agents, made(more=SETS))
        await agents.set(AGENT, ["days=7", "where=shed=2", "loud=yes"])
        set_ = shed.scheduler.jobs[JOB].given["settings"]
        assert set_ == {"days": 7, "where": "shed=2", "loud": True}
        for wrong in ("days=soon", "colour=red", "days", "loud=perhaps", "where=\x1b[2J"):
            with pytest.raises(BadSetting):
                await agents.set(AGENT, [wrong])
        upgraded = await put(agents, made("2.0.0", '[settings]\ndays = "many"\nwhere = "yard"\n'))
        assert upgraded.settings == {"days": "many", "where": "shed=2"}, "those that still fit"
        assert (await agents.set(AGENT, ["where="])).settings["where"] == "yard"


async def test_a_package_that_is_not_what_it_was_runs_nothing(tmp_path: Path) -> None:
    async with living(tmp_path) as (agents, _shed):
        found = await put(agents, made())
        (file,) = (tmp_path / "agents").iterdir()
        whole = file.read_bytes()
        file.write_bytes(whole.replace(b"return 1", b"return 2"))
        with pytest.raises(PackageGone):
            agents.code(found.package)
        file.unlink()
        assert agents.find("tell").state == "suspended"
        file.symlink_to("/etc/hostname")
        with pytest.raises(PackageGone):
            agents.code(found.package)
        file.unlink()
    async with living(tmp_path) as (agents, shed):
        assert JOB not in shed.scheduler.jobs
        assert (await put(agents, whole)).state == "active", "installed again, it is whole again"


async def test_one_that_lost_its_package_is_suspended_until_it_is_installed_again(
    tmp_path: Path,
) -> None:
    async with living(tmp_path) as (agents, shed):
        found = await put(agents, made())
        assert not agents.lacks(AGENT)
        (file,) = (tmp_path / "agents").iterdir()
        whole = file.read_bytes()
        for harm in (b"", whole.replace(b"return 1", b"return 2")):
            file.write_bytes(harm)
            with pytest.raises(PackageGone):
                agents.code(found.package)
            assert agents.lacks(AGENT), "its job would fail each time"
            lost = await agents.suspend(AGENT)
            assert (lost.state, lost.stop, lost.granted) == ("suspended", "gone", {})
            assert "install the same package again" in lost.next_action
            assert JOB not in shed.scheduler.jobs, "nothing of it is due any more"
            assert not agents.lacks(AGENT)
            assert (await put(agents, whole)).state == "active"
            assert JOB in shed.scheduler.jobs
        file.unlink()
        assert agents.lacks(AGENT)
        assert (await agents.suspend(AGENT)).stop == "gone"
        assert not agents.lacks("00000000/nobody")


async def test_what_a_crash_left_is_put_in_order(tmp_path: Path) -> None:
    async with living(tmp_path) as (agents, shed):
        await put(agents, made())
        kept = shed.scheduler.jobs[JOB]
        await agents.remove(AGENT)
        await shed.scheduler.define(kept)
        (tmp_path / "agents" / f"{'0' * 64}.agent").write_bytes(b"half")
    async with living(tmp_path) as (agents, shed):
        assert shed.scheduler.jobs == {}, "a job whose agent is gone goes too"
        assert list((tmp_path / "agents").iterdir()) == []


async def test_a_node_without_the_runner_says_so(tmp_path: Path) -> None:
    async with living(tmp_path, handler="other") as (agents, shed):
        found = await put(agents, made())
        assert (found.state, found.stop) == ("suspended", "no_handler")
        assert shed.scheduler.jobs == {}
    async with living(tmp_path) as (agents, shed):
        assert agents.find("tell").state == "active"


def test_nobody_agrees_to_what_was_not_shown() -> None:
    one = opened(made(more=SENDS))
    shown = (one.manifest, one.hash.hex(), ELM.hex())
    with pytest.raises(NotAgreed) as caught:
        screen.needs_agreement(*shown, (), None)
    report = caught.value.details["report"]
    assert isinstance(report, dict)
    means = [row["means"] for row in report["permissions"]]
    assert means == [
        "Read lists of the community: loan",
        "Send messages by every way that the host has set up",
    ]
    word = str(report["agree"])
    screen.needs_agreement(*shown, (), word)
    more = opened(made(more=SENDS + '"http.fetch" = {}\n'))
    one_hash, more_hash, elm = one.hash.hex(), more.hash.hex(), ELM.hex()
    none: tuple[str, ...] = ()
    for manifest, package, place, without in (
        (more.manifest, one_hash, elm, none),
        (one.manifest, more_hash, elm, none),
        (one.manifest, one_hash, "00" * 32, none),
        (one.manifest, one_hash, elm, ("docs.query",)),
    ):
        with pytest.raises(NotAgreed):
            screen.needs_agreement(manifest, package, place, without, word)
