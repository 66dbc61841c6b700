"""How much one member may ask for and hold at once, as the constitution says.

Kept by the verbs, not by rules: two islands may each let one more through, and nothing is undone.
"""

from __future__ import annotations

from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId
from commons_crdt.texts import _, ngettext
from commons_node.community import Community, WrongState
from commons_node.domains.lending.loans import CONFIRMED, OPEN, OUT, PROMISED, Loan, loans
from commons_node.domains.resources.things import Thing
from commons_node.explaining.words import word
from commons_node.store.database import placeholders

_WANTED: Final = ("requested", *PROMISED)


class TooMany(CommonsError):
    """It would be more than this community lends to one person at once: {why}."""

    code: ClassVar[str] = "too_many"
    hint: ClassVar[str] = "{next}"


async def may_ask(community: Community, member: MemberId, item: Thing, now_ms: int) -> None:
    """Raise ``WrongState`` for a second wish for one thing, ``TooMany`` for one wish too many."""
    mine = await _open(community, member, now_ms)
    same = next((one for one in mine if one.resource == item.id and item.single), None)
    if same is not None:
        ident = same.id.hex()[:12]
        longer = f"commons-node loan extend {ident} --days 3"
        raise WrongState(
            why=_("You have {label} on your list already: {state}.").format(
                label=item.label, state=word(same.state)
            ),
            next=longer if same.state in OUT else f"commons-node loan show {ident}",
        )
    limit = community.realm.judge.authority.constitution.loan_holds
    wanted = [one for one in mine if one.state in _WANTED]
    if len(wanted) >= limit:
        told = ngettext(
            "you have asked for {count} thing that you have not fetched, and {limit} are allowed",
            "you have asked for {count} things that you have not fetched, and {limit} are allowed",
            len(wanted),
        )
        raise TooMany(
            why=told.format(count=len(wanted), limit=limit),
            next=f"commons-node loan cancel {wanted[-1].id.hex()[:12]}",
        )


async def may_have(community: Community, found: Loan, now_ms: int) -> None:
    """Raise ``TooMany`` if the borrower has, or is promised, as much as anybody may."""
    if found.borrower is None:
        return
    limit = community.realm.judge.authority.constitution.loan_out
    mine = await _open(community, found.borrower, now_ms)
    count = sum(one.state in CONFIRMED and one.id != found.id for one in mine)
    if count >= limit:
        name = (await community.names()).get(found.borrower, found.borrower.hex()[:8])
        told = ngettext(
            "{name} has or is promised {count} thing already, and {limit} are allowed",
            "{name} has or is promised {count} things already, and {limit} are allowed",
            count,
        )
        raise TooMany(
            why=told.format(name=name, count=count, limit=limit), next="commons-node loan list"
        )


async def _open(community: Community, member: MemberId, now_ms: int) -> list[Loan]:
    """The member's loans that take place: not those whose time went by unfetched."""
    marks = placeholders(len(OPEN))
    found = await loans(community, f"l.borrower = ? AND l.state IN ({marks})", (member, *OPEN))
    return [one for one in found if not one.lapsed(now_ms) and not one.forgotten(now_ms)]
