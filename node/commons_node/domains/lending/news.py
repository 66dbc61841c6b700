"""What a borrower should know now: what waits and why, where to pick it up, what is due.

Nothing of it is stored or sent: it follows from how the loans stand, so that a reminder ends with
its reason. A thing that came back is due nowhere, whoever had a note of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from commons_crdt.ids import MemberId
from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_node.community import Community
from commons_node.domains.lending.alternatives import alternatives
from commons_node.domains.lending.changes import NONE, Extension, changes_of
from commons_node.domains.lending.loans import OPEN, OUT, Loan, bookings_of, loans
from commons_node.domains.lending.terms import instant
from commons_node.domains.lending.waiting import Waiting, Wish, waiting
from commons_node.domains.lending.wording import NEWS, PLACE, WAITS
from commons_node.domains.resources.things import find_thing, thing
from commons_node.explaining import catalogue
from commons_node.explaining.words import role_word
from commons_node.registry import Complete, Reading, argument
from commons_node.registry import Request as Call
from commons_node.store.database import placeholders

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_THINGS = Complete("resource.list", "resources", "number")
_SOON_MS: Final = 36 * 3_600_000
"""How long before its end a loan is called due."""
_NEXT: Final = {
    "offered": "commons-node loan accept {loan}",
    "ready": "commons-node loan show {loan}",
    "moved": "commons-node loan show {loan}",
    "lapsed": "commons-node loan request {resource} --days 3",
    "asked": "commons-node loan show {loan}",
    "refused": "commons-node loan return {loan}",
    "longer": "commons-node loan show {loan}",
    "due": "commons-node loan return {loan}",
    "overdue": "commons-node loan return {loan}",
    "waiting": "commons-node loan waiting {resource}",
}


class Nothing(msgspec.Struct):
    """No arguments."""


class OneThing(msgspec.Struct):
    """Arguments of ``loan waiting``."""

    resource: Annotated[str, argument("the thing, by number, name or id", complete=_THINGS)]


async def queue(community: Community, resource: bytes, now_ms: int) -> list[tuple[Waiting, Loan]]:
    """The waiting list of a thing."""
    marks = placeholders(len(OPEN))
    found = await loans(community, f"l.resource = ? AND l.state IN ({marks})", (resource, *OPEN))
    by_id = {bytes(one.id): one for one in found}
    lamports = await community.query(
        f"SELECT id, lamport FROM operations WHERE id IN ({placeholders(len(by_id))})",  # noqa: S608 - marks
        tuple(by_id),
    )
    order = {bytes(ident): int(lamport) for ident, lamport in lamports}
    wishes = [
        Wish(one.id, one.row["from_ms"], one.row["until_ms"], (order.get(bytes(one.id), 0), one.id))
        for one in found
        if one.state == "requested" and one.row["until_ms"] and one.row["until_ms"] > now_ms
    ]
    quantity = found[0].quantity if found else None
    listed = waiting(await bookings_of(community, resource, now_ms), wishes, quantity)
    return [(one, by_id[one.loan]) for one in listed if one.loan in by_id]


async def waits(
    community: Community, one: Waiting, mine: Loan, now_ms: int, *, more: bool = True
) -> dict[str, object]:
    """One place on a list, in words: ``place, why, says, stands, alternatives``."""
    names = await community.names()
    found = {bytes(other.id): other for other in await _of(community, one.stands)}
    first = found.get(one.stands[0]) if one.stands else None
    why = catalogue.sentence(
        WAITS[one.why],
        name=mine.label,
        winner=_called(names, first.borrower if first else None),
        confirmer=_called(names, _confirmer(first)),
        role=_role(first),
        other=_called(names, _confirmer(mine)),
        other_role=_role(mine),
    )
    answer: dict[str, object] = {
        "place": one.place,
        "because": one.why,
        "why": why,
        "stands": [other.hex() for other in one.stands],
    }
    if more:
        begin, end = mine.row["from_ms"], mine.row["until_ms"]
        answer["alternatives"] = await alternatives(
            community, mine.resource, begin, end, now_ms, mine.id
        )
    return answer


async def _of(community: Community, ids: Sequence[bytes]) -> list[Loan]:
    return await loans(community, f"l.key IN ({placeholders(len(ids))})", ids) if ids else []


def _confirmer(one: Loan | None) -> MemberId | None:
    found = one.row["confirmer"] if one is not None else None
    return MemberId(found) if found else None


def _role(one: Loan | None) -> str:
    found = one.row["confirmer_role"] if one is not None else None
    return role_word(Role(found)) if found else "-"


def _called(names: Mapping[MemberId, str], member: MemberId | None) -> str:
    return names.get(member, member.hex()[:8]) if member is not None else _("somebody")


async def waiting_of(community: Community, mine: Loan, now_ms: int) -> dict[str, object] | None:
    """How a loan waits; None if it does not."""
    if mine.state not in OPEN:
        return None
    for one, other in await queue(community, mine.resource, now_ms):
        if other.id == mine.id:
            return await waits(community, one, mine, now_ms)
    return None


async def list_waiting(request: Call[Daemon], args: OneThing) -> Reading:
    """Who waits for a thing, in order, and why."""
    community = await request.node.community(request)
    now = request.node.now_ms()
    item = await find_thing(community, args.resource)
    names = await community.names()
    rows = [
        {
            **await waits(community, one, mine, now, more=False),
            "loan": mine.id.hex(),
            "borrower": mine.borrower.hex() if mine.borrower else None,
            "borrower_name": _called(names, mine.borrower),
            "state": mine.state,
            "from": instant(mine.row["from_ms"]),
        }
        for one, mine in await queue(community, item.id, now)
    ]
    value = {"resource": item.id.hex(), "name": item.label, "waiting": rows}
    return await community.reading(value)


async def list_news(request: Call[Daemon], _args: Nothing) -> Reading:
    """What the unlocked member should know of what they borrow."""
    community = await request.node.community(request)
    member = (await request.node.actor(request, community)).member
    return await community.reading(
        {"news": await news_of(community, member, request.node.now_ms())}
    )


async def news_of(community: Community, member: MemberId, now_ms: int) -> list[dict[str, object]]:
    """The rows of ``loan news``."""
    marks = placeholders(len(OPEN))
    mine = await loans(community, f"l.borrower = ? AND l.state IN ({marks})", (member, *OPEN))
    names = await community.names()
    changes = await changes_of(community, mine)
    rows: list[dict[str, object]] = []
    for one in mine:
        told = await waiting_of(community, one, now_ms)
        if told is not None:
            said = _(PLACE).format(place=told["place"], name=one.label, why=told["why"])
            rows.append({**_row("waiting", one, said), **told})
            continue
        wish = changes.get(one.id, NONE).last
        kind, gaps = await _kind(community, one, wish, names, now_ms)
        if kind:
            said = catalogue.sentence(NEWS[kind], name=one.label, day=one.due_day or "-", **gaps)
            rows.append(_row(kind, one, said))
    return rows


def _row(kind: str, one: Loan, said: str) -> dict[str, object]:
    ids: dict[str, Any] = {"loan": one.id.hex()[:12], "resource": one.number or one.resource.hex()}
    return {
        "kind": kind,
        "loan": one.id.hex(),
        "resource": one.resource.hex(),
        "number": one.number,
        "name": one.name,
        "due": instant(one.row["until_ms"]),
        "due_day": one.due_day,
        "zone": one.zone,
        "sentence": said,
        "next": _NEXT[kind].format(**ids),
    }


async def _kind(
    community: Community,
    one: Loan,
    wish: Extension | None,
    names: Mapping[MemberId, str],
    now_ms: int,
) -> tuple[str, dict[str, str]]:
    """What is to be told of a loan that does not wait; "" for nothing."""
    if one.state in OUT:
        return _out(one, wish, now_ms)
    if one.lapsed(now_ms):
        return "lapsed", {}
    if one.state == "offered":
        return "offered", {}
    item = await thing(community, one.resource) if one.state == "approved" else None
    if item is None or not item.single or item.loan is not None or item.custodian is None:
        return "", {}
    confirmer = _confirmer(one)
    gaps = {
        "custodian": _called(names, item.custodian),
        "confirmer": _called(names, confirmer),
        "keep": one.kept[0].isoformat() if one.kept else one.due_day or "-",
    }
    if item.holder is not None and item.holder != confirmer:
        return "moved", gaps
    begins = one.row["from_ms"]
    return ("ready" if begins is None or begins - now_ms <= _SOON_MS else ""), gaps


def _out(one: Loan, wish: Extension | None, now_ms: int) -> tuple[str, dict[str, str]]:
    """Of a thing that is with the borrower; overdue before all, until it is offered back."""
    if one.state != "on_loan":
        return "", {}
    if one.overdue(now_ms):
        return "overdue", {}
    if wish is not None and wish.state != "granted":
        return wish.state, {"until": wish.due}
    until = one.row["until_ms"]
    if until is not None and until - now_ms <= _SOON_MS:
        return "due", {}
    return ("longer" if wish is not None else ""), {}
