"""What an agent may do, in plain words: the screen of permissions, and what an upgrade changes.

Every sentence stands here with its fields beside it, so that it can be translated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from commons_crdt.texts import N_, _, ngettext
from commons_node.agents import quantities
from commons_node.agents.grants import within
from commons_node.agents.manifest import AgentLimits, Grant, Manifest

if TYPE_CHECKING:
    from commons_node.capabilities.rehearsing import Rehearsed

Change = Literal["new", "wider", "narrower", "changed", "gone", "as before", "withheld"]


@dataclass(frozen=True, slots=True)
class Means:
    """A capability: what it means with its main bound (``field``, {what}), and without.

    Where ``whole`` is empty it reaches nothing without that bound.
    """

    whole: str
    field: str = ""
    bounded: str = ""


MEANS: Final[Mapping[str, Means]] = {
    "docs.query": Means(
        "", "collections", N_("Read lists of the community: {what}"),
    ),
    "docs.get": Means(
        "", "collections", N_("Look at single entries of the community: {what}"),
    ),
    "docs.propose": Means(
        "", "kinds", N_("Prepare acts for a member to sign, or not: {what}"),
    ),
    "notify.send": Means(
        N_("Send messages by every way that the host has set up"),
        "drivers", N_("Send messages by: {what}"),
    ),
    "driver.send": Means(
        "", "drivers", N_("Use these devices: {what}"),
    ),
    "driver.read": Means(
        "", "drivers", N_("Read from these devices: {what}"),
    ),
    "http.fetch": Means(
        "", "hosts",
        N_("Reach these addresses on the internet: {what}; what it knows may go there"),
    ),
    "model.infer": Means(
        "", "drivers", N_("Ask these models: {what}"),
    ),
    "metrics.put": Means(N_("Keep figures on this node")),
    "kv.get": Means(N_("Read its own notes")),
    "kv.put": Means(N_("Keep notes of its own, from one run to the next")),
    "kv.delete": Means(N_("Delete its own notes")),
    "kv.list": Means(N_("List its own notes")),
    "log": Means(N_("Write lines to its log")),
    "now": Means(N_("Know the time")),
    "random": Means(N_("Draw random numbers")),
}  # fmt: skip
"""By method."""
UNKNOWN: Final = N_("This version does not know what {method} is, and does not let it")

CHANGES: Final[Mapping[Change, str]] = {
    "new": N_("new"),
    "wider": N_("wider"),
    "narrower": N_("narrower"),
    "changed": N_("changed"),
    "gone": N_("gone"),
    "as before": N_("as before"),
    "withheld": N_("withheld"),
}
_LIMITS: Final[Mapping[str, str]] = {
    "fuel": N_("computing steps (fuel) of one run"),
    "memory_mib": N_("MiB of memory"),
    "wall_s": N_("seconds of one run"),
    "calls": N_("calls of one run"),
    "output_bytes": N_("bytes of its answer"),
    "kv_bytes": N_("bytes of notes of its own"),
    "concurrency": N_("runs at once"),
    "credits": N_("compute credits of one run"),
}


def means(method: str, grant: Grant) -> str:
    """What a capability lets an agent do, in one sentence."""
    found = MEANS.get(method)
    if found is None:
        return _(UNKNOWN).format(method=method)
    values = getattr(grant, found.field) if found.field else None
    if values is None and found.whole:
        return _(found.whole)
    return _(found.bounded).format(what=", ".join(values or ()) or _("nothing"))


def bounds(method: str, grant: Grant) -> list[str]:
    """What narrows it further, each in words."""
    main = MEANS[method].field if method in MEANS else ""
    said = []
    for name, text in _WORDS.items():
        values = getattr(grant, name)
        if values is not None and name != main:
            said.append(_(text).format(what=", ".join(values) or _("nothing")))
    for key, value in (grant.where or {}).items():
        said.append(_("only where {field} is {value}").format(field=key, value=_plain(value)))
    if grant.max_rows is not None:
        said.append(ngettext("at most {n} row", "at most {n} rows", grant.max_rows).format(
            n=grant.max_rows))  # fmt: skip
    if grant.max_bytes is not None:
        said.append(ngettext("at most {n} byte", "at most {n} bytes", grant.max_bytes).format(
            n=grant.max_bytes))  # fmt: skip
    if grant.rate is not None:
        count, period = quantities.rate(grant.rate)
        said.append(_RATES[period](count).format(n=count))
    return said


_WORDS: Final[Mapping[str, str]] = {
    "collections": N_("only from: {what}"),
    "fields": N_("only the fields: {what}"),
    "kinds": N_("only the acts: {what}"),
    "hosts": N_("only these addresses: {what}"),
    "drivers": N_("only with: {what}"),
}
_RATES: Final[Mapping[int, Callable[[int], str]]] = {
    60: lambda n: ngettext("at most {n} time a minute", "at most {n} times a minute", n),
    3600: lambda n: ngettext("at most {n} time an hour", "at most {n} times an hour", n),
    86_400: lambda n: ngettext("at most {n} time a day", "at most {n} times a day", n),
}


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def permissions(
    manifest: Manifest,
    former: Mapping[str, Grant] | None,
    withheld: Collection[str],
) -> list[dict[str, object]]:
    """The screen: a row for each capability, and what ``former`` had and this has not."""
    rows = [
        _row(method, grant, _change(method, grant, former, withheld))
        for method, grant in sorted(manifest.capabilities.items())
    ]
    gone = [method for method in former or {} if method not in manifest.capabilities]
    return rows + [_row(method, (former or {})[method], "gone") for method in sorted(gone)]


def _row(method: str, grant: Grant, change: Change) -> dict[str, object]:
    return {
        "capability": method,
        "means": means(method, grant),
        "bounds": "; ".join(bounds(method, grant)),
        "change": change,
        "changes": _(CHANGES[change]),
        "grant": msgspec.to_builtins(grant),
    }


def _change(
    method: str, grant: Grant, former: Mapping[str, Grant] | None, withheld: Collection[str]
) -> Change:
    if method in withheld:
        return "withheld"
    if former is None or method not in former:
        return "new"
    before = former[method]
    narrower, wider = within(grant, before), within(before, grant)
    if narrower and wider:
        return "as before"
    return "narrower" if narrower else "wider" if wider else "changed"


def limit_rows(limits: AgentLimits, former: AgentLimits | None) -> list[dict[str, object]]:
    """What one run may take; with a former version, only what changes."""
    rows = []
    for name, text in _LIMITS.items():
        value = getattr(limits, name)
        before = getattr(former, name) if former is not None else None
        if value is not None and (former is None or value != before):
            rows.append({"limit": name, "means": _(text), "most": value, "before": before})
    return rows


def trusted(rows: Sequence[Mapping[str, object]]) -> str:
    """What is signed without asking, for whom, how often and until when; a dash for nothing."""
    found = [
        _("{act} by {member}, {used} of {each_day} today, until {until}").format(
            act=row["act"], member=row["member_name"], used=row["used"],
            each_day=row["each_day"], until=str(row["until"])[:10],
        )
        for row in rows
    ]  # fmt: skip
    stops = [
        _("{act}: not now, {why}").format(act=row["act"], why=row["why"])
        for row in rows
        if row["why"]
    ]
    return "; ".join([*found, *stops]) or "-"


def in_words(one: Rehearsed) -> str:
    """A rehearsal: what it took, what it called, and what it would have done."""
    took = _(
        "In the sandbox it took {ms} ms, {fuel} computing steps, {mib} MiB and {credits:.3f}"
        " credits."
    ).format(ms=one.wall_ms, fuel=one.fuel, mib=-(-one.memory >> 20), credits=one.credits)
    called = ", ".join(f"{method} {count}" for method, count in one.calls.items()) or "-"
    lines = [took, _("It called: {calls}").format(calls=called)]
    for effect in one.would:
        body = json.dumps(effect["body"], ensure_ascii=False)
        lines.append(_("It would: {kind} {body}").format(kind=effect["kind"], body=body[:_SHOWN]))
    return "\n".join([*lines, *(_("It wrote: {line}").format(line=line) for line in one.lines)])


_SHOWN: Final = 200
