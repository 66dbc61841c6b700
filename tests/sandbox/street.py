"""A small street for the example agents: rows that the broker reads, and a locked worker that runs.

The broker, its file and its checks are the real ones; what an agent is granted is what its own
``agent.toml`` asks for, and no more. Only the rows are written by hand here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from tests.sandbox.prepared import Runs, agents
from tests.unit.bureau import Bureau, bureau

from commons_node.agents.folders import read_folder
from commons_node.agents.manifest import parse
from commons_node.capabilities.proposing import proposable
from commons_node.domains import registry
from commons_node.jobs.frames import Done
from commons_node.jobs.job import Limits
from commons_node.jobs.metering import Allowed, Meter
from commons_node.registry import Reading, Registry, Request, View, option

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "agents"
NAMES: Final = tuple(sorted(one.name for one in EXAMPLES.iterdir() if one.is_dir()))
MONDAY: Final = datetime(2026, 5, 25, 7, 0, tzinfo=UTC)
"""When all of it happens, unless the clock is put forward."""


def moment(days: float = 0.0) -> str:
    """So many days from ``MONDAY``, as rows have it."""
    return (MONDAY + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def loan(n: int, thing: int, name: str, who: str, state: str, **more: Any) -> dict[str, Any]:
    """A row of ``loan list``."""
    row = {
        "loan": f"{n:064x}", "resource": f"{thing:064x}", "number": str(thing), "name": name,
        "borrower": who.encode().hex().ljust(64, "0"), "borrower_name": who, "state": state,
        "from": moment(-10), "due": moment(-2), "due_day": moment(-2)[:10], "overdue": False,
        "steps": [{"device": "not for agents"}],
    }  # fmt: skip
    return row | {key.rstrip("_"): value for key, value in more.items()}


def thing(n: int, name: str, state: str = "available", **more: Any) -> dict[str, Any]:
    """A row of ``resource list``."""
    return {
        "resource": f"{n:064x}", "number": str(n), "name": name, "state": state, "brand": None,
        "model": None, "categories": None, "quantity": 1, "out": int(state == "on_loan"), **more,
    }  # fmt: skip


def person(name: str, **more: Any) -> dict[str, Any]:
    """A row of ``member profile list``."""
    return {
        "member": name.encode().hex().ljust(64, "0"), "name": name, "languages": None,
        "about": None, "contact": None, **more,
    }  # fmt: skip


def line(kind: str, author: str, days: float, about: str | None = None) -> dict[str, Any]:
    """A row of ``activity list``."""
    return {"kind": kind, "author": author, "about": about, "time": moment(days),
            "verdict": "accepted"}  # fmt: skip


class Nothing(msgspec.Struct):
    """Any arguments of a view; the rows are the same."""

    limit: Annotated[int | None, option("at most so many")] = None


def _registry(rows: Mapping[str, list[dict[str, Any]]]) -> Registry:
    """The program's own commands; views that answer these rows."""
    lists = {"loan.list": "loans", "resource.list": "resources",
             "member.profile.list": "profiles", "activity.list": "activity"}  # fmt: skip

    def view(name: str, key: str) -> View:
        async def read(_request: Request[Any], _args: Nothing) -> Reading:
            return Reading({key: rows.get(key, [])}, as_of="00")

        return View(name, "Rows.", Nothing, read)

    return replace(registry(), views=tuple(view(name, key) for name, key in lists.items()))


@dataclass
class Street:
    """A node's broker and a pool of workers. ``rows`` by the key of their view's list."""

    house: Bureau
    runs: Runs
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def later(self, days: float) -> None:
        """The clock goes on."""
        self.house.pass_time(days * 86_400)

    async def run(self, name: str, **settings: Any) -> Any:
        """Run an example to its end in a locked worker; what it answers. Its effects are kept."""
        toml, code = read_folder(EXAMPLES / name)
        manifest = parse(toml, publisher="0123abcd" * 8)
        unknown = settings.keys() - manifest.settings.keys()
        assert not unknown, f"no such setting: {unknown}"
        self.house.granted = dict(manifest.capabilities)
        self.house.limits = manifest.limits
        run = await self.house.run()
        limits = Limits(
            wall_s=manifest.limits.wall_s, cpu_s=60, memory_mib=manifest.limits.memory_mib,
            calls=manifest.limits.calls,
        )  # fmt: skip
        ended = await self.runs(
            {path: data.decode() for path, data in code.items()},
            broker=run.dealing.answer, limits=limits, fuel=manifest.limits.fuel,
            output_bytes=min(manifest.limits.output_bytes, 512 << 10),
            settings={**manifest.settings, **settings}, timezone="Europe/Stockholm",
        )  # fmt: skip
        assert isinstance(ended, Done), f"{name}: {ended} {self.runs.attempt.lines}"
        assert run.dealing.refused == {} or settings, run.dealing.refused
        await run.done()
        return ended.result

    async def notices(self) -> list[str]:
        """What was said to the host, in order."""
        found = await self.house.rows("SELECT text FROM notices ORDER BY notice")
        return [text for (text,) in found]

    async def proposals(self) -> list[tuple[str, dict[str, Any], str]]:
        """What waits for a signature: command, arguments, why."""
        found = await self.house.rows(
            "SELECT command, arguments, why FROM proposals ORDER BY proposal"
        )
        return [(command, msgspec.json.decode(given), why) for command, given, why in found]


@asynccontextmanager
async def street(folder: Path, runs: Runs, **given: Any) -> AsyncIterator[Street]:
    """One for a test."""
    meter = Meter(Allowed(run=50, agent_day=500, principal_day=500))
    async with bureau(folder, wall=round(MONDAY.timestamp() * 1000), meter=meter, **given) as house:
        made = Street(house, runs)
        verbs = _registry(made.rows)
        house.inside = replace(house.inside, registry=verbs, acts=proposable(verbs))
        yield made


__all__ = ["EXAMPLES", "NAMES", "agents", "line", "loan", "moment", "person", "street", "thing"]
