"""Agents that neighbours offer: found by name, publisher or hash, and fetched.

A row is what its author says. The bytes are believed only as far as they are what the row says
they are, and then the package's own signature says whose it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId, OperationId
from commons_crdt.operation import content
from commons_crdt.texts import N_
from commons_node.agents.package import Package, read
from commons_node.agents.refusals import BadPackage
from commons_node.community import Ambiguous, Community, Unknown
from commons_node.domains.agents.facts import CONTENT
from commons_node.parts.keeper import NotHere
from commons_node.store.database import fetch
from commons_node.store.large_parts import LargePart

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_HASH = N_("its bytes do not have the hash that the offer names")
_OTHER = N_("its own agent.toml names another publisher, name or version")
_LIST = "commons-node agent offers"
_DIGITS = 8


class FalseOffer(CommonsError):
    """What {member} offers as {name} {version} of {publisher} is something else: {why}."""

    code: ClassVar[str] = "false_offer"
    hint: ClassVar[str] = "do not install it; ask {member}, or a coordinator to take it away"
    texts: ClassVar[tuple[str, ...]] = ("why",)


@dataclass(frozen=True, slots=True)
class Offer:
    """A package that a member offers; ``part``: None where it travelled with its operation."""

    id: OperationId
    publisher: str
    name: str
    version: str
    package: bytes
    member: MemberId
    time_ms: int
    part: LargePart | None

    @property
    def agent(self) -> str:
        """As people call it: the beginning of the publisher's key, and the name."""
        return f"{self.publisher[:_DIGITS]}/{self.name}"

    @property
    def order(self) -> tuple[int, ...]:
        """The version as what it is compared by."""
        return tuple(int(part) for part in self.version.split("."))

    @property
    def document(self) -> DocumentId:
        """It stands for itself."""
        return DocumentId(self.id)


async def offers(community: Community) -> list[Offer]:
    """All of them, by name and publisher, the newest version first."""
    rows = await community.query(
        "SELECT v.key, v.publisher, v.name, v.version, v.package, v.member, o.time_ms"
        " FROM v_agents v JOIN operations o ON o.id = v.key"
    )
    found = []
    for key, publisher, name, version, package, member, time_ms in rows:
        parts = await community.realm.parts.of(key)
        part = next((one for one in parts if one.name == CONTENT), None)
        found.append(
            Offer(OperationId(key), publisher.hex(), name, version, package, MemberId(member),
                  time_ms, part)
        )  # fmt: skip
    found.sort(key=lambda one: (one.id, one.time_ms))
    found.sort(key=lambda one: one.order, reverse=True)
    return sorted(found, key=lambda one: (one.name, one.publisher))


def chosen(found: Sequence[Offer], selector: str) -> Offer:
    """The newest version of the agent that is meant, or the one package of a hash.

    By ``hex8/name``, by a name that one publisher alone uses, or by the beginning of the package's
    hash. Raises ``Unknown``, and ``Ambiguous`` where two publishers use a name.
    """
    wanted = selector.strip()
    if len(wanted) >= _DIGITS and not wanted.strip("0123456789abcdef"):
        fit = [one for one in found if one.package.hex().startswith(wanted)]
    else:
        fit = [one for one in found if wanted in {one.name, one.agent}]
    if not fit:
        raise Unknown(what="agent", name=selector, list=_LIST)
    publishers = sorted({f"{one.publisher}/{one.name}" for one in fit})
    if len(publishers) > 1:
        raise Ambiguous(name=selector, found=", ".join(publishers))
    return fit[0]


async def fetched(node: Daemon, community: Community, offer: Offer) -> tuple[Package, bytes]:
    """The package of an offer, from whoever has it. Raises ``FalseOffer``, ``NotHere``."""
    if offer.part is not None:
        data = content(await node.parts.look(community.realm, offer.part))
    else:
        data = await _small(community, offer.id)
    names = await community.names()
    said = {
        "member": names.get(offer.member, offer.member.hex()[:_DIGITS]),
        "name": offer.name,
        "version": offer.version,
        "publisher": offer.publisher[:_DIGITS],
    }
    if hashlib.sha256(data).digest() != offer.package:
        raise FalseOffer(why=_HASH, **said)
    try:
        package = read(data, signed=True)
    except BadPackage as error:
        raise FalseOffer(why=error, **said) from None
    manifest = package.manifest
    inside = (manifest.publisher, manifest.name, manifest.version)
    if inside != (offer.publisher, offer.name, offer.version):
        raise FalseOffer(why=_OTHER, **said)
    return package, data


async def _small(community: Community, operation: OperationId) -> bytes:
    rows = await fetch(
        community.realm.store.database.read,
        "SELECT p.bytes FROM parts p JOIN operations o ON o.n = p.operation"
        " WHERE o.id = ? AND p.name = ?",
        (operation, CONTENT),
    )
    if not rows or rows[0][0] is None:
        raise NotHere(asked=0)
    return content(rows[0][0])
