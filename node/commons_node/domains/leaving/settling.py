"""What somebody who leaves still has, owes, or is needed for, each with the command that ends it.

Reads only. What has to be ended first is ``open``; the rest is said, so that nobody forgets it.
"""

from __future__ import annotations

from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId
from commons_crdt.roles import Role
from commons_crdt.texts import Spoken, _
from commons_node.community import Actor, Community, WrongState
from commons_node.domains.leaving.personal import texts_of
from commons_node.domains.lending.loans import OUT, Loan, forgiven, loans
from commons_node.domains.resources.things import things
from commons_node.explaining.words import word
from commons_node.membership.identities import identity, machines

_WAITING = ("requested", "approved", "offered")
_SHORT = 12
_OPEN = frozenset({"loan", "returning", "custody"})
WAYS: Final = Spoken({
    "loan": "commons-node loan return {which}, or a steward: commons-node loan forgive {which}",
    "returning": "a steward receives it: commons-node loan receive {which}",
    "custody": "another steward asks for it: commons-node loan request {which} --days 1",
    "request": "a steward declines it: commons-node loan decline {which}",
    "guardian": "{about} chooses other guardians: commons-node member guardian set",
    "device": "on that machine: commons-node member device close",
    "texts": "commons-node member erase",
})  # fmt: skip
"""What ends each kind of thing that is still open, or only to be thought of."""


class StillCoordinator(CommonsError):
    """You are a coordinator: the council lets you go first."""

    code: ClassVar[str] = "coordinator"
    hint: ClassVar[str] = "commons-node community propose members --drop {name}"
    status = "locked"


class LastCoordinator(CommonsError):
    """You are the only coordinator: without one nobody can let anybody in or go."""

    code: ClassVar[str] = "last_coordinator"
    hint: ClassVar[str] = (
        "commons-node community propose members --add NAME --drop {name}, or: commons-node"
        " community close"
    )
    status = "locked"


class Unsettled(CommonsError):
    """Not everything is settled: {what}."""

    code: ClassVar[str] = "unsettled"
    hint: ClassVar[str] = "commons-node member leave --dry-run names each with what ends it; --anyway leaves all the same"  # fmt: skip  # noqa: E501 - one command


def check_role(community: Community, actor: Actor, name: str) -> None:
    """Raise ``LastCoordinator`` or ``StillCoordinator``; the council decides about its own."""
    if actor.role is Role.COORDINATOR:
        seats = community.realm.judge.authority.council.seats
        raise (LastCoordinator if len(seats) == 1 else StillCoordinator)(name=name)


async def out_with(community: Community, member: MemberId) -> list[Loan]:
    """The loans of a member that are out, and not forgiven."""
    found = await loans(community, "l.borrower = ? AND l.state IN (?, ?)", (member, *OUT))
    free = await forgiven(community)
    return [one for one in found if free.get(one.id) != member]


async def unsettled(community: Community, actor: Actor) -> list[dict[str, object]]:
    """A row for each thing, ``open`` ones first: ``what, about, open, next, id``."""
    member = actor.member
    rows = [
        _row("returning" if one.state == "returning" else "loan", one.label, one.id)
        for one in await out_with(community, member)
    ]
    rows += [
        _row("custody", one.label, one.id, one.number)
        for one in await things(community)
        if one.single and one.custodian == member and one.loan is None and one.stated != "retired"
    ]
    waiting = await loans(community, "l.borrower = ? AND l.state IN (?, ?, ?)", (member, *_WAITING))
    rows += [_row("request", one.label, one.id) for one in waiting]
    names = await community.names()
    for other in community.realm.judge.authority.members():
        state = identity(community.realm, other)
        if state is not None and member in state.guardians:
            rows.append(_row("guardian", names[other], other))
    rows += [
        _row("device", one.label or one.device.hex()[:8], one.device)
        for one in await machines(community, member)
        if one.standing and one.device != actor.device
    ]
    if count := len(await texts_of(community, member)):
        rows.append(_row("texts", str(count), member))
    return sorted(rows, key=lambda row: not row["open"])


def _row(what: str, about: str, ident: bytes, number: str = "") -> dict[str, object]:
    way = WAYS[what].format(about=about, which=number or ident.hex()[:_SHORT])
    is_open = what in _OPEN
    return {"what": what, "about": about, "open": is_open, "next": way, "id": ident.hex()}


def refuse_open(rows: list[dict[str, object]]) -> None:
    """Raise ``Unsettled`` if something has to be ended first."""
    left = [str(row["about"]) for row in rows if row["open"]]
    if left:
        raise Unsettled(what=", ".join(left))


def check_forgivable(found: Loan, actor: Actor) -> MemberId:
    """The borrower of a loan that may be forgiven by this steward. Raises ``WrongState``."""
    if found.state not in OUT or found.borrower is None:
        raise WrongState(
            why=_("The loan of {label} is {state}: nothing is owed.").format(
                label=found.label, state=word(found.state)
            ),
            next="commons-node loan list",
        )
    if found.borrower == actor.member:
        raise WrongState(
            why=_("Nobody forgives an own debt."),
            next=_("another steward runs commons-node loan forgive"),
        )
    return found.borrower
