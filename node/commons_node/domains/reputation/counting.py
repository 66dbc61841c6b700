"""What is said of a member, counted with its context: never one number, never for ever.

Pure: rows of the view ``exchanges`` in, counts out. Only loans that came back within the last
24 months before ``now_ms`` are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from commons_node.domains.reputation.facts import DAY_MS
from commons_node.domains.reputation.views import COLUMNS

MONTHS = 24
WINDOW_MS = 730 * DAY_MS


@dataclass(frozen=True, slots=True)
class Exchange:
    """One loan of the view, by column."""

    loan: bytes
    row: Mapping[str, Any]

    @classmethod
    def of(cls, row: Iterable[Any]) -> Exchange:
        """From a row of ``v_exchanges``, its key first."""
        key, *values = row
        return cls(key, dict(zip(COLUMNS, values, strict=True)))

    def side(self, member: bytes) -> str | None:
        """On which side of the loan a member stood, if one of the two who may speak."""
        if member == self.row["borrower"]:
            return "borrower"
        return "lender" if member == self.row["receiver"] else None

    def other(self, side: str) -> bytes:
        """The one across from a side."""
        return bytes(self.row["receiver" if side == "borrower" else "borrower"])


@dataclass(frozen=True, slots=True)
class Word:
    """What ``author`` says of somebody in one loan; the values are None while it is sealed."""

    loan: bytes
    resource: bytes
    author: bytes
    attestation: bytes
    opening: bytes | None
    on_time: bool | None
    condition: int | None
    communication: int | None
    reply: bytes | None
    back_ms: int
    as_borrower: bool


def words_about(member: bytes, exchanges: Iterable[Exchange]) -> list[Word]:
    """What others say of a member, the newest loan first."""
    found = []
    for one in exchanges:
        mine = one.side(member)
        if mine is None:
            continue
        side = "lender" if mine == "borrower" else "borrower"
        row = one.row
        if row[f"{side}_attestation"] is None:
            continue
        on_time = row[f"{side}_on_time"]
        found.append(
            Word(
                one.loan, row["resource"], one.other(mine), row[f"{side}_attestation"],
                row[f"{side}_opening"], None if on_time is None else bool(on_time),
                row[f"{side}_condition"], row[f"{side}_communication"], row[f"{side}_reply"],
                row["back_ms"], mine == "borrower",
            )
        )  # fmt: skip
    return sorted(found, key=lambda word: (-word.back_ms, word.loan))


def within(exchanges: Iterable[Exchange], now_ms: int) -> list[Exchange]:
    """Those that are not too old to be told."""
    return [one for one in exchanges if one.row["back_ms"] > now_ms - WINDOW_MS]


def counts(member: bytes, exchanges: Iterable[Exchange]) -> dict[str, object]:
    """Loans, with how many people, and what they say; all of the loans given are counted."""
    own = [one for one in exchanges if member in _two(one)]
    words = words_about(member, own)
    opened = [word for word in words if word.opening is not None]
    people = {other for one in own for other in _two(one) if other != member}
    condition = Counter(word.condition for word in opened)
    communication = Counter(word.communication for word in opened)
    borrowed = [one for one in own if one.row["borrower"] == member]
    lenders = {one.row[name] for one in borrowed for name in ("giver", "receiver")}
    return {
        "returned": len(borrowed),
        "returned_spoken_of": sum(word.as_borrower for word in opened),
        "returned_on_time": sum(bool(word.on_time) for word in opened if word.as_borrower),
        "lenders": len(lenders),
        "lent": len(own) - len(borrowed),
        "people": len(people),
        "attested": len(opened),
        "attesters": len({word.author for word in opened}),
        "on_time": sum(bool(word.on_time) for word in opened),
        "condition": {str(level): condition[level] for level in (3, 2, 1)},
        "communication": {str(level): communication[level] for level in (3, 2, 1)},
        "replies": sum(word.reply is not None for word in opened),
        "sealed": len(words) - len(opened),
        "months": MONTHS,
    }


def among(
    member: bytes, exchanges: Iterable[Exchange], people: Collection[bytes]
) -> list[Exchange]:
    """Those of the member's loans in which one of these people had the other part."""
    return [one for one in exchanges if (_two(one) - {member}) & frozenset(people)]


def _two(one: Exchange) -> set[bytes]:
    return {one.row["giver"], one.row["borrower"], one.row["receiver"]}
