"""The acting member's own check-ins: read from the own realm, with what was done since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId, OperationId, RealmId
from commons_crdt.texts import N_
from commons_node.community import Actor, Community, find
from commons_node.domains.own.entries import CheckedIn, Left, Shown
from commons_node.keystore.sessions import pick
from commons_node.keystore.unlocked import Unlocked
from commons_node.registry import Request

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.own.realms import OwnRealm


class NoCheckIn(CommonsError):
    """You are checked in nowhere."""

    code = "not_checked_in"
    hint = "commons-node checkin create SPACE --code CODE"
    status = "not_found"


@dataclass(frozen=True, slots=True)
class Mine:
    """One check-in of mine; ``operation``: the entry in the own realm that holds it."""

    entry: CheckedIn
    operation: OperationId
    left_ms: int | None
    shown: Sequence[Shown]

    @property
    def ends_ms(self) -> int:
        """When it ended, or will."""
        return self.entry.until_ms if self.left_ms is None else self.left_ms

    def state(self, now_ms: int) -> str:
        """``here``, or how it ended: ``left`` or ``expired``."""
        if self.left_ms is not None:
            return "left"
        return "here" if now_ms < self.entry.until_ms else "expired"


@dataclass(frozen=True, slots=True)
class Me:
    """Who acts, with the keys of the community and of the own realm."""

    actor: Actor
    unlocked: Unlocked


async def me(request: Request[Daemon], community: Community) -> Me:
    """The acting member, unlocked. Raises what ``Daemon.actor`` does."""
    actor = await request.node.actor(request, community)
    return Me(actor, pick(request.session, actor.member.hex()))


async def reader(request: Request[Daemon], community: Community) -> Me:
    """Who reads: unlocked here, and reading does not count as use. Raises ``Locked`` and others."""
    session, member = request.session, request.member
    found = (await community.member(member)).hex() if member is not None else None
    if found is None and session is not None:
        here = community.realm.judge.authority.members()
        fit = [one for one in session.members() if MemberId(bytes.fromhex(one)) in here]
        found = fit[0] if len(fit) == 1 else None
    unlocked = session.holding(found) if session is not None and found is not None else None
    if unlocked is None:
        unlocked = pick(session, found)  # says what is missing
    return Me(await community.actor(unlocked), unlocked)


async def mine(own: OwnRealm, realm: RealmId) -> list[Mine]:
    """My check-ins in a community, the newest first."""
    entries = await own.entries()
    left: dict[bytes, int] = {}
    shown: dict[bytes, list[Shown]] = {}
    for one in entries:
        if isinstance(one.entry, Left):
            left[one.entry.checkin] = min(one.entry.at_ms, left.get(one.entry.checkin, 2**53))
        elif isinstance(one.entry, Shown):
            shown.setdefault(one.entry.checkin, []).append(one.entry)
    found = [
        Mine(one.entry, one.operation, left.get(one.entry.id), tuple(shown.get(one.entry.id, ())))
        for one in entries
        if isinstance(one.entry, CheckedIn) and one.entry.community == realm
    ]
    return sorted(found, key=lambda one: one.entry.at_ms, reverse=True)


def chosen(found: Sequence[Mine], selector: str | None, now_ms: int) -> Mine:
    """The check-in that is meant; the newest that still lasts if none is named."""
    if selector is None:
        for one in found:
            if one.state(now_ms) == "here":
                return one
        raise NoCheckIn
    choices: list[tuple[bytes, Sequence[str | None]]] = [(one.entry.id, ()) for one in found]
    ident = find(N_("check-in"), selector, choices, "commons-node checkin list")
    return next(one for one in found if one.entry.id == ident)
