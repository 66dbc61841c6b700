"""What can be proposed to a council: a member's words turned into the content of an act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from commons_crdt.authority.council import State
from commons_crdt.authority.council_facts import (
    Coordinators,
    Dismissal,
    Lift,
    Members,
    RulesVersion,
    Seal,
    Settings,
)
from commons_crdt.authority.facts import Setting
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import DeviceId, MemberId
from commons_crdt.kinds import decode_fact, encode_fact
from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_node.community import Community
from commons_node.domains.lending.opening import wrong_setting
from commons_node.domains.sanctions import forks
from commons_node.domains.sanctions.endings import devices_of, endings
from commons_node.domains.sanctions.finding import find_operation
from commons_node.sealing.due import prepare

_REMOVED, _BRANCH = 0, 5


class BadProposal(CommonsError):
    """{why}"""

    code: ClassVar[str] = "terms"
    hint: ClassVar[str] = "commons-node community propose --help"
    status = "usage"


class NothingToSeal(CommonsError):
    """No seal can be made now: {why}"""

    code: ClassVar[str] = "state"
    hint: ClassVar[str] = "commons-node status says what waits; acts must be a day old to be sealed"


async def coordinators(
    community: Community,
    state: State,
    add: Sequence[str],
    drop: Sequence[str],
    role: Role | None,
) -> Coordinators:
    """The list with these in and those out; who is out keeps ``role`` (None: is removed)."""
    seats = list(state.seats)
    dismissals: list[Dismissal] = []
    named = [{await community.member(name) for name in names} for names in (drop, add)]
    moved = named[0] & named[1] & {seat for seat, _ in seats}
    for name in drop:
        member = await community.member(name)
        if member in moved:  # the seat moves to another device: nothing is taken away
            continue
        if member not in {seat for seat, _ in seats}:
            raise BadProposal(why=_("{name} is no coordinator.").format(name=name))
        seats = [seat for seat in seats if seat[0] != member]
        dismissals.append(await _dismissal(community, member, role))
    for name in add:
        member = await community.member(name)
        if member in moved:
            key = _key_of(community, member, name, but=dict(seats)[member])
            seats = [(member, key) if one == member else (one, old) for one, old in seats]
            continue
        if member in {seat for seat, _ in seats}:
            raise BadProposal(why=_("{name} is a coordinator already.").format(name=name))
        seats.append((member, _key_of(community, member, name)))
    if not seats:
        raise BadProposal(why=_("Somebody must remain: name who comes after."))
    if not add and not drop:
        raise BadProposal(why=_("Say who is to come or to go, with --add or --drop."))
    return Coordinators(tuple(seats), tuple(dismissals))


def _key_of(
    community: Community, member: MemberId, name: str, but: DeviceId | None = None
) -> DeviceId:
    """The device that will endorse: the first unlimited one that may still write, not ``but``."""
    authority = community.realm.judge.authority
    standing = authority.standing_devices()
    for identity in authority.identities_of(member):
        for device, (_grant, limit) in identity.devices.items():
            if limit is None and device in standing and device != but:
                return device
    raise BadProposal(
        why=(
            _("{name} has no other device that could endorse.")
            if but
            else _("{name} has no device that could endorse.")
        ).format(name=name)
    )


async def removal(community: Community, names: Sequence[str]) -> Members:
    """The council ends these members' chains, coordinators' too."""
    if not names:
        raise BadProposal(why=_("Say who is to go, with --drop."))
    members = [await community.member(name) for name in names]
    return Members(tuple([await _dismissal(community, member, None) for member in members]))


async def branch(community: Community, device: str | None, operation: str | None) -> Members:
    """Which story of a forked device is told; for a coordinator's own device only the council says.

    The device ends there, and its endorsements with it: the seat should move to another one first.
    """
    if device is None or operation is None:
        raise BadProposal(why=_("Say whose story, with --device, and which, with --branch."))
    found = await find_operation(community, operation)
    member, ending = await forks.ending_of(community, device, found)
    return Members((Dismissal(member, _BRANCH, (ending,)),))


async def _dismissal(community: Community, member: MemberId, role: Role | None) -> Dismissal:
    ends = await endings(community, devices_of(community, member))
    return Dismissal(member, _REMOVED if role is None else int(role), ends)


def constitution(pairs: Sequence[str]) -> Settings:
    """Settings from ``name=value``: whole numbers, otherwise short words."""
    table: dict[str, int | str] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or not name.strip() or not value.strip():
            raise BadProposal(why=_("{pair!r} is not of the form NAME=VALUE.").format(pair=pair))
        value = value.strip()
        table[name.strip()] = int(value) if value.lstrip("-").isdecimal() else value
        if why := wrong_setting(name.strip(), table[name.strip()]):
            raise BadProposal(why=why)
    if not table:
        raise BadProposal(why=_("Say what is to change, with --set NAME=VALUE."))
    settings: tuple[Setting, ...] = tuple(sorted(table.items()))
    return _checked(Settings(settings))


def rules(version: int | None, known: Sequence[int]) -> RulesVersion:
    """Another rules version, which this program must know."""
    if version is None or version not in known:
        listed = ", ".join(map(str, known))
        raise BadProposal(
            why=_("Say a rules version that this program has: {listed}.").format(listed=listed)
        )
    return RulesVersion(version)


async def lift(community: Community, cut: str | None) -> Lift:
    """A cut that is to be as if it had not been written."""
    if cut is None:
        raise BadProposal(why=_("Say which act is to be lifted, with --cut."))
    ident = await find_operation(community, cut)
    if ident not in {one.id for one in community.realm.judge.authority.cuts}:
        raise BadProposal(
            why=_("{cut} is no act that takes something away and is in force.").format(cut=cut)
        )
    return Lift(ident)


async def seal(community: Community, device: DeviceId, now_ms: int) -> Seal:
    """What can be settled now, with the state hash of it."""
    made = await prepare(community.realm, device, now_ms)
    if made.content is None:
        raise NothingToSeal(why=made.why)
    return made.content


def _checked(content: Settings) -> Settings:
    """Raises ``BadProposal`` for what other nodes would not read."""
    try:
        return decode_fact(Settings, encode_fact(content))
    except (Refused, msgspec.ValidationError):
        raise BadProposal(why=_("A name has at most 40 letters, a value 64.")) from None
