"""The folds: loans that two people signed out and back with what each says of the other; vouches.

Pure, total, order-free. Nothing here depends on now: what is too old, how many vouches a member
may give, and who is trusted is computed when somebody looks (``counting``, ``trusting``,
``vouching``).
"""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.folds import Fact, Subject, Value, View, by_document, prevailing
from commons_crdt.ids import DeviceId
from commons_node.domains.lending.views import COLUMNS as LOAN
from commons_node.domains.lending.views import LOANS, loan
from commons_node.domains.reputation.facts import ATTEST, BLIND_MS, OPENING, REPLY, VOUCH, Vouch
from commons_node.domains.reputation.sealing import Said, commitment

SIDES = ("borrower", "lender")
"""Who speaks: the borrower about whoever took the thing back, and the other way round."""
_SAID = {
    "attestation": "BLOB",
    "opening": "BLOB",  # NULL: sealed
    "on_time": "INTEGER",
    "condition": "INTEGER",
    "communication": "INTEGER",
    "reply": "BLOB",
}
COLUMNS = {
    "resource": "BLOB NOT NULL",
    "giver": "BLOB NOT NULL",
    "borrower": "BLOB NOT NULL",
    "receiver": "BLOB NOT NULL",
    "out_ms": "INTEGER NOT NULL",
    "back_ms": "INTEGER NOT NULL",  # claimed by the receiver
    **{f"{side}_{name}": kind for side in SIDES for name, kind in _SAID.items()},
}


def exchange(subject: Subject) -> Sequence[Value] | None:
    """The row of a loan that went out and came back by two signatures of two people, or None."""
    row = loan(Subject(subject.key, [one for one in subject.facts if one.kind in LOANS.kinds]))
    if row is None:
        return None
    lent = dict(zip(LOAN, row, strict=True))
    if lent["state"] != "returned" or lent["provisional"]:
        return None
    by_id = {bytes(one.id): one for one in subject.facts}
    giver, accept, receive = (by_id.get(_bytes(lent[n])) for n in ("handover", "accept", "receive"))
    if giver is None or accept is None or receive is None:
        return None
    offer = by_id.get(receive.body.offer)
    borrower = accept.member
    if offer is None or offer.member != borrower or borrower in {giver.member, receive.member}:
        return None
    return (
        _bytes(lent["resource"]),
        giver.member,
        borrower,
        receive.member,
        accept.time_ms,
        receive.time_ms,
        *_words(subject, borrower, receive.member),
        *_words(subject, receive.member, borrower),
    )


def _words(subject: Subject, author: bytes, about: bytes) -> Sequence[Value]:
    """What one side says: the columns of ``_SAID``."""
    mine = spoken(subject, author, about)
    if mine is None:
        return (None,) * len(_SAID)
    blind = not _first(subject, about, author)
    opened: list[tuple[bytes, Said]] = []
    for one in subject.facts:
        if one.kind != OPENING or one.body is None or one.member != author:
            continue
        body = one.body
        if body.attestation != mine.id or (blind and one.time_ms - mine.time_ms < BLIND_MS):
            continue
        said = Said(body.on_time, body.condition, body.communication)
        if commitment(body.salt, subject.key, author, about, said) == mine.body.commitment:
            opened.append((one.id, said))
    if not opened:
        return (mine.id, *(None,) * (len(_SAID) - 1))
    ident, said = min(opened, key=lambda pair: pair[0])  # all of them say the same
    replies = [
        one
        for one in subject.facts
        if one.kind == REPLY and one.body is not None and one.member == about
        if one.body.attestation == mine.id
    ]
    reply = prevailing(_firsts(replies))
    return (
        mine.id,
        ident,
        int(said.on_time),
        said.condition,
        said.communication,
        reply.id if reply is not None else None,
    )


def spoken(subject: Subject, author: bytes, about: bytes) -> Fact | None:
    """The one attestation of this side. A device's first word counts, and who speaks from two
    devices has said nothing: the second could have been written to answer the other's.
    """
    first = _first(subject, author, about)
    return first[0] if len(first) == 1 else None


def _first(subject: Subject, author: bytes, about: bytes) -> list[Fact]:
    return _firsts(
        [
            one
            for one in subject.facts
            if one.kind == ATTEST and one.body is not None
            if one.member == author and one.body.about == about
        ]
    )


def _firsts(facts: Sequence[Fact]) -> list[Fact]:
    """Each device's first word."""
    first: dict[DeviceId, Fact] = {}
    for one in facts:
        known = first.get(one.device)
        if known is None or one.seq < known.seq:
            first[one.device] = one
    return list(first.values())


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""


def _itself(fact: Fact) -> tuple[bytes, ...]:
    return (fact.id,)


def vouch(subject: Subject) -> Sequence[Value] | None:
    """One vouch, or its withdrawal, as it was written."""
    for one in subject.facts:
        if isinstance(one.body, Vouch):
            return one.member, one.document, int(one.body.stands), one.device, one.seq, one.time_ms
    return None


EXCHANGES = View(
    "exchanges",
    LOANS.kinds | {ATTEST, OPENING, REPLY},
    COLUMNS,
    by_document,
    exchange,
    indexes=("borrower", "receiver", "giver"),
)
VOUCHES = View(
    "vouches",
    frozenset({VOUCH}),
    {
        "voucher": "BLOB NOT NULL",
        "vouchee": "BLOB NOT NULL",
        "stands": "INTEGER NOT NULL",
        "device": "BLOB NOT NULL",
        "seq": "INTEGER NOT NULL",
        "time_ms": "INTEGER NOT NULL",
    },
    _itself,
    vouch,
)
VIEWS = (EXCHANGES, VOUCHES)
