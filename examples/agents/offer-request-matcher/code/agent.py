"""Matches requests with what is free.

What can be lent to who asked is proposed to the stewards; for who must wait, something of the same
sort is looked for; what is in repair is shown to whoever says that they mend things.
"""

import re

PROMISED = {"approved", "offered", "on_loan", "returning"}
ALIKE = 0.5
"""From here on two things are of one sort: the share of words that their names have in common."""


def main(event, host):
    """Answers what was proposed, what was suggested, and who might mend what."""
    loans = list(
        rows(host, "loan", ["loan", "resource", "number", "borrower_name", "state", "from", "due"])
    )
    fields = ["resource", "number", "name", "state", "quantity", "out", "categories"]
    things = {row["resource"]: row for row in rows(host, "resource", fields)}
    taken = [row for row in loans if row["state"] in PROMISED]
    wishes = [row for row in loans if row["state"] == "requested" and row["resource"] in things]
    proposed, suggested = [], []
    for wish in sorted(
        wishes, key=lambda row: (row["from"] or "", row["number"] or "", row["loan"])
    ):
        thing = things[wish["resource"]]
        if free(thing, wish, taken):
            host.docs.propose(
                command="loan.approve", args={"loan": wish["loan"]}, key=wish["loan"],
                why=f"{wish['borrower_name']} asked for {label(thing)}, and it is free then.",
            )  # fmt: skip
            taken.append(wish)
            proposed.append({"loan": wish["loan"], "to": wish["borrower_name"],
                             "what": label(thing)})  # fmt: skip
            continue
        for other in instead(thing, wish, things.values(), taken):
            host.notify.send(
                text=f"{wish['borrower_name']} waits for {label(thing)}."
                f" {label(other)} is free in that time and would do.",
                key=f"{wish['loan']}:{other['resource'][:16]}",
            )
            suggested.append({"loan": wish["loan"], "to": wish["borrower_name"],
                              "what": label(thing), "instead": label(other)})  # fmt: skip
    mending = mend(event, host, things.values())
    host.log(f"proposed {len(proposed)}, suggested {len(suggested)}, to mend {len(mending)}")
    return {"wishes": len(wishes), "proposed": proposed, "suggested": suggested,
            "mending": mending}  # fmt: skip


def mend(event, host, things):
    """Tell of each thing in repair who says that they mend such things."""
    broken = [thing for thing in things if thing["state"] == "maintenance"]
    if not broken:
        return []
    skills = set(words(event["settings"]["skills"]))
    found = []
    for person in rows(host, "profile", ["member", "name", "about"]):
        about = words(person["about"] or "")
        if not skills & set(about):
            continue
        for thing in broken:
            # who mends bicycles is asked for what has to do with them first; else as a guess
            sure = bool(set(about) & set(words(f"{thing['name']} {thing['categories'] or ''}")))
            text = "{who} says: “{about}” {what} is in repair: ask there." if sure else (
                "{what} is in repair. {who} might know somebody: “{about}”"
            )  # fmt: skip
            host.notify.send(
                text=text.format(who=person["name"], about=person["about"], what=label(thing)),
                key=f"mend:{thing['resource'][:16]}:{person['member'][:16]}",
            )
            found.append({"who": person["name"], "what": label(thing), "sure": sure})
    return found


def free(thing, wish, taken):
    """Whether one of it is left in the time of a wish, as far as is known here."""
    if thing["state"] not in {"available", "on_loan"} or not thing["quantity"]:
        return False
    # one that is out and late takes the time after its due day as well: it is not back yet
    rivals = [
        row
        for row in taken
        if row["resource"] == thing["resource"]
        and (row["state"] in {"on_loan", "returning"} or overlap(row, wish))
    ]
    return len(rivals) < thing["quantity"]


def overlap(one, other):
    """Whether two loans want the same time; what is not known takes all of it."""
    far = "9999"
    return (one["from"] or "") < (other["due"] or far) and (other["from"] or "") < (
        one["due"] or far
    )


def instead(thing, wish, things, taken):
    """At most two things of the same sort that are free in that time, the likest first."""
    likest = [
        (alike(thing, other), other)
        for other in things
        if other["resource"] != thing["resource"] and free(other, wish, taken)
    ]
    likest = [pair for pair in likest if pair[0] >= ALIKE]
    likest.sort(key=lambda pair: (-pair[0], pair[1]["number"] or ""))
    return [other for _likeness, other in likest[:2]]


def alike(one, other):
    """0 to 1: words of the names in common; a category in common lifts it by half of the rest."""
    first, second = set(words(one["name"])), set(words(other["name"]))
    if not first or not second:
        return 0.0
    share = len(first & second) / len(first | second)
    both = categories(one) & categories(other)
    return share + (1 - share) / 2 if both and share else share


def categories(thing):
    """As a set."""
    return {one.strip().casefold() for one in (thing["categories"] or "").split(";")} - {""}


def words(text):
    """Words without case; the end of a plural or of "mends" does not count."""
    return [one.removesuffix("s") for one in re.findall(r"\w+", text.casefold())]


def label(thing):
    """A thing as people call it."""
    return f"{thing['name']} ({thing['number']})" if thing["number"] else thing["name"]


def rows(host, collection, fields, where=None):
    """All rows, page by page."""
    after = None
    while True:
        page = host.query(collection, fields=fields, where=where or {}, after=after)
        yield from page["rows"]
        if not page["more"]:
            return
        after = page["next"]
