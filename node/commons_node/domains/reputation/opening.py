"""Opening sealed attestations when both are in, or after seven days: by their author's own key.

A node's own device may write nothing for a member, so that the opening waits for the member: it is
written when the member unlocks, while unlocked, and by ``reputation open``. Only the device that
sealed can open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from commons_crdt.author import Draft
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId, OperationId
from commons_node.community import Actor, Community
from commons_node.domains.lending.loans import fact
from commons_node.domains.reputation.facts import ATTEST, BLIND_MS, OPENING, Attest, Opening
from commons_node.domains.reputation.reading import exchanges
from commons_node.domains.reputation.sealing import find, salt_of
from commons_node.domains.reputation.views import SIDES
from commons_node.realm.authoring import Written

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="reputation")

_MINE = (
    "(borrower = ?1 AND borrower_attestation IS NOT NULL AND borrower_opening IS NULL)"
    " OR (receiver = ?1 AND lender_attestation IS NOT NULL AND lender_opening IS NULL)"
)


async def due(community: Community, actor: Actor, now_ms: int) -> list[Draft]:
    """The openings that the actor's device can write now."""
    drafts = []
    for one in await exchanges(community, _MINE, (actor.member,)):
        side = one.side(actor.member)
        if side is None:
            continue
        ident = OperationId(one.row[f"{side}_attestation"])
        known = (await community.realm.store.standings([ident])).get(ident)
        if known is None or known.device != actor.device:
            continue
        other = next(name for name in SIDES if name != side)
        both = one.row[f"{other}_attestation"] is not None
        if not both and now_ms - known.time_ms < BLIND_MS:
            continue
        draft = await _draft(community, actor, one.loan, one.other(side), ident)
        if draft is not None:
            drafts.append(draft)
    return drafts


async def _draft(
    community: Community, actor: Actor, loan: bytes, about: bytes, ident: OperationId
) -> Draft | None:
    found = await fact(community, ident, ATTEST, Attest)
    if found is None:
        return None
    salt = salt_of(actor.secrets.signing, loan, about)
    said = find(found[1].commitment, salt, loan, actor.member, about)
    if said is None:
        return None
    body = Opening(ident, said.on_time, said.condition, said.communication, salt)
    return Draft.fact(OPENING, body, document=DocumentId(loan), refs=[ident])


async def open_due(community: Community, actor: Actor, now_ms: int) -> list[Written]:
    """Write what is due."""
    drafts = await due(community, actor, now_ms)
    return await community.write(actor, *drafts) if drafts else []


class Openings:
    """Opens for the members of a node while they are unlocked."""

    def __init__(self, daemon: Daemon) -> None:
        """``daemon`` may not have started yet."""
        self._daemon = daemon
        self._busy: set[MemberId] = set()

    async def look(self, community: Community) -> None:
        """Open what is due of everybody who is unlocked at this node."""
        daemon, realm = self._daemon, community.realm.realm
        if not daemon.may_sign(realm):
            return
        for member, home in (await daemon.store.members()).items():
            unlocked = daemon.sessions.holding(member.hex())
            if home != realm or unlocked is None or member in self._busy:
                continue
            self._busy.add(member)
            try:
                actor = await community.actor(unlocked)
                await open_due(community, actor, daemon.now_ms())
            except CommonsError as error:  # no budget, a device that ended: the next look
                log.info("not_opened", why=error.code)
            finally:
                self._busy.discard(member)
