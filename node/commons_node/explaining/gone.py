"""Who is gone: a member who was removed or is suspended, by whom, since when, until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from commons_crdt.ids import MemberId, OperationId
from commons_node.explaining import catalogue
from commons_node.explaining.explained import Explaining

if TYPE_CHECKING:
    from commons_node.community import Community

Way = Literal["removed", "suspended"]


@dataclass(frozen=True, slots=True)
class Gone:
    """The newest act that ended a member's chains; ``until_ms`` is 0 for good."""

    act: OperationId
    way: Way
    until_ms: int


def all_gone(community: Community) -> dict[MemberId, Gone]:
    """How each went who is no member now. Who never was one is not among them."""
    authority = community.realm.judge.authority
    cuts, found = authority.cuts, dict[MemberId, Gone]()
    here = authority.members() if cuts else {}
    for cut in cuts:
        if cut.member in here or cut.kind not in _ENDS:
            continue
        if cut.until_ms and cut.member in found and not found[cut.member].until_ms:
            continue  # who was removed for good is not back after a suspension
        found[cut.member] = Gone(cut.id, "suspended" if cut.until_ms else "removed", cut.until_ms)
    return found


async def gone_in_words(community: Community, member: MemberId, found: Gone) -> str:
    """What became of somebody, as a sentence."""
    explaining = await Explaining.of(community)
    act = await community.realm.standing(found.act)
    if act is None:
        raise KeyError(found.act.hex())
    return catalogue.sentence(
        catalogue.GONE[found.way],
        whom=explaining.name(member),
        who=explaining.who(act),
        day=explaining.day(act.time_ms),
        until=explaining.until(found.until_ms),
    )


def with_whom(name: str, found: Gone | None) -> str:
    """Somebody's name in a list of things, and whether they are gone."""
    return name if found is None else catalogue.WITH[found.way].format(name=name)


_ENDS = frozenset({"removal", "suspension", "dismissal"})
