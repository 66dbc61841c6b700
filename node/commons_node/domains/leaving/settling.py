"""What somebody who leaves still has, owes, or is needed for, each with the command that ends it.

Reads only. What has to be ended first is ``open``; the rest is said, so that nobody forgets it.
"""

from __future__ import annotations

from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId
from commons_crdt.roles import Role
from commons_node.community import Actor, Community, WrongState
from commons_node.domains.leaving.personal import texts_of
from commons_node.domains.lending.loans import OUT, Loan, forgiven, loans
from commons_node.domains.resources.things import things
from commons_node.membership.identities import identity, machines

_WAITING = ("requested", "approved", "offered")
_SHORT = 12


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
    rows = [_loan(one) for one in await out_with(community, member)]
    free = {ident for ident, who in (await forgiven(community)).items() if who == member}
    for one in await things(community):
        held = one.custodian == member and one.loan is None and one.stated != "retired"
        if held and one.single and one.loan not in free:
            rows.append(
                _row(
                    "custody", one.label, f"another steward asks for it: commons-node loan request"
                    f" {one.number or one.id.hex()[:_SHORT]} --days 1", one.id,
                )
            )  # fmt: skip
    waiting = await loans(community, "l.borrower = ? AND l.state IN (?, ?, ?)", (member, *_WAITING))
    rows += [
        _row("request", one.label, "a steward declines it: commons-node loan decline"
             f" {one.id.hex()[:_SHORT]}", one.id, is_open=False)
        for one in waiting
    ]  # fmt: skip
    names = await community.names()
    for other in community.realm.judge.authority.members():
        state = identity(community.realm, other)
        if state is not None and member in state.guardians:
            rows.append(
                _row("guardian", names[other], f"{names[other]} chooses other guardians:"
                     " commons-node member guardians set", other, is_open=False)
            )  # fmt: skip
    rows += [
        _row("device", one.label or one.device.hex()[:8],
             "on that machine: commons-node member device close", one.device, is_open=False)
        for one in await machines(community, member)
        if one.standing and one.device != actor.device
    ]  # fmt: skip
    count = len(await texts_of(community, member))
    if count:
        rows.append(_row("texts", str(count), "commons-node member erase", member, is_open=False))
    return sorted(rows, key=lambda row: not row["open"])


def _loan(one: Loan) -> dict[str, object]:
    short = one.id.hex()[:_SHORT]
    if one.state == "returning":
        way = f"a steward receives it: commons-node loan receive {short}"
    else:
        way = f"commons-node loan return {short}, or a steward: commons-node loan forgive {short}"
    return _row("loan", one.label, way, one.id)


def _row(
    what: str, about: str, way: str, ident: bytes, *, is_open: bool = True
) -> dict[str, object]:
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
            why=f"The loan of {found.label} is {found.state.replace('_', ' ')}: nothing is owed.",
            next="commons-node loan list",
        )
    if found.borrower == actor.member:
        raise WrongState(
            why="Nobody forgives an own debt.",
            next="another steward runs commons-node loan forgive",
        )
    return found.borrower
