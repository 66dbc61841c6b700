"""What happened in a week, as one message: numbers, and names of what people did for others.

Who was at which place is never said: only how many people told that they were somewhere, and that
only where they are enough (``fewest``) that it says nothing about one of them.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta

ASKED = ("lending.request.1", "lending.request.2")
LENT, BACK, DECISION = "lending.accept.1", "lending.receive.1", "lending.decision.1"
NEW, WORDS, THERE = "membership.admit.1", "reputation.attest.1", "space.presence.1"
MOST = 500
"""Lines that the node tells of at once: a week with more of them is told in part."""

TEXTS = {
    "en": {
        "title": "Week {week} in the neighbourhood",
        "asked": "Asked for: {n}", "lent": "Lent: {n}", "back": "Came back: {n}",
        "new": "New neighbours: {n}", "words": "Words about loans: {n}",
        "often": "Most in demand: {names}", "helped": "Handed most over or back: {names}",
        "out": "Out now: {n}", "late": "Overdue: {names}", "soon": "Due next week: {names}",
        "there": "People who told where they were: {n}", "few": "fewer than {fewest}",
        "part": "There was more than can be told at once: numbers are at least these.",
        "quiet": "A quiet week: nothing was asked for, lent or brought back.",
    },
    "sv": {
        "title": "Vecka {week} i grannskapet",
        "asked": "Önskemål: {n}", "lent": "Utlånat: {n}", "back": "Återlämnat: {n}",
        "new": "Nya grannar: {n}", "words": "Omdömen om lån: {n}",
        "often": "Mest efterfrågat: {names}", "helped": "Lämnade ut eller tog emot mest: {names}",
        "out": "Utlånat just nu: {n}", "late": "Försenat: {names}",
        "soon": "Ska tillbaka nästa vecka: {names}",
        "there": "Personer som berättat var de var: {n}", "few": "färre än {fewest}",
        "part": "Det hände mer än som kan berättas på en gång: siffrorna är minst dessa.",
        "quiet": "En lugn vecka: inget önskades, lånades eller lämnades tillbaka.",
    },
}  # fmt: skip


def main(event, host):
    """The digest of the seven days before now; said once a week, however often it runs."""
    settings = event["settings"]
    texts = TEXTS.get(settings["language"], TEXTS["en"])
    now = host.now()
    today = datetime.fromisoformat(now["iso"])
    since = stamp(now["ms"], days=-7)
    year, week, _day = today.isocalendar()
    found = activity(host, since, settings["fewest"])
    loans = list(rows(host, "loan", ["name", "number", "borrower_name", "state", "overdue", "due"]))
    found |= {
        "out": sum(row["state"] in {"on_loan", "returning"} for row in loans),
        "late": [f"{label(row)}, {row['borrower_name']}" for row in loans if row["overdue"]],
        "soon": [label(row) for row in loans if soon(row, now["ms"])],
    }
    title = texts["title"].format(week=week)
    text = told(found, texts, settings["fewest"])
    host.notify.send(title=title, text=text, via=settings["via"], key=f"{year}-{week:02d}")
    host.log(f"{title}: asked {found['asked']}, lent {found['lent']}, back {found['back']}")
    return {"week": f"{year}-W{week:02d}", "since": since, "title": title, "text": text, **found}


def activity(host, since, fewest):
    """Numbers of the week, and who did most for others."""
    kinds = [*ASKED, LENT, BACK, DECISION, NEW, WORDS]
    where = {"kind": kinds, "time": {"ge": since}, "verdict": "accepted"}
    lines = list(rows(host, "activity", ["kind", "author", "about"], where))
    counts = Counter(line["kind"] for line in lines)
    often = Counter(line["about"] for line in lines if line["kind"] in ASKED and line["about"])
    helped = Counter(line["author"] for line in lines if line["kind"] in {BACK, DECISION})
    # authors are counted, and forgotten here: what leaves this function names nobody
    where = {"kind": THERE, "time": {"ge": since}, "verdict": "accepted"}
    there = len({line["author"] for line in rows(host, "activity", ["author"], where)})
    oldest = list(rows(host, "activity", ["time"]))
    return {
        "asked": sum(counts[kind] for kind in ASKED),
        "lent": counts[LENT], "back": counts[BACK], "new": counts[NEW], "words": counts[WORDS],
        "often": leading(often), "helped": leading(helped),
        "there": there if there >= fewest else None,
        "part": len(oldest) >= MOST and oldest[-1]["time"] > since,
    }  # fmt: skip


def told(found, texts, fewest):
    """The message: a line for each thing that there is to say."""
    lines = []
    if found["asked"] + found["lent"] + found["back"] == 0:
        lines.append(texts["quiet"])
    lines += [
        texts[name].format(n=found[name])
        for name in ("asked", "lent", "back", "new", "words", "out")
        if found[name]
    ]
    for name in ("often", "helped"):
        if found[name]:
            names = ", ".join(f"{who} ({n})" for who, n in found[name])
            lines.append(texts[name].format(names=names))
    lines += [
        texts[name].format(names="; ".join(found[name][:10]))
        for name in ("late", "soon")
        if found[name]
    ]
    there = found["there"]
    few = texts["few"].format(fewest=fewest)
    lines.append(texts["there"].format(n=few if there is None else there))
    if found["part"]:
        lines.append(texts["part"])
    return "\n".join(lines)[:2_000]


def leading(counts):
    """The three that lead, as pairs; of equals the first by name."""
    return [list(pair) for pair in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:3]]


def soon(row, now_ms):
    """Whether it is out and due within the next seven days."""
    out = row["state"] in {"on_loan", "returning"} and not row["overdue"]
    return out and row["due"] is not None and row["due"] <= stamp(now_ms, days=7)


def stamp(now_ms, days):
    """A moment as rows have it: UTC, to the second."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def label(row):
    """A thing as people call it."""
    return f"{row['name']} ({row['number']})" if row["number"] else row["name"]


def rows(host, collection, fields, where=None):
    """All rows, page by page."""
    after = None
    while True:
        page = host.query(collection, fields=fields, where=where or {}, after=after)
        yield from page["rows"]
        if not page["more"]:
            return
        after = page["next"]
