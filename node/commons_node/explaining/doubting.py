"""What speaks against the newest seal at this node, in words, and what to do about it.

Three things may: the state that it claims is not what comes out here; an operation that it lists
has not come, and whose it is and who does not give it is named; its contents cannot be folded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from commons_crdt.authority.council_facts import CouncilAct
from commons_crdt.authority.flips import Anchor
from commons_crdt.ids import OperationId
from commons_crdt.texts import _, listed
from commons_node.explaining import catalogue
from commons_node.peering.types import PeerState
from commons_node.sealing.comparing import compared

if TYPE_CHECKING:
    from commons_node.community import Community

_SHORT = 8
_NOT_ASKED = frozenset({"unknown", "syncing"})
"""States of a peer that may still bring something without being asked again."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """A tip that a seal lists and that is not here. ``by``: nodes that did not give it."""

    tip: Anchor
    member: str
    by: tuple[str, ...]

    @property
    def json(self) -> dict[str, object]:
        """With ids in hex."""
        return {
            "operation": self.tip.id.hex(),
            "device": self.tip.device.hex(),
            "seq": self.tip.seq,
            "member": self.member,
            "withheld_by": list(self.by),
        }


@dataclass(frozen=True, slots=True)
class Doubt:
    """``code`` names it for programs."""

    code: Literal["seal_differs", "seal_withheld", "seal_contents"]
    seal: OperationId
    sentence: str
    next_action: str
    awaited: tuple[Awaited, ...] = ()

    @property
    def json(self) -> dict[str, object]:
        """As ``status`` shows it."""
        return {
            "code": self.code,
            "seal": self.seal.hex(),
            "sentence": self.sentence,
            "next_action": self.next_action,
            "awaited": [one.json for one in self.awaited],
        }


async def doubt_of(community: Community, peers: Iterable[PeerState] = ()) -> Doubt | None:
    """None where nothing speaks against the newest seal, or there is none."""
    realm = community.realm
    found = await compared(realm)
    if found.state == "differs" and found.seal is not None:
        keys = listed(await _endorsers(community, found.seal))
        sentence = catalogue.sentence(catalogue.DIFFERS, keys=keys)
        advice = catalogue.sentence(catalogue.DIFFERS_NEXT, seal=found.seal.hex()[:_SHORT])
        return Doubt("seal_differs", found.seal, sentence, advice)
    tips = realm.judge.branches.awaited_tips()
    if tips:
        return await _withheld(community, tips, peers)
    if found.state == "hollow" and found.seal is not None:
        return Doubt(
            "seal_contents", found.seal, _(catalogue.UNCOMPARED), _(catalogue.UNCOMPARED_NEXT)
        )
    return None


async def _withheld(
    community: Community, tips: Iterable[Anchor], peers: Iterable[PeerState]
) -> Doubt:
    realm = community.realm
    names, owners = await community.names(), realm.judge.authority.devices
    asked = tuple(
        peer.node
        for peer in peers
        if peer.connected
        and (status := peer.realms.get(realm.realm)) is not None
        and status.state not in _NOT_ASKED
    )
    awaited = tuple(
        Awaited(
            tip, names.get(owners[tip.device].member, "") if tip.device in owners else "", asked
        )
        for tip in tips
    )
    first = awaited[0]
    name = first.member or _(catalogue.SOMEBODY)
    nodes = listed([node[:_SHORT] for node in asked])
    sentence = catalogue.sentence(
        catalogue.WITHHELD,
        seq=str(first.tip.seq), name=name, device=first.tip.device.hex()[:_SHORT],
    )  # fmt: skip
    if asked:
        sentence = f"{sentence} {_(catalogue.WITHHELD_BY).format(nodes=nodes)}"
    advice = catalogue.sentence(catalogue.WITHHELD_NEXT, name=name)
    seal = next(one.seal for one in realm.judge.seals() if one.tops is None)
    return Doubt("seal_withheld", seal, sentence, advice, awaited)


async def _endorsers(community: Community, seal: OperationId) -> list[str]:
    """What those are called whose keys endorsed a seal."""
    authority = community.realm.judge.authority
    body = authority.body(seal)
    if not isinstance(body, CouncilAct) or authority.polity is None:
        return []
    council, act = authority.polity.council, authority.bits[seal]
    base = authority.bits[OperationId(body.base)]
    names = await community.names()
    owners = {device: member for member, device in council.states[base].seats}
    keys = {key for (_, of), keys in council.ballots(base).items() if of == act for key in keys}
    return sorted(names.get(owners[key], key.hex()[:_SHORT]) for key in keys)
