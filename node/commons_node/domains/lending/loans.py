"""Loans as verbs see them: with their things, times and days, and what contradicts what.

Reads the view of loans and writes nothing. Overdue is computed here, at the moment of reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import msgspec

from commons_crdt.authority.judge import Standing
from commons_crdt.errors import Refused
from commons_crdt.ids import MemberId, OperationId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_crdt.texts import _
from commons_crdt.verdict import Verdict
from commons_node.community import Ambiguous, Community, Unknown
from commons_node.domains.lending.booking import FOREVER_MS, Booking, clashes
from commons_node.domains.lending.places import place_of
from commons_node.domains.lending.terms import last_day, pick_up
from commons_node.domains.lending.views import COLUMNS
from commons_node.domains.lending.wording import moved
from commons_node.domains.resources.things import find_thing
from commons_node.explaining.words import word
from commons_node.store.database import placeholders

OUT = ("on_loan", "returning")
PROMISED = ("approved", "offered")
CONFIRMED = (*PROMISED, *OUT)
OPEN = ("requested", *CONFIRMED)
_LIST = "commons-node loan list"
_PREFIX = 8
_IN = 400
_OUTLINE = f"SELECT l.key, {', '.join('l.' + name for name in COLUMNS)} FROM v_loans l"  # noqa: S608 - our names
_ORDER = "ORDER BY l.until_ms, l.key"
_SELECT = (
    f"SELECT l.key, {', '.join('l.' + name for name in COLUMNS)},"  # noqa: S608 - our names
    " i.number, s.name, i.quantity, i.uncounted, ch.device, o.seq, t.meant, t.asked, t.due,"
    " o.time_ms, cu.loan, mv.time_ms"
    " FROM v_loans l LEFT JOIN v_terms t ON t.key = l.key"
    " LEFT JOIN v_items i ON i.key = l.resource"
    " LEFT JOIN v_specifications s ON s.key = i.specification"
    " LEFT JOIN operations o ON o.id = l.confirmation LEFT JOIN chains ch ON ch.n = o.chain"
    " LEFT JOIN v_custody cu ON cu.key = l.resource LEFT JOIN operations mv ON mv.id = cu.move"
)
_LAST = (
    "l.key = (SELECT e.key FROM v_loans e JOIN operations t ON"
    " t.id = coalesce(e.receive, e.decision, e.request) WHERE e.resource = ?"
    " ORDER BY t.lamport DESC, t.id LIMIT 1)"
)


@dataclass(frozen=True, slots=True)
class Loan:
    """One loan: ``row`` holds the columns of the view, the rest is about its thing."""

    id: OperationId
    row: Mapping[str, Any]
    number: str | None
    name: str
    quantity: int | None
    device: bytes | None
    seq: int
    meant: str | None
    """What was asked for in the borrower's words; None for requests that do not say it."""
    asked_day: str | None
    due_day: str | None
    """The local day with which it ends, where the thing is."""
    kept: tuple[date, int] | None
    """The day to whose end a promised thing is kept, and that moment; None for others, and while
    somebody else has it."""

    @property
    def zone(self) -> str | None:
        """The IANA zone of those days."""
        found = self.row["zone"]
        return None if found is None else str(found)

    @property
    def moved(self) -> str | None:
        """Why it is due on another day than was asked for."""
        return moved(self.asked_day, self.due_day) if self.asked_day and self.due_day else None

    @property
    def state(self) -> str:
        """Where it stands."""
        return str(self.row["state"])

    @property
    def resource(self) -> bytes:
        """The thing's id."""
        return bytes(self.row["resource"])

    @property
    def borrower(self) -> MemberId | None:
        """Who asked, or took it; None where that is not known here."""
        found = self.row["borrower"]
        return None if found is None else MemberId(found)

    @property
    def label(self) -> str:
        """The thing's name and number."""
        return f"{self.name} {self.number or ''}".strip()

    def operation(self, step: str) -> OperationId | None:
        """The operation of a step, by its column."""
        found = self.row[step]
        return None if found is None else OperationId(found)

    def overdue(self, now_ms: int) -> bool:
        """True while it is out although its time is over."""
        until = self.row["until_ms"]
        return self.state in OUT and until is not None and until <= now_ms

    def lapsed(self, now_ms: int) -> bool:
        """True if it was promised and not fetched: its time, or that of fetching it, is over."""
        until = self.row["until_ms"]
        ends = [end for end in (until, self.kept and self.kept[1]) if end is not None]
        return self.state in PROMISED and any(end <= now_ms for end in ends)

    def forgotten(self, now_ms: int) -> bool:
        """True if nobody answered it, and its time is over."""
        until = self.row["until_ms"]
        return self.state == "requested" and until is not None and until <= now_ms

    def booking(self, now_ms: int) -> Booking | None:
        """What it takes of the thing's time; None if nobody has confirmed it, or it lapsed."""
        row = self.row
        if self.lapsed(now_ms):
            return None
        out = self.state in OUT and not row["provisional"]
        if not out and (row["confirmation"] is None or self.state not in CONFIRMED):
            return None
        until = FOREVER_MS if self.overdue(now_ms) else row["until_ms"] or FOREVER_MS
        return Booking(
            self.id, self.resource, row["from_ms"] or 0, until, out, row["confirmer_role"] or 0,
            row["confirmer"] or b"", self.device or b"", self.seq,
        )  # fmt: skip


async def loans(
    community: Community, where: str = "1", arguments: Sequence[object] = ()
) -> list[Loan]:
    """Loans by their end; ``where`` may use the columns of loans (l) and items (i)."""
    rows = await community.query(f"{_SELECT} WHERE {where} {_ORDER}", arguments)
    return [_loan(row, community) for row in rows]


async def some_loans(
    community: Community, where: str, arguments: Sequence[object], skip: int, limit: int
) -> list[Loan]:
    """As ``loans``, but only those of these places; ``where`` may use the columns of loans (l)."""
    chosen = f"SELECT l.key FROM v_loans l WHERE {where} {_ORDER} LIMIT ? OFFSET ?"  # noqa: S608 - our clauses
    return await loans(community, f"l.key IN ({chosen})", (*arguments, limit, skip))


async def outlines(community: Community, where: str, arguments: Sequence[object]) -> list[Loan]:
    """As ``loans``, without what stands elsewhere: the thing, what was asked for, its days."""
    rows = await community.query(f"{_OUTLINE} WHERE {where} {_ORDER}", arguments)
    return [
        Loan(OperationId(key), dict(zip(COLUMNS, row, strict=True)), None, "", None, None, 0,
             None, None, None, None)
        for key, *row in rows
    ]  # fmt: skip


async def filled(community: Community, found: Sequence[Loan]) -> list[Loan]:
    """Outlines with all the rest; without those that are gone meanwhile."""
    known: dict[bytes, Loan] = {}
    for at in range(0, len(found), _IN):
        part = [one.id for one in found[at : at + _IN]]
        for one in await loans(community, f"l.key IN ({placeholders(len(part))})", part):
            known[one.id] = one
    return [known[one.id] for one in found if one.id in known]


def _loan(row: Sequence[Any], community: Community) -> Loan:
    end = 1 + len(COLUMNS)
    number, name, quantity, uncounted, device, seq, meant, asked, due, *ready = row[end:]
    columns = dict(zip(COLUMNS, row[1:end], strict=True))
    return Loan(
        OperationId(row[0]),
        columns,
        number,
        name or _("(not known here)"),
        None if uncounted else 1 if quantity is None else quantity,
        device,
        seq or 0,
        meant,
        asked,
        due or last_day(columns["until_ms"], community.timezone),
        _kept(community, row[0], columns, *ready) if columns["state"] in PROMISED else None,
    )


def _kept(
    community: Community,
    loan: bytes,
    row: Mapping[str, Any],
    promised_ms: int | None,
    has: bytes | None,
    moved_ms: int | None,
) -> tuple[date, int] | None:
    """How long a promise is kept: from when it was made, it begins, and the thing is back."""
    if promised_ms is None or (has is not None and has != loan):
        return None
    place = place_of(community, row["resource"])
    since = max(promised_ms, row["from_ms"] or 0, moved_ms or 0)
    days = community.realm.judge.authority.constitution.loan_pickup_days
    return pick_up(since, days, place.zone, place.opening)


async def loan(community: Community, ident: bytes) -> Loan | None:
    """The loan with this id."""
    found = await loans(community, "l.key = ?", (ident,))
    return found[0] if found else None


async def forgiven(community: Community) -> dict[OperationId, MemberId]:
    """The loans that need not come back, with the borrowers whom that was said of."""
    rows = await community.query("SELECT key, borrower FROM v_forgiven")
    return {OperationId(loan): MemberId(borrower) for loan, borrower in rows}


async def find_loan(community: Community, selector: str, *, ended: bool = False) -> Loan:
    """A loan by id or 8 digits of it, or the one open loan of a thing, by its number or name.

    ``ended``: where none is open, the one of that thing that was told of last. Raises Unknown or
    Ambiguous.
    """
    wanted = selector.strip().lower()
    found: list[Loan] = []
    if len(wanted) >= _PREFIX and all(letter in "0123456789abcdef" for letter in wanted):
        bounds = tuple(bytes.fromhex((wanted + fill * 64)[:64]) for fill in "0f")
        found = await loans(community, "l.key BETWEEN ? AND ?", bounds)
    if not found:
        try:
            thing = await find_thing(community, selector)
        except Unknown:
            raise Unknown(what="loan", name=selector, list=_LIST) from None
        marks = placeholders(len(OPEN))
        found = await loans(
            community, f"l.resource = ? AND l.state IN ({marks})", (thing.id, *OPEN)
        )
        if ended and not found:
            found = await loans(community, _LAST, (thing.id,))
    if not found:
        raise Unknown(what=_("open loan"), name=selector, list=_LIST)
    if len(found) > 1:
        several = "; ".join(f"{one.id.hex()[:12]} {word(one.state)}" for one in found[:10])
        raise Ambiguous(name=selector, found=several)
    return found[0]


# -- what contradicts what -----------------------------------------------------------------------


async def bookings_of(
    community: Community, resource: bytes, now_ms: int, without: bytes = b""
) -> list[Booking]:
    """The confirmed loans of one thing, but one."""
    found = (await _booked(community, [resource], now_ms))[resource]
    return [one for one in found if one.loan != without]


async def conflicts_of(
    community: Community, found: Sequence[Loan], now_ms: int
) -> list[dict[str, object]]:
    """Promises that cannot all be kept, and steps that somebody contradicts, among these loans."""
    told: list[dict[str, object]] = []
    for one in found:
        raw = bytes(one.row["conflicts"])
        if raw:
            others = [raw[at : at + 32].hex() for at in range(0, len(raw), 32)]
            told.append(
                {"conflict": "contradiction", "loan": one.id.hex(), "state": one.state,
                 "others": others}
            )  # fmt: skip
    shown = {one.id for one in found}
    counted = {one.resource: one.quantity for one in found if one.quantity is not None}
    for resource, booked in (await _booked(community, list(counted), now_ms)).items():
        told.extend(
            {"conflict": "double_booking", "resource": resource.hex(), "loan": clash.loan.hex(),
             "stands": [one.hex() for one in clash.stands]}
            for clash in clashes(booked, counted[resource])
            if shown.intersection((clash.loan, *clash.stands))
        )  # fmt: skip
    return told


async def _booked(
    community: Community, resources: Sequence[bytes], now_ms: int
) -> dict[bytes, list[Booking]]:
    """The confirmed loans of each of these things."""
    where, arguments = f"l.state IN ({placeholders(len(CONFIRMED))})", list[object](CONFIRMED)
    if len(resources) == 1:
        where, arguments = f"{where} AND l.resource = ?", [*arguments, resources[0]]
    booked: dict[bytes, list[Booking]] = {resource: [] for resource in resources}
    for one in await loans(community, where, arguments) if resources else ():
        booking = one.booking(now_ms)
        if booking is not None and one.resource in booked:
            booked[one.resource].append(booking)
    return booked


# -- what is here --------------------------------------------------------------------------------

T = TypeVar("T", bound=msgspec.Struct)


async def here(community: Community, *ids: bytes | None) -> list[OperationId]:
    """Those of ``ids`` that are stored and stand: what a new fact may refer to."""
    wanted = [ident for ident in ids if ident]
    found = await community.realm.store.standings(wanted)
    return [
        OperationId(ident)
        for ident in dict.fromkeys(wanted)
        if (known := found.get(OperationId(ident))) is not None
        and known.judgement.verdict is Verdict.ACCEPTED
    ]


async def fact(
    community: Community, ident: bytes, kind: str, body: type[T]
) -> tuple[Standing, T] | None:
    """A stored fact of this kind that stands, with its body."""
    rows = await community.realm.store.everything("o.id = ? AND o.kind = ?", (ident, kind))
    for standing, operation in rows:
        if standing.judgement.verdict is Verdict.ACCEPTED and operation.body is not None:
            try:
                return standing, decode_fact(body, content(operation.body))
            except Refused:
                return None
    return None
