"""Jobs: what this node does by itself, its agents among it, and what they propose.

Live state, next and last run, what it took and cost, its log, dead letters, what an agent may do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from commons_cli.texts import _
from commons_tui.agents import (
    below,
    cost_fields,
    name_of,
    package_rows,
    permission_rows,
    proposal_detail,
    proposal_rows,
    refused_rows,
    suspended_detail,
    suspended_rows,
    trust_rows,
    unsent_rows,
)
from commons_tui.dialogs.dialog import Say
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row
from commons_tui.words import JOBS, RUNS, ago, at, lasted, look

TAIL: Final = 12
"""Lines of the log that are shown."""
_RUNS: Final = 6


@dataclass(frozen=True, slots=True)
class Found:
    """The answers of ``job.list``, ``agent.list`` and ``proposal.list``."""

    jobs: Sequence[Mapping[str, Any]]
    agents: Sequence[Mapping[str, Any]]
    proposals: Sequence[Mapping[str, Any]]


class Jobs(Listing):
    """What waits for somebody first: proposals, suspended agents, jobs in trouble."""

    events = frozenset({"job", "job_notice", "disk", "agent", "runner"})
    columns = (
        Column("Job", 0, least=12), Column("State", 13), Column("Next", 14, 1),
        Column("Last", 18, 2),
    )  # fmt: skip
    empty = "No jobs."
    BINDINGS = bindings(
        ("job.run", "r", "Run it now"),
        ("job.cancel", "c", "End what waits or runs of it"),
        ("job.retry", "t", "Try again what failed or did not arrive"),
        ("job.pause", "p", "Begin no run of it"),
        ("job.resume", "p", "Let it run again"),
        ("job.dry", "d", "Run it and keep nothing: see what would be"),
        ("proposal.sign", "s", "Sign what an agent proposes"),
        ("proposal.drop", "x", "Drop what an agent proposes"),
        ("agent.grant", "a", "Agree to what an agent asks for"),
        ("agent.set", "e", "Change the settings of an agent"),
        ("agent.remove", "x", "Remove an agent"),
        ("agent.install", "i", "Install an agent"),
    )

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("jobs")
        self.acts = (
            Act("proposal.sign", "s", "Sign", _proposed, self._proposal("proposal.sign")),
            Act("proposal.drop", "x", "Drop", _proposed, self._proposal("proposal.drop")),
            Act("agent.grant", "a", "Grant", _suspended, self._agent("agent.grant")),
            Act("job.run", "r", "Run", _job, self._do("job.run")),
            Act("job.cancel", "c", "Cancel", _open, self._do("job.cancel")),
            Act("job.retry", "t", "Retry",
                lambda row: _job(row) and (row["dead"] > 0 or row["unsent"] > 0),
                self._do("job.retry")),
            Act("job.pause", "p", "Pause", lambda row: _job(row) and row["state"] != "paused",
                self._do("job.pause")),
            Act("job.resume", "p", "Resume", lambda row: _job(row) and row["state"] == "paused",
                self._do("job.resume")),
            Act("job.dry", "d", "Dry run", _job, self._do("job.run", dry=True)),
            Act("agent.set", "e", "Settings", lambda row: _job(row) and bool(row["agent"]),
                self._agent("agent.set", ask=True)),
            Act("agent.remove", "x", "Remove", lambda row: _suspended(row) or (
                _job(row) and bool(row["agent"])), self._agent("agent.remove")),
            Act("agent.install", "i", "Install", lambda _row: True,
                lambda _row: self.app.carry_out("agent.install", ask=True)),
        )  # fmt: skip

    def _do(self, verb: str, **more: object) -> Any:
        def run(row: Mapping[str, Any]) -> None:
            self.app.carry_out(verb, {"job": row["job"], **more})

        return run

    def _proposal(self, verb: str) -> Any:
        def run(row: Mapping[str, Any]) -> None:
            self.app.carry_out(verb, {"proposal": row["proposal"]}, about=str(row["act"]))

        return run

    def _agent(self, verb: str, *, ask: bool = False) -> Any:
        def run(row: Mapping[str, Any]) -> None:
            self.app.carry_out(verb, {"agent": row["agent"]}, ask=ask)

        return run

    async def load(self) -> Found:
        """All jobs and agents; proposals name people: not at a kiosk where nobody acts."""
        see = self.app.bridge.view
        told = self.app.now.me is not None
        return Found(
            (await see("job.list"))["jobs"],
            (await see("agent.list"))["agents"],
            (await see("proposal.list"))["proposals"] if told else (),
        )

    def rows_of(self, found: Found) -> Sequence[Row]:
        """What waits for somebody, then jobs, those with dead letters first."""
        proposals = proposal_rows(found.proposals)
        stopped = suspended_rows(found.agents)
        jobs = [_row(one) for one in sorted(found.jobs, key=lambda one: not one["dead"])]
        if not proposals:
            return [*stopped, *jobs]
        return [*proposals, *below("h-jobs", _("Jobs"), [*stopped, *jobs])]

    async def detail(self, row: Row) -> Detail:
        """Why it does not run, what its last runs took, what it said; of an agent what it may."""
        if _proposed(row.data):
            given = {"proposal": row.data["proposal"]}
            return proposal_detail(await self.app.bridge.view("proposal.show", given))
        if _suspended(row.data):
            given = {"agent": row.data["agent"]}
            return suspended_detail(await self.app.bridge.view("agent.show", given))
        return await self._job_detail(row.data)

    async def _job_detail(self, job: Mapping[str, Any]) -> Detail:
        name, see = job["job"], self.app.bridge.view
        one = await see("job.show", {"job": name})
        log = await see("job.logs", {"job": name, "lines": TAIL})
        agent = await see("agent.show", {"agent": one["agent"]}) if one["agent"] else None
        fields = [
            (_("State"), str(look(JOBS, one["state"]))),
            (_("Next"), at(one["next"])),
            (_("Last"), ago(one["last"])),
            (_("Took"), lasted(one["duration_ms"])),
            (_("Memory"), mib(one["memory"])),
            *cost_fields(one),
            (_("Waiting"), str(one["waiting"] or "-")),
            (_("Dead letters"), str(one["dead"] or "-")),
            (_("Schedule"), agent["when"] if agent else ", ".join(one["schedule"])),
            (_("For"), "-" if agent else str(one["principal"])),
        ]
        # what names people: not at a kiosk where nobody acts; an agent's log may do that, too
        somebody = self.app.now.me is not None
        told = one["notices"] if somebody else []
        noticed = [_opens(f"n{n}", str(notice["text"])) for n, notice in enumerate(told)]
        lines = log["lines"] if somebody or agent is None else []
        rows = [
            *below("h-notices", _("Notices"), noticed[:_RUNS]),
            *(permission_rows(agent) if agent else ()),
            *(trust_rows(agent) if agent and somebody else ()),
            *unsent_rows(one),
            *refused_rows(one),
            *below("h-runs", _("Last runs"), [_run(run) for run in one["runs"][:_RUNS]]),
            *below("h-log", _("Log"),
                   [_opens(f"l{n}", str(line["text"])) for n, line in enumerate(lines)]),
            *(package_rows(agent) if agent else ()),
        ]  # fmt: skip
        failed = next((run["error"] for run in one["runs"] if run["error"]), "")
        said = [str(one["summary"]), str(one["why"]), str(failed) if one["dead"] else ""]
        return Detail(name_of(one), fields, said, rows)

    def open_sub(self, row: Row) -> None:
        """A line that was too long for the screen, whole."""
        if isinstance(row.data, tuple):
            title = str(self.list.row.cells[0] if self.list.row else "")
            self.app.push_screen(Say(title, *row.data))
        else:
            super().open_sub(row)


def _job(row: Any) -> bool:
    return bool(row) and "dead" in row and not row.get("suspended")


def _proposed(row: Any) -> bool:
    return bool(row) and "proposal" in row


def _suspended(row: Any) -> bool:
    return bool(row) and bool(row.get("suspended"))


def _open(row: Any) -> bool:
    return _job(row) and (row["waiting"] > 0 or row["state"] == "running")


def _opens(key: str, words: str) -> Row:
    return Row(key, [words], (words,))


def _run(run: Mapping[str, Any]) -> Row:
    state = look(RUNS, run["state"])
    said = [str(state), ago(run["began"] or run["scheduled"]), lasted(run["wall_ms"])]
    if run["credits"] is not None:
        said.append(_("{credits:.2f} credits").format(credits=run["credits"]))
    if run["dry"]:
        said.append(_("dry run"))
    said += [str(run["error"])] if run["error"] else []
    text = " · ".join(part for part in said if part != "-")
    return Row(f"r{run['run']}", [text], (text,), state.tone)


def _row(one: Mapping[str, Any]) -> Row:
    state = look(JOBS, one["state"])
    last = ago(one["last"])
    if one["last_state"] and last != "-":
        last = f"{last}, {_(look(RUNS, one['last_state']).word)}"
    cells = (name_of(one), str(state), at(one["next"]), last)
    words = f"{' '.join(cells)} {one['job']} {one['summary']}".casefold()
    return Row(str(one["job"]), cells, one, "bad" if one["dead"] else state.tone, words=words)


def mib(size: object) -> str:
    """Bytes in MiB."""
    return _("{count} MiB").format(count=round(size / (1 << 20))) if isinstance(size, int) else "-"


PLACE = Place("jobs", "Jobs", 75, Jobs)
