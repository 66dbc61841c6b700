"""Taking something away from a member: removal, suspension, a lower role, a fork's branch.

Each act names where the member's chains end, and has these operations in its past; the epoch keys
are made anew at once, so that who is gone reads nothing that is written from now on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.endings import Ending
from commons_crdt.authority.facts import Branch, Demotion, Reason, Removal, Revocation
from commons_crdt.authority.kinds import BRANCH, DEMOTION, REMOVAL, REVOCATION
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId, OperationId
from commons_crdt.roles import Role
from commons_node.community import Actor, Community, written
from commons_node.domains.sanctions.endings import devices_of, endings, past_of
from commons_node.domains.sanctions.facts import MAX_REASON, NOTE, REASON, Note
from commons_node.membership.rotation import rotate
from commons_node.realm.authoring import Written

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class Equal(CommonsError):
    """{name} is a coordinator: only the council may do this."""

    code: ClassVar[str] = "not_permitted"
    hint: ClassVar[str] = "commons-node community propose members --drop {name}"
    status = "locked"


class LongReason(CommonsError):
    """A reason has at most 2,000 bytes."""

    code: ClassVar[str] = "terms"
    hint: ClassVar[str] = "say it in fewer words"
    status = "usage"


async def take(
    daemon: Daemon,
    community: Community,
    actor: Actor,
    kind: str,
    body: msgspec.Struct,
    subject: MemberId,
    ends: tuple[Ending, ...],
    note: str | None,
) -> Written:
    """Write one such act, its note, and new epoch keys if the act ends somebody's chains."""
    draft = Draft.fact(kind, body, log=0, document=DocumentId(subject), refs=past_of(ends))
    (result,) = await community.write(actor, draft)
    await explain(community, actor, result.id, note)
    if kind in {REMOVAL, REVOCATION} and not result.judgement.reason:
        await rotate(daemon, community, actor)
    return result


async def explain(
    community: Community, actor: Actor, act: OperationId, note: str | None
) -> Written | None:
    """Say in own words why; ``note`` None says nothing."""
    if note is None:
        return None
    text = note.strip().encode()
    if len(text) > MAX_REASON:
        raise LongReason
    draft = Draft.fact(NOTE, Note(act), refs=[act], parts=[(REASON, text)])
    return (await community.write(actor, draft))[0]


async def subject_of(community: Community, actor: Actor, selector: str) -> MemberId:
    """A member on whom a coordinator may act alone. Raises ``Equal`` and ``NotAllowed``."""
    actor.needs(Role.COORDINATOR)
    member = await community.member(selector)
    authority = community.realm.judge.authority
    if authority.role_now(member) is Role.COORDINATOR:
        raise Equal(name=(await community.names())[member])
    return member


async def remove(
    daemon: Daemon,
    community: Community,
    actor: Actor,
    member: MemberId,
    reason: Reason,
    *,
    until_ms: int = 0,
    before_ms: int | None = None,
    note: str | None = None,
) -> Mapping[str, object]:
    """End a member's chains, for good or (``until_ms``) for a while."""
    ends = await endings(community, devices_of(community, member), before_ms)
    body = Removal(member, until_ms, ends, reason)
    result = await take(daemon, community, actor, REMOVAL, body, member, ends, note)
    return {**written(result), "member": member.hex(), "devices": len(ends)}


async def demote(
    daemon: Daemon,
    community: Community,
    actor: Actor,
    member: MemberId,
    role: Role,
    reason: Reason = "other",
) -> Written:
    """From now on at most ``role``; what was written before stands as it was."""
    ends = await endings(community, devices_of(community, member))
    body = Demotion(member, int(role), ends, reason)
    return await take(daemon, community, actor, DEMOTION, body, member, ends, None)


async def revoke_invite(
    community: Community, actor: Actor, invite: OperationId, reason: Reason
) -> Written:
    """Nobody comes in by this invite any more; who came in by it and is not seen here, is out."""
    inviter = await author_of(community, invite)
    body = Revocation(invite, (), reason)
    draft = Draft.fact(REVOCATION, body, log=0, document=DocumentId(inviter), refs=[invite])
    return (await community.write(actor, draft))[0]


async def revoke_node(
    daemon: Daemon, community: Community, actor: Actor, grant: OperationId, reason: Reason
) -> Written:
    """A node is no longer the community's."""
    granted = community.realm.judge.authority.grants[grant]
    ends = await endings(community, [granted.keys.id])
    body = Revocation(grant, ends, reason)
    return await take(daemon, community, actor, REVOCATION, body, granted.member, ends, None)


async def name_branch(
    daemon: Daemon, community: Community, actor: Actor, member: MemberId, ending: Ending
) -> Written:
    """Of a forked device's two stories, the one that ends here is told."""
    body = Branch(member, ending)
    return await take(daemon, community, actor, BRANCH, body, member, (ending,), None)


async def author_of(community: Community, operation: OperationId) -> MemberId:
    """Whose operation it is."""
    standing = await community.realm.standing(operation)
    if standing is None:
        raise KeyError(operation)
    return community.realm.judge.authority.grants[standing.grant].member
