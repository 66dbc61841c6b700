"""Forecasts how many requests the next week brings, for all things and for each kind."""

from collections import Counter
from datetime import UTC, datetime

from forecast import backtest

WEEK_MS = 7 * 24 * 3_600_000
ALL, OTHER = "all", "others"
LEAST = 12
"""Weeks of which something can be said."""


def main(event, host):
    """A forecast for each kind, with the error that its method had in the newest weeks."""
    settings = event["settings"]
    counts = demand(host, host.now()["ms"], settings["weeks"])
    long = begun(counts[ALL])
    if len(long) < LEAST:
        host.log(f"{len(long)} weeks are known, {LEAST} are needed")
        return {"weeks": len(long), "kinds": [], "text": None}
    # of a short history the newer half is for the error, as far as it goes
    tested = max(min(settings["tested"], len(long) // 2), 1)
    chosen = max(min(settings["chosen"], len(long) - tested - 2), 1)
    found = []
    for kind, series in grouped(counts, settings["least"]).items():
        part = series[-len(long) :]
        tried = backtest(part, chosen, tested, settings["season"])
        found.append({"kind": kind, "last_week": part[-1], "requests": sum(part), **tried})
    found.sort(key=lambda row: (row["kind"] != ALL, -row["forecast"], row["kind"]))
    text = "\n".join(sentence(row, tested) for row in found)
    host.notify.send(title="Demand next week", text=text[:2_000], via=settings["via"])
    whole = found[0]
    host.metrics.put(values={
        "forecast": whole["forecast"], "error": whole["error"], "naive_error": whole["naive_error"],
    })  # fmt: skip
    host.log(text)
    return {"weeks": len(long), "tested": tested, "kinds": found, "text": text}


def demand(host, now_ms, weeks):
    """Requests in each of the whole weeks before now, the oldest first, by kind."""
    kinds = {row["resource"]: kind_of(row["categories"])
             for row in rows(host, "resource", ["resource", "categories"])}  # fmt: skip
    counts = {ALL: [0] * weeks}
    for row in rows(host, "loan", ["resource", "from"]):
        if row["from"] is None:
            continue
        at = datetime.fromisoformat(row["from"]).astimezone(UTC)
        ago = (now_ms - 1 - int(at.timestamp() * 1000)) // WEEK_MS
        if not 0 <= ago < weeks:
            continue  # asked for from a day to come, or before
        for kind in (ALL, kinds.get(row["resource"], OTHER)):
            counts.setdefault(kind, [0] * weeks)[weeks - 1 - ago] += 1
    return counts


def kind_of(categories):
    """The first category of a thing."""
    return (categories or "").split(";")[0].strip() or OTHER


def begun(series):
    """Without the weeks before the first request: nobody was there yet."""
    first = next((at for at, value in enumerate(series) if value), len(series))
    return series[first:]


def grouped(counts, least):
    """Kinds with few requests together: of three requests in a year nothing can be said."""
    found, others = {}, Counter()
    for kind, series in counts.items():
        if kind != OTHER and sum(series) >= least:
            found[kind] = series
        else:
            others.update(dict(enumerate(series)))
    if sum(others.values()):
        found[OTHER] = [others[at] for at in range(len(counts[ALL]))]
    return found


def sentence(row, tested):
    """A line, honest about how good it is."""
    worth = (
        f"off by {row['error']:.1f} a week in the last {tested} weeks;"
        f" to say the same as last week would be off by {row['naive_error']:.1f}"
    )
    if not row["better"]:
        worth += ": no better than that"
    return (
        f"{row['kind']}: about {row['forecast']:.1f} (last week {row['last_week']}),"
        f" by {row['method']}; {worth}."
    )


def rows(host, collection, fields, where=None):
    """All rows, page by page."""
    after = None
    while True:
        page = host.query(collection, fields=fields, where=where or {}, after=after)
        yield from page["rows"]
        if not page["more"]:
            return
        after = page["next"]
