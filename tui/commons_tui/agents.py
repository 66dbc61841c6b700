"""Agents as the place Jobs shows them: what each may do, what it costs, what it proposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from commons_cli.texts import _, ngettext
from commons_tui.listing import Detail
from commons_tui.rows import Row
from commons_tui.words import JOBS, PROPOSALS, ago, at, look

_ID: Final = 64


def name_of(job: Mapping[str, Any]) -> str:
    """A job's name as people say it: of an agent's the agent's, without its publisher."""
    return str(job["agent"] or job["job"]).partition("/")[2] or str(job["job"])


def below(key: str, title: str, rows: Sequence[Row]) -> list[Row]:
    """Rows under a heading; nothing where there are none."""
    return [Row(key, [title], heading=True), *rows] if rows else []


# -- proposals -------------------------------------------------------------------------------------


def proposal_rows(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """What waits for a signature, the oldest first, under a heading that counts."""
    title = ngettext("{count} proposal to sign", "{count} proposals to sign", len(found))
    rows = [_proposal(one) for one in sorted(found, key=lambda one: int(one["proposal"]))]
    return below("h-proposals", title.format(count=len(found)), rows)


def _proposal(one: Mapping[str, Any]) -> Row:
    state = look(PROPOSALS, one["state"])
    what = str(one["why"] or one["command"].replace(".", " "))
    cells = (what, str(state), "-", ago(one["time"]))
    words = f"{one['act']} {one['why']} {one['agent']}".casefold()
    return Row(f"proposal {one['proposal']}", cells, one, state.tone, words=words)


def proposal_detail(one: Mapping[str, Any]) -> Detail:
    """Everything that a member has to know before signing it."""
    given = [(f"  {name.replace('_', ' ')}", _short(value)) for name, value in one["args"].items()]
    fields = [
        (_("State"), str(look(PROPOSALS, one["state"]))),
        (_("Act"), str(one["command"]).replace(".", " ")),
        *given,
        (_("By"), str(one["agent"]).partition("/")[2]),
        (_("For"), str(one["principal_name"] or "-")),
        (_("Proposed"), ago(one["time"])),
    ]
    title = f"{one['proposal']}: {one['why']}" if one["why"] else str(one["act"])
    failed = _("Signing it failed: {why}").format(why=one["error"]) if one["error"] else ""
    held = _("The agent is trusted with that, but {why}.").format(why=one["held"])
    said = [str(one["summary"] or ""), failed, held if one["held"] else ""]
    return Detail(title, fields, said)


def _short(value: object) -> str:
    """Of an id as much as other places show of it."""
    text = str(value)
    return text[:12] if len(text) == _ID and set(text) <= set("0123456789abcdef") else text


# -- agents ----------------------------------------------------------------------------------------


def suspended_rows(agents: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Agents that may do nothing before somebody has agreed: they have no job."""
    return [_suspended(one) for one in agents if one["state"] == "suspended"]


def _suspended(one: Mapping[str, Any]) -> Row:
    state = look(JOBS, one["state"])
    cells = (str(one["name"]), str(state), "-", "-")
    words = f"{' '.join(cells)} {one['summary']}".casefold()
    return Row(f"agent {one['agent']}", cells, {**one, "suspended": True}, state.tone, words=words)


def suspended_detail(one: Mapping[str, Any]) -> Detail:
    """Why it is suspended, and what it asks for."""
    fields = [
        (_("State"), str(look(JOBS, "suspended"))),
        (_("Schedule"), str(one["when"])),
    ]
    said = [str(one["summary"]), str(one["why"] or "")]
    return Detail(str(one["name"]), fields, said, [*permission_rows(one), *package_rows(one)])


def package_rows(one: Mapping[str, Any]) -> list[Row]:
    """Which version by whom, what one run may take, and how it is set."""
    publisher = str(one["publisher"])
    said = [
        (f"{one['version']} · {publisher[:16]}", _("publisher {key}").format(key=publisher)),
        (_("One run: {limits}").format(limits=one["run"]),),
        *((f"{name} = {value}",) for name, value in sorted(one["settings"].items())),
    ]
    rows = [Row(f"package{n}", [lines[0]], lines) for n, lines in enumerate(said)]
    return below("h-package", _("Package"), rows)


def permission_rows(one: Mapping[str, Any]) -> list[Row]:
    """What it may do, and what was withheld; each opens to the whole sentence."""
    return below("h-may", _("May do"), [_permission(n, row) for n, row in
                                        enumerate(one["permissions"])])  # fmt: skip


def _permission(n: int, row: Mapping[str, Any]) -> Row:
    granted = bool(row.get("granted"))
    means = str(row["means"])
    said = [means, str(row["bounds"] or ""), str(row["capability"])]
    sign = "✓" if granted else "✕"
    return Row(f"may{n}", [f"{sign} {means}"], tuple(said), "" if granted else "quiet")


def trust_rows(one: Mapping[str, Any]) -> list[Row]:
    """What is signed without asking, in whose name; each opens to until when, and why not now."""
    return below("h-trust", _("Signed beforehand"), [_trust(row) for row in one["trust"]])


def _trust(row: Mapping[str, Any]) -> Row:
    act = str(row["act"]).replace(".", " ")
    text = _("{act}, as {member}: {used} of {each_day} today").format(
        act=act, member=row["member_name"], used=row["used"], each_day=row["each_day"]
    )
    said = [text, _("until {moment}").format(moment=at(row["until"])), str(row["why"] or "")]
    return Row(f"trust{row['policy']}", [text], tuple(said), "quiet" if row["why"] else "")


def cost_fields(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What all its runs have cost, and today's share of the day's budget; nothing of duties."""
    budget = one.get("budget")
    if not budget:
        return []
    day = budget["agent"]
    return [
        (_("Credits"), f"{one['credits'] or 0:.2f}"),
        (_("Today"), _("{used:.2f} of {most:g}").format(used=day["used"], most=day["of"])),
    ]


def refused_rows(one: Mapping[str, Any]) -> list[Row]:
    """What its last run was refused."""
    rows = [
        Row(f"no{n}", [f"✕ {row['method']}: {row['text']}"],
            (str(row["text"]), f"{row['method']} · {row['code']} · {row['count']}"), "warn")
        for n, row in enumerate(one.get("refused") or ())
    ]  # fmt: skip
    return below("h-refused", _("Refused"), rows)


def unsent_rows(one: Mapping[str, Any]) -> list[Row]:
    """What it has sent that has not arrived; each opens to why, and what to do."""
    rows = [
        Row(f"unsent{n}", [f"✕ {row['sentence']}"],
            (str(row["sentence"]), str(row["next_action"])), "warn")
        for n, row in enumerate(one["besides"])
        if row["code"] in {"late", "lost"}
    ]  # fmt: skip
    return below("h-unsent", _("Not arrived"), rows)
