"""Codes that people read as words: roles, states and verdicts, each in the reader's language.

JSON keeps the code; a sentence takes the word from here. The command line translates the same
English words where it shows a code in a table.
"""

from __future__ import annotations

from typing import Final

from commons_crdt.roles import Role
from commons_crdt.texts import Spoken

WORDS: Final = Spoken({
    "newcomer": "newcomer",
    "member": "member",
    "steward": "steward",
    "host": "host",
    "coordinator": "coordinator",
    "active": "active",
    "available": "available",
    "maintenance": "maintenance",
    "retired": "retired",
    "requested": "requested",
    "approved": "approved",
    "declined": "declined",
    "offered": "offered",
    "on_loan": "on loan",
    "returning": "returning",
    "returned": "returned",
    "cancelled": "cancelled",
    "overdue": "overdue",
    "accepted": "accepted",
    "pending": "pending",
    "rejected": "rejected",
    "contested": "contested",
    "synced": "synced",
    "syncing": "syncing",
    "ahead": "ahead",
    "behind": "behind",
    "held": "held",
    "refused": "refused",
    "unknown": "unknown",
    "unreachable": "unreachable",
    "stranger": "stranger",
    "blocked": "blocked",
    "alone": "alone",
    "good": "good",
    "flagged": "flagged",
    "removed": "removed",
    "suspended": "suspended",
    "asking": "asking",
    "reserved": "reserved",
    "renewing": "renewing",
    "created": "created",
    "updated": "updated",
    "unchanged": "unchanged",
    "failed": "failed",
    "ok": "ok",
    "damaged": "damaged",
    "invite": "invite",
    "removal": "removal",
    "suspension": "suspension",
    "dismissal": "dismissal",
    "revocation": "revocation",
    "demotion": "demotion",
    "open": "open",
    "closed": "closed",
    "sealed": "sealed",
    "here": "here",
    "left": "left",
    "expired": "expired",
    "public": "public",
    "private": "private",
    "administrative": "administrative",
    "custom": "custom",
    "yes": "yes",
    "limited": "limited",
    "no": "no",
    "name": "name",
    "about": "about",
    "languages": "languages",
    "contact": "contact",
    "photo": "photo",
    "frozen": "frozen",
    "told": "told",
    "confirmed": "confirmed",
    "waiting": "waiting",
    "readable": "readable",
    "absent": "absent",
    "picture": "picture",
    "members": "members",
    "community": "community",
    "text": "text",
    "note": "note",
    "reason": "reason",
    "loan": "loan",
    "custody": "custody",
    "request": "request",
    "guardian": "guardian",
    "device": "device",
    "texts": "texts",
})  # fmt: skip
"""A code that is not here is shown as it is."""


def word(code: str) -> str:
    """What people call a code."""
    return WORDS.get(code) or code.replace("_", " ")


def role_word(role: Role) -> str:
    """What people call a role."""
    return word(role.word)
