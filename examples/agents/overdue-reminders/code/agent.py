"""Reminds borrowers of what is overdue: once for each loan, and again after some days."""

from datetime import date

from commons_agent import HostError

TEXTS = {
    "en": {
        "title": "A reminder from the neighbourhood",
        "one": "Hello {who}, {what} was to come back on {since}, {days} day ago. Could you bring it"
        " back, or say when you can? Thank you!",
        "many": "Hello {who}, {what} was to come back on {since}, {days} days ago. Could you bring"
        " it back, or say when you can? Thank you!",
    },
    "sv": {
        "title": "En påminnelse från grannskapet",
        "one": "Hej {who}, {what} skulle ha kommit tillbaka {since}, för {days} dag sedan. Kan du"
        " lämna tillbaka den, eller säga när du kan? Tack!",
        "many": "Hej {who}, {what} skulle ha kommit tillbaka {since}, för {days} dagar sedan. Kan"
        " du lämna tillbaka den, eller säga när du kan? Tack!",
    },
}


def main(event, host):
    """One message for each overdue loan; answers who was reminded of what."""
    settings = event["settings"]
    today = date.fromisoformat(host.now()["iso"][:10])
    people = {
        row["member"]: row for row in rows(host, "profile", ["member", "languages", "contact"])
    }
    wanted = ["loan", "number", "name", "borrower", "borrower_name", "due_day"]
    late = list(rows(host, "loan", wanted, where={"overdue": True}))
    told = []
    for row in late:
        days = (today - date.fromisoformat(row["due_day"])).days
        if days < 1:
            continue  # due today: the day is not over
        person = people.get(row["borrower"], {})
        language = spoken(person, settings["language"])
        message = worded(row, days, language)
        mail = address(person) if settings["via"] else ""
        key = f"{row['loan']}:{days // max(settings['every_days'], 1)}"
        try:
            host.notify.send(**message, via=settings["via"], to=mail, key=key)
        except HostError as refused:
            if refused.code != "rate":
                raise
            host.log(f"the rest comes tomorrow: {refused}")  # what was sent so far is kept
            break
        told.append(
            {"to": row["borrower_name"], "what": what(row), "since": row["due_day"], "days": days,
             "language": language, "address": mail or None}
        )  # fmt: skip
    host.log(f"overdue: {len(late)}, reminded: {len(told)}")
    return {"overdue": len(late), "reminders": told}


def worded(row, days, language):
    """The title and the text of a reminder."""
    texts = TEXTS[language]
    text = texts["one" if days == 1 else "many"].format(
        who=row["borrower_name"], what=what(row), since=row["due_day"], days=days
    )
    return {"title": texts["title"], "text": text}


def what(row):
    """A thing as people call it."""
    return f"{row['name']} ({row['number']})" if row["number"] else row["name"]


def spoken(person, otherwise):
    """The first language of a profile that we have texts in."""
    for one in (person.get("languages") or "").split(","):
        language = one.strip().casefold()[:2]
        if language in TEXTS:
            return language
    return otherwise if otherwise in TEXTS else "en"


def address(person):
    """A contact that is an address of mail; "" otherwise."""
    contact = (person.get("contact") or "").strip()
    return contact if contact.count("@") == 1 and " " not in contact else ""


def rows(host, collection, fields, where=None):
    """All rows, page by page."""
    after = None
    while True:
        page = host.query(collection, fields=fields, where=where or {}, after=after)
        yield from page["rows"]
        if not page["more"]:
            return
        after = page["next"]
