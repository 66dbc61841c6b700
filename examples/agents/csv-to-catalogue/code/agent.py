"""Proposes the things of a table to the catalogue; a steward signs each, or drops it.

The columns are those of ``resource import``: what tool libraries export. What is here already, by
number, or by name, brand and model where there is none, is passed over, and nothing is proposed
twice.
"""

from commons_agent import HostError
from table import read

KEPT = "proposed"


def main(event, host):
    """Answers what was proposed, what is here already, and which rows are wrong."""
    settings = event["settings"]
    name, text = table(settings, host)
    if text is None:
        host.log("there is no table to read")
        return {"file": None, "read": 0, "proposed": [], "here": 0, "before": 0, "wrong": []}
    found = read(text, settings["map"])
    here = catalogue(host)
    before = set(host.kv.get(name=KEPT) or [])
    proposed, wrong, known, said, left = [], [], 0, 0, 0
    for row in found:
        key = row["key"]
        if row["faults"]:
            wrong.append({"row": row["row"], "number": row["number"], "faults": row["faults"]})
        elif key in here:
            known += 1
        elif key in before:
            said += 1
        elif len(proposed) >= settings["most"] or left or not propose(host, row, name):
            left += 1
        else:
            here.add(key)
            proposed.append({"row": row["row"], "number": row["number"], **row["args"]})
    if proposed:
        keys = before | {row["key"] for row in found if row["key"] in here}
        host.kv.put(name=KEPT, value=sorted(keys))
    host.log(f"{name}: {len(found)} rows, {len(proposed)} proposed, {known} here, {said} proposed"
             f" before, {len(wrong)} wrong, {left} left for the next run")  # fmt: skip
    return {
        "file": name, "read": len(found), "proposed": proposed[:200], "count": len(proposed),
        "here": known, "before": said, "left": left, "wrong": wrong[:50],
    }  # fmt: skip


def table(settings, host):
    """The name and the text of the table; None where there is none."""
    if settings["csv"]:
        return "the settings", settings["csv"].replace("\\n", "\n")
    wanted = settings["file"]
    if not wanted:
        listed = host.driver.read(driver="inbox", ask={})["files"]
        fit = [one["name"] for one in listed if one["name"].casefold().endswith(".csv")]
        if not fit:
            return None, None
        wanted = fit[0]
    found = host.driver.read(driver="inbox", ask={"name": wanted})
    return found["name"], found["text"]


def catalogue(host):
    """Keys of the things that are here."""
    found, after = set(), None
    while True:
        page = host.query("resource", after=after)
        for row in page["rows"]:
            if row["number"]:
                found.add(f"number {row['number']}")
            found.add(" ".join(["kind", row["name"], row["brand"] or "", row["model"] or ""]))
        if not page["more"]:
            return found
        after = page["next"]


def propose(host, row, name):
    """Propose one thing; False where no more of them fit today."""
    try:
        host.docs.propose(
            command="resource.add", args=row["args"], key=row["key"][:150],
            why=f"It stands in {name}, row {row['row']}.",
        )  # fmt: skip
    except HostError as refused:
        if refused.code not in {"rate", "too_much"}:
            raise
        host.log(f"row {row['row']} and those after it wait: {refused}")
        return False
    return True
