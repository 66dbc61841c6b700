"""The tables of docs/scale.md, from what `jobs` found. Numbers are only set, none is made here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from commons_node.testing.scale.jobs import Figures

Results = Mapping[str, Figures]

_NEVER = "never"


def tables(results: Results) -> dict[str, str]:
    """Markdown by name; a table whose runs are missing is left out."""
    made: dict[str, Callable[[Results], str]] = {
        "spread": _spread, "bytes": _bytes, "idle": _idle, "meshes": _meshes,
        "routers": _routers, "communities": _communities, "hubs": _hubs, "islands": _islands,
    }  # fmt: skip
    return {name: text for name, make in made.items() if (text := make(results))}


def write(page: str, made: Mapping[str, str]) -> str:
    """``page`` with each table between its two marks replaced; ``ValueError`` if marks lack."""
    for name, text in made.items():
        marks = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
        page, found = pattern.subn(lambda _, t=text, m=marks: f"{m[0]}\n{t}\n{m[1]}", page)  # type: ignore[misc]  # binds
        if found != 1:
            raise ValueError(f"the page has no place for the table {name!r}")
    return page


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    if not body:
        return ""
    ruler = "|" + "---|" * len(head)
    return "\n".join(["| " + " | ".join(head) + " |", ruler, *body])


def _of(results: Results, prefix: str) -> list[Figures]:
    """Runs whose name begins so, the smallest first."""
    found = [(int(n.removeprefix(prefix)), f) for n, f in results.items() if n.startswith(prefix)]
    return [figures for _, figures in sorted(found, key=lambda one: one[0])]


def _phases(results: Results, *names: str) -> list[Any]:
    return [phase for name in names for phase in results.get(name, {}).get("phases", ())]


def _weather(phase: Any) -> str:
    said = phase["phase"]
    return f"{said['lost']:.0%} lost" + (f", {said['churn']:.0%} churn" if said["churn"] else "")


def _spread(results: Results) -> str:
    alone = {_weather(p): p for p in _phases(results, "gossip alone")}
    rows = []
    for phase in _phases(results, "spread calm", "spread rough"):
        by_gossip = alone.get(_weather(phase))
        seconds, hops, copies = phase["seconds"], phase["hops"], phase["copies"]
        rows.append([
            _weather(phase),
            _share(by_gossip["missed"], by_gossip["pairs"]) if by_gossip else "",
            phase["missed"],
            f"{phase['locked_out']} ({phase['missed_outside']})",
            f"{copies['all']:.2f} ({copies['push']:.2f}, {copies['pull']:.3f})",
            f"{hops['p50']}, {hops['p99']}, {hops['max']}",
            ", ".join(_seconds(seconds[name]) for name in ("50 %", "99 %", "100 %", "worst")),
            f"{phase['bytes']['all']:,.0f}",
            sum(phase["faults"].values()),
        ])  # fmt: skip
    head = (
        "weather", "missed by gossip alone", "missed after anti-entropy", "locked out (missed)",
        "copies of a body (push, pull)", "hops p50, p99, max", "seconds to 50, 99, 100 %, worst",
        "bytes a node and write", "faults",
    )  # fmt: skip
    return _table(head, rows)


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole:,} ({part / whole:.2%})"


def _seconds(value: float | None) -> str:
    return _NEVER if value is None else f"{value:.2f}"


def _bytes(results: Results) -> str:
    phases = _phases(results, "spread calm", "spread rough")
    kinds = sorted({kind for phase in phases for kind in phase["bytes"]} - {"all"})
    rows = [
        [kind, *(f"{phase['bytes'].get(kind, 0):,.0f}" for phase in phases)]
        for kind in [*kinds, "all"]
    ]
    return _table(["message", *map(_weather, phases)], rows) if phases else ""


def _idle(results: Results) -> str:
    found = results.get("spread calm")
    if found is None:
        return ""
    rows = [[kind, f"{size:,.0f}"] for kind, size in found["idle"].items()]
    return _table(("message", "bytes that come to a node in an hour"), rows)


def _meshes(results: Results) -> str:
    rows = []
    for found in _of(results, "mesh "):
        phase = found["phases"][0]
        copies = phase["copies"]
        rows.append([
            found["plan"]["nodes"], f"{found['connections']:.0f}", f"{copies['all']:.2f}",
            f"{copies['push']:.2f}", f"{copies['gossip']:.2f}", _seconds(phase["seconds"]["99 %"]),
            f"{phase['bytes']['all']:,.0f}", f"{phase['bytes'].get('gossip publish', 0):,.0f}",
            f"{found['idle']['all']:,.0f}",
        ])  # fmt: skip
    head = (
        "nodes", "connections", "copies of a body", "by push", "by gossip", "seconds to 99 %",
        "bytes a node and write", "of these gossip", "idle bytes a node and hour",
    )  # fmt: skip
    return _table(head, rows)


def _routers(results: Results) -> str:
    rows = [
        [
            neighbours,
            *(
                cell
                for found in pair
                for cell in (
                    f"{found['mesh']:.1f}", f"{found['copies']:.2f}", f"{found['control']:,.0f}",
                )
            ),
        ]
        for neighbours, pair in _pairs(results)
    ]  # fmt: skip
    head = (
        "neighbours", "mesh peers", "copies of a message", "GRAFT, PRUNE: bytes an hour",
        "mesh peers without it", "copies without it", "bytes an hour without it",
    )  # fmt: skip
    return _table(head, rows)


def _pairs(results: Results) -> list[tuple[int, tuple[Figures, Figures]]]:
    """By neighbours: with and without opportunistic grafting."""
    numbers = sorted(int(n.split()[-1]) for n in results if n.startswith("routers "))
    return [
        (n, (results[f"routers {n}"], results[f"calm routers {n}"]))
        for n in numbers
        if f"calm routers {n}" in results
    ]


def _communities(results: Results) -> str:
    rows = [
        [
            found["plan"]["communities"], found["nodes"], cost["communities"],
            f"{cost['connections']:.1f}", f"{cost['topics']:.0f}", f"{cost['rounds']:,.0f}",
            f"{cost['idle']:,.0f}", f"{cost['written']:,.0f}",
            f"{found['converged']} of {found['plan']['communities']}", found["trespasses"],
        ]
        for found in _of(results, "bridges ")
        for cost in found["costs"]
    ]  # fmt: skip
    head = (
        "communities", "nodes", "a node in", "its connections", "topics", "comparisons an hour",
        "idle bytes an hour", "bytes for a write in each of its", "converged", "trespasses",
    )  # fmt: skip
    return _table(head, rows)


def _hubs(results: Results) -> str:
    rows = []
    for found in _of(results, "hub "):
        cost = found["costs"][-1]
        rows.append([
            found["plan"]["hub"], f"{cost['connections']:.0f}", f"{cost['topics']:.0f}",
            found["refused_topics"], found["hub_talks"], found["hub_lacks"],
            f"{cost['idle']:,.0f}", found["trespasses"],
        ])  # fmt: skip
    head = (
        "communities of the hub", "connections", "topics", "announcements refused",
        "communities spoken of", "communities that lack something", "idle bytes an hour",
        "trespasses",
    )  # fmt: skip
    return _table(head, rows)


def _islands(results: Results) -> str:
    rows = [
        [
            f"two of {found['nodes'] // 2}", found["plan"]["places"], found["full"],
            "yes" if found["connected"] else "refused",
            "yes" if found["converged"] else "no",
        ]
        for found in reversed(_of(results, "islands "))
    ]  # fmt: skip
    head = ("islands", "places of a node", "nodes without a free place", "`peer connect`",
            "found together in 30 minutes")  # fmt: skip
    return _table(head, rows)
