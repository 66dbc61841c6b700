"""Reading identities: which devices a member has, where they end, and which node goes with which.

What an identity *is*, the judge says (``Authority.identities``); here is what verbs add to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.identity_facts import Limit
from commons_crdt.errors import CommonsError
from commons_crdt.ids import ZERO, DeviceId, MemberId, OperationId
from commons_crdt.verdict import Verdict
from commons_node.community import Community, Unknown, find
from commons_node.realm.realm import Realm
from commons_protocol.applying import Owned

_LISTING = "commons-node member device list"


class FrozenIdentity(CommonsError):
    """Two acts claim the same place in {name}'s identity, so nothing more is added to it."""

    code: ClassVar[str] = "frozen"
    hint: ClassVar[str] = "commons-node member device list shows them; one is picked with: pick"


@dataclass(frozen=True, slots=True)
class Identity:
    """A member's identity as the whole set gives it.

    ``base``: the head of its chain, which the next act must name. ``frozen``: the acts on it of
    which nobody has picked one. ``recovery``: the key's hash, 32 zero bytes for none.
    """

    base: OperationId
    devices: Mapping[DeviceId, Limit | None]
    guardians: tuple[MemberId, ...]
    threshold: int
    recovery: bytes
    frozen: tuple[OperationId, ...] = ()

    @property
    def guarded(self) -> bool:
        """Whether changing it takes the recovery key or the guardians."""
        return bool(self.guardians) or self.recovery != ZERO


def identity(realm: Realm, member: MemberId) -> Identity | None:
    """The identity of a member; None for who never was one."""
    found = realm.judge.authority.identities.get(member)
    if found is None:
        return None
    return Identity(
        found.base,
        {device: limit for device, (_, limit) in found.devices.items()},
        found.guardians,
        found.threshold,
        found.recovery,
        found.rivals,
    )


def owner_of(realm: Realm, hashed: bytes) -> MemberId | None:
    """Whose recovery key has this hash."""
    identities = realm.judge.authority.identities
    return next((m for m, one in identities.items() if one.recovery == hashed), None)


def head(realm: Realm, member: MemberId, name: str = "", *, stronger: bool = False) -> Identity:
    """The identity that an act can be added to. Raises ``FrozenIdentity``, ``Unknown``.

    ``stronger``: the act has the recovery key or guardians behind it, which go before devices.
    """
    found = identity(realm, member)
    if found is None:
        raise Unknown(what="member", name=name or member.hex()[:8], list="commons-node member list")
    if found.frozen and not stronger:
        raise FrozenIdentity(name=name or member.hex()[:8])
    return found


@dataclass(frozen=True, slots=True)
class Machine:
    """One device of a member: ``node`` is the node's own device that came with it, if any.

    ``standing``: it may write. ``end``: the last of its own acts that count (log 0, log 1), as
    seqs, None while it goes on.
    """

    device: DeviceId
    grant: OperationId
    standing: bool
    limit: Limit | None
    since_ms: int
    label: str | None
    node: DeviceId | None
    ends: tuple[int | None, int | None]
    why: str


async def machines(community: Community, member: MemberId) -> list[Machine]:
    """All devices that a member has or had, the oldest first; those of nodes stand beside them."""
    realm = community.realm
    judge, authority = realm.judge, realm.judge.authority
    state = identity(realm, member)
    own = [g for g in authority.devices.values() if g.member == member and not g.unattended]
    nodes = await _nodes(community, member)
    granted = await realm.memory.find([grant.id for grant in own])
    found = []
    for grant in own:
        device = grant.keys.id
        in_identity = state is not None and device in state.devices
        ends = tuple(judge.end(device, log) for log in (0, 1))
        found.append(
            Machine(
                device,
                grant.id,
                in_identity and grant.verdict is Verdict.ACCEPTED and not any(e.why for e in ends),
                state.devices[device] if state is not None and in_identity else None,
                granted[grant.id].time_ms if grant.id in granted else 0,
                await label_of(community, member, device),
                nodes.get(device),
                (ends[0].seq, ends[1].seq),
                next((e.why for e in ends if e.why), "" if in_identity else "retired"),
            )
        )
    return sorted(found, key=lambda machine: (machine.since_ms, machine.device))


async def label_of(community: Community, member: MemberId, device: DeviceId) -> str | None:
    """What the member calls the device."""
    rows = await community.query("SELECT operation FROM v_labels WHERE key = ?", (member + device,))
    return await community.part(rows[0][0], "name") if rows else None


async def _nodes(community: Community, member: MemberId) -> dict[DeviceId, DeviceId]:
    """The node that goes with each device: the last one that it granted.

    A limited device grants none. Whoever adds it grants its node in the very next operation.
    """
    realm = community.realm
    authority = realm.judge.authority
    state = identity(realm, member)
    grants = [g for g in authority.devices.values() if g.member == member]
    by_act = {g.id: g.keys.id for g in grants if not g.unattended}
    rows = await realm.memory.find([g.id for g in grants if g.unattended])
    nodes: dict[DeviceId, DeviceId] = {}
    for grant in sorted(
        (g for g in grants if g.unattended and g.id in rows), key=lambda g: rows[g.id].seq
    ):
        act = rows[grant.id]
        owner = act.device
        before = await realm.store.outside.at(act.device, 0, act.seq - 1)
        for ident in before:
            added = by_act.get(ident)
            if added is not None and _limit(state, added) is not None:
                owner = added
        nodes[owner] = grant.keys.id
    return nodes


def _limit(state: Identity | None, device: DeviceId) -> Limit | None:
    return state.devices.get(device) if state is not None else None


async def find_machine(community: Community, member: MemberId, selector: str) -> Machine:
    """A member's device by id, prefix or name. Raises ``Unknown``, ``Ambiguous``."""
    known = await machines(community, member)
    choices = [(one.device, (one.label,)) for one in known]
    device = find("device", selector, choices, _LISTING)
    return next(one for one in known if one.device == device)


def ends_of(realm: Realm, retired: Iterable[Machine]) -> tuple[Owned, ...]:
    """Where these devices and their nodes end: all that this node has heard of them."""
    return tuple(
        (one.device, Ending(device, tip(realm, device, 0), tip(realm, device, 1)))
        for one in retired
        for device in (one.device, *([one.node] if one.node is not None else []))
    )


def tip(realm: Realm, device: DeviceId, log: int) -> Position:
    """The last operation of a chain that is here and not void already.

    Beyond a fork it may be on either branch: a recovery names none, it ends below the fork.
    """
    top = realm.memory.top(device, log)
    if top is None:
        return NOTHING
    end = realm.judge.end(device, log)
    if end.seq is not None and end.seq < top.seq:
        if end.seq == 0:
            return NOTHING
        if end.id is not None:
            return Position(end.seq, end.id)
    return Position(top.seq, top.id)


def named_by(ends: Iterable[Ending]) -> list[OperationId]:
    """The log-0 operations that an act with these endings must have in its past."""
    return [OperationId(one.authority.id) for one in ends if one.authority != NOTHING]
