"""Jobs: what this node does by itself: live state, next and last run, its log, dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from commons_cli.texts import _
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row
from commons_tui.words import JOBS, RUNS, ago, at, lasted, look

TAIL: Final = 12
"""Lines of the log that are shown."""
_RUNS: Final = 6


class Jobs(Listing):
    """One row for each job; whoever is in trouble stands first."""

    events = frozenset({"job", "job_notice", "disk"})
    columns = (
        Column("Job", 12), Column("State", 15), Column("Next", 14, 1), Column("Last", 0, 2),
    )  # fmt: skip
    empty = "No jobs."
    BINDINGS = bindings(
        ("job.run", "r", "Run it now"),
        ("job.cancel", "c", "End what waits or runs of it"),
        ("job.retry", "t", "Try dead letters again"),
        ("job.pause", "p", "Begin no run of it"),
        ("job.resume", "p", "Let it run again"),
        ("job.dry", "d", "Run it and keep nothing: see what would be"),
    )

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("jobs")
        self.acts = (
            Act("job.run", "r", "Run", bool, self._do("job.run")),
            Act("job.cancel", "c", "Cancel", _open, self._do("job.cancel")),
            Act("job.retry", "t", "Retry", lambda row: bool(row) and row["dead"] > 0,
                self._do("job.retry")),
            Act("job.pause", "p", "Pause", lambda row: bool(row) and row["state"] != "paused",
                self._do("job.pause")),
            Act("job.resume", "p", "Resume", lambda row: bool(row) and row["state"] == "paused",
                self._do("job.resume")),
            Act("job.dry", "d", "Dry run", bool, self._do("job.run", dry=True)),
        )  # fmt: skip

    def _do(self, verb: str, **more: object) -> Any:
        def run(row: Mapping[str, Any]) -> None:
            self.app.carry_out(verb, {"job": row["job"], **more})

        return run

    async def load(self) -> Sequence[Mapping[str, Any]]:
        """All jobs."""
        found: Sequence[Mapping[str, Any]] = (await self.app.bridge.view("job.list"))["jobs"]
        return found

    def rows_of(self, found: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """Those with dead letters first."""
        return [_row(one) for one in sorted(found, key=lambda one: not one["dead"])]

    async def detail(self, row: Row) -> Detail:
        """Why it does not run, what its last runs took, what it said."""
        name = row.data["job"]
        one = await self.app.bridge.view("job.show", {"job": name})
        log = await self.app.bridge.view("job.logs", {"job": name, "lines": TAIL})
        fields = [
            (_("State"), str(look(JOBS, one["state"]))),
            (_("Next"), at(one["next"])),
            (_("Last"), ago(one["last"])),
            (_("Took"), lasted(one["duration_ms"])),
            (_("Memory"), mib(one["memory"])),
            (_("Credits"), str(one["credits"] if one["credits"] is not None else "-")),
            (_("Waiting"), str(one["waiting"] or "-")),
            (_("Dead letters"), str(one["dead"] or "-")),
            (_("Schedule"), ", ".join(one["schedule"])),
            (_("For"), str(one["agent"] or one["principal"])),
        ]
        # notices name people: not at a kiosk where nobody acts
        told = one["notices"] if self.app.now.me is not None else []
        noticed = [Row(f"n{n}", [str(notice["text"])]) for n, notice in enumerate(told)]
        runs = [_run(run) for run in one["runs"][:_RUNS]]
        lines = [Row(f"l{n}", [str(line["text"])]) for n, line in enumerate(log["lines"])]
        rows = [
            *_below("h-notices", _("Notices"), noticed[:_RUNS]),
            *_below("h-runs", _("Last runs"), runs),
            *_below("h-log", _("Log"), lines),
        ]
        failed = next((run["error"] for run in one["runs"] if run["error"]), "")
        said = [str(one["summary"]), str(one["why"]), str(failed) if one["dead"] else ""]
        return Detail(name, fields, said, rows)


def _below(key: str, title: str, rows: Sequence[Row]) -> list[Row]:
    return [Row(key, [title], heading=True), *rows] if rows else []


def _open(row: Any) -> bool:
    return bool(row) and (row["waiting"] > 0 or row["state"] == "running")


def _run(run: Mapping[str, Any]) -> Row:
    state = look(RUNS, run["state"])
    said = [str(state), ago(run["began"] or run["scheduled"]), lasted(run["wall_ms"])]
    if run["dry"]:
        said.append(_("dry run"))
    said += [str(run["error"])] if run["error"] else []
    return Row(
        f"r{run['run']}", [" · ".join(part for part in said if part != "-")], tone=state.tone
    )


def _row(one: Mapping[str, Any]) -> Row:
    state = look(JOBS, one["state"])
    last = ago(one["last"])
    if one["last_state"] and last != "-":
        last = f"{last}, {_(look(RUNS, one['last_state']).word)}"
    cells = (str(one["job"]), str(state), at(one["next"]), last)
    words = f"{' '.join(cells)} {one['summary']}".casefold()
    return Row(str(one["job"]), cells, one, "bad" if one["dead"] else state.tone, words=words)


def mib(size: object) -> str:
    """Bytes in MiB."""
    return _("{count} MiB").format(count=round(size / (1 << 20))) if isinstance(size, int) else "-"


PLACE = Place("jobs", "Jobs", 75, Jobs)
