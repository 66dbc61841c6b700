"""How states look: a sign, a word, a tone. The word always stands beside the sign.

Tones are names of styles (``good``, ``warn``, ``bad``, ``quiet``); no state is told by one alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from commons_cli.texts import _, ngettext


class Look(NamedTuple):
    """A state as people see it."""

    sign: str
    word: str
    tone: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {_(self.word)}"


THINGS: Final = {
    "available": Look("●", "here", "good"),
    "on_loan": Look("◐", "on loan", "warn"),
    "maintenance": Look("✚", "in repair", "warn"),
    "pending": Look("◌", "not yet", "quiet"),
    "retired": Look("✕", "retired", "quiet"),
}
LOANS: Final = {
    "requested": Look("?", "asked for", "warn"),
    "approved": Look("✓", "approved", "good"),
    "declined": Look("✕", "declined", "quiet"),
    "offered": Look("→", "offered", "warn"),
    "on_loan": Look("◐", "on loan", "good"),
    "returning": Look("←", "coming back", "warn"),
    "returned": Look("●", "returned", "quiet"),
    "cancelled": Look("✕", "called off", "quiet"),
    "overdue": Look("▲", "overdue", "bad"),
    "lapsed": Look("◌", "not fetched", "warn"),
    "longer": Look("?", "longer?", "warn"),
}
JOBS: Final = {
    "idle": Look("○", "idle", "quiet"),
    "running": Look("◐", "running", "good"),
    "queued": Look("◌", "queued", "warn"),
    "retrying": Look("▲", "tried again", "warn"),
    "paused": Look("✕", "paused", "quiet"),
    "dead": Look("✕", "failed", "bad"),
    "suspended": Look("▲", "suspended", "warn"),
}
PROPOSALS: Final = {
    "open": Look("?", "to sign", "warn"),
    "signing": Look("◐", "being signed", "warn"),
    "signed": Look("✓", "signed", "good"),
    "dropped": Look("✕", "dropped", "quiet"),
    "expired": Look("◌", "too old", "quiet"),
}
RUNS: Final = {
    "ready": Look("◌", "queued", "warn"),
    "waiting": Look("▲", "tried again", "warn"),
    "leased": Look("◐", "running", "good"),
    "done": Look("✓", "done", "good"),
    "dead": Look("✕", "dead letter", "bad"),
    "cancelled": Look("✕", "cancelled", "quiet"),
}
VERDICTS: Final = {
    "accepted": Look("✓", "counts", "good"),
    "pending": Look("◌", "waits", "warn"),
    "rejected": Look("✕", "does not count", "bad"),
    "contested": Look("≠", "contested", "bad"),
    "unknown": Look("?", "not known here", "warn"),
}
SYNC: Final = {
    "synced": Look("●", "in step", "good"),
    "syncing": Look("◐", "catching up", "warn"),
    "ahead": Look("◐", "sending", "warn"),
    "behind": Look("◐", "fetching", "warn"),
    "held": Look("◌", "held", "warn"),
    "refused": Look("✕", "refused", "bad"),
    "unknown": Look("?", "not compared yet", "quiet"),
    "unreachable": Look("○", "out of reach", "warn"),
    "stranger": Look("?", "a stranger", "quiet"),
    "blocked": Look("✕", "blocked", "quiet"),
    "alone": Look("○", "alone", "quiet"),
    "paused": Look("✕", "paused", "quiet"),
}
SPACES: Final = {
    "open": Look("●", "open", "good"),
    "closed": Look("✕", "closed", "quiet"),
    "unknown": Look("○", "no hours", ""),
}
CHECKINS: Final = {
    "here": Look("●", "here", "good"),
    "left": Look("←", "left", "quiet"),
    "expired": Look("◌", "over", "quiet"),
}
STEPS: Final = {
    "request": "asked for it",
    "approve": "said yes",
    "decline": "said no",
    "handover": "offered it",
    "accept": "took it",
    "return": "offered it back",
    "receive": "received it",
    "cancel": "called it off",
    "extend": "asked to keep it longer",
    "grant": "said yes to longer",
    "refuse": "said no to longer",
}
NEWS: Final = {
    "offered": ("→", "warn"),
    "ready": ("✓", "good"),
    "moved": ("!", "warn"),
    "lapsed": ("◌", "quiet"),
    "asked": ("?", ""),
    "refused": ("!", "warn"),
    "longer": ("✓", "good"),
    "due": ("◐", "warn"),
    "overdue": ("▲", "bad"),
    "waiting": ("◌", ""),
}
"""Sign and tone of news about a loan; the sentence beside it says the rest."""


def look(table: Mapping[str, Look], state: object) -> Look:
    """The look of a state; of one that is newer than this program its own name."""
    name = str(state or "unknown")
    return table.get(name) or Look("?", name.replace("_", " "))


def loan_look(row: Mapping[str, Any]) -> Look:
    """The look of a loan: what has to be done about it before where it stands."""
    if row.get("overdue") and row.get("state") == "on_loan":
        return LOANS["overdue"]
    if asks_longer(row):
        return LOANS["longer"]
    return LOANS["lapsed"] if row.get("lapsed") else look(LOANS, row.get("state"))


def asks_longer(row: Mapping[str, Any]) -> bool:
    """Whether the borrower waits for an answer about keeping it longer."""
    wish = row.get("extension")
    return bool(wish and wish["state"] == "asked" and row.get("state") == "on_loan")


def day(text: object, today: date) -> str:
    """A date such as 2026-05-01 as people say it on ``today``: tomorrow, in 3 days."""
    try:
        days = (date.fromisoformat(str(text)) - today).days
    except ValueError:
        return "-"
    match days:
        case 0:
            return _("today")
        case 1:
            return _("tomorrow")
        case -1:
            return _("yesterday")
    if 1 < days <= 30:
        return ngettext("in {days} day", "in {days} days", days).format(days=days)
    if -30 <= days < -1:
        return ngettext("{days} day ago", "{days} days ago", -days).format(days=-days)
    return str(text)


def at(text: object, now: datetime | None = None) -> str:
    """An RFC 3339 time that is to come: in 4 min, in 3 h, or a day."""
    try:
        then = datetime.fromisoformat(str(text))
        seconds = (then - (now or datetime.now(UTC))).total_seconds()
        local = then.astimezone().date().isoformat()
        today = (now or datetime.now(UTC)).astimezone().date()
    except (ValueError, TypeError, OverflowError, OSError):
        return "-"
    if seconds < 60:
        return _("now")
    if seconds < 3600:
        return _("in {minutes} min").format(minutes=int(seconds // 60))
    if seconds < 86_400:
        return _("in {hours} h").format(hours=int(seconds // 3600))
    return day(local, today)


def lasted(ms: object) -> str:
    """Milliseconds as people say them."""
    if not isinstance(ms, int | float):
        return "-"
    if ms < 1000:
        return _("{count} ms").format(count=int(ms))
    return _("{count} s").format(count=f"{ms / 1000:.1f}")


def ago(text: object, now: datetime | None = None) -> str:
    """An RFC 3339 time as people say it: now, 4 min ago, or a day."""
    try:
        then = datetime.fromisoformat(str(text))
        seconds = ((now or datetime.now(UTC)) - then).total_seconds()
        local = then.astimezone().date().isoformat()
        today = (now or datetime.now(UTC)).astimezone().date()
    except (ValueError, TypeError, OverflowError, OSError):  # no time, or none of this calendar
        return "-"
    if seconds < 60:
        return _("now")
    if seconds < 3600:
        return _("{minutes} min ago").format(minutes=int(seconds // 60))
    if seconds < 86_400:
        return _("{hours} h ago").format(hours=int(seconds // 3600))
    return day(local, today)
