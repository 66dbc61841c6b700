"""Acts on an identity that need the recovery key or the guardians: terms, endorsements, carrying.

Such an act counts by its bytes, whoever's chain carries it: here it is always this node's own
device that does, because whoever needs it may have nothing left to sign with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from commons_crdt.author import Draft
from commons_crdt.authority.identity_facts import (
    GuardianEndorsement,
    Guardians,
    Pick,
    Recover,
    Recovery,
    SetGuardians,
    Warrant,
)
from commons_crdt.authority.kinds_identity import GUARDIAN, GUARDIANS, PICK, RECOVER
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import DocumentId, MemberId, OperationId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_crdt.verdict import Verdict
from commons_node.community import Community
from commons_node.domains.identity.facts import (
    MAX_TERMS,
    TERMS,
    Act,
    GuardiansTerms,
    PickTerms,
    RecoverTerms,
    Terms,
    statement,
)
from commons_node.keystore.recovery_key import RecoveryKey
from commons_node.membership.identities import identity, named_by
from commons_node.realm.authoring import Written
from commons_node.standing import share

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MOST_REFS = 16


class NotCarried(CommonsError):
    """This node has no standing of its own in the community, so it can carry no act."""

    code: ClassVar[str] = "not_permitted"
    hint: ClassVar[str] = "commons-node member unlock MEMBER, then try again"
    status = "locked"


class WrongRecoveryKey(CommonsError):
    """This is not the recovery key of {name}."""

    code: ClassVar[str] = "recovery_key"
    hint: ClassVar[str] = "a newer key may have replaced it; guardians help without a key"
    status = "locked"


class NotEnough(CommonsError):
    """{have} of {needed} guardians have endorsed it."""

    code: ClassVar[str] = "guardians"
    hint: ClassVar[str] = "ask the others: commons-node member guardian list says who is missing"
    status = "locked"


class Overtaken(CommonsError):
    """Another act on this identity came first, so what was endorsed fits it no more."""

    code: ClassVar[str] = "state"
    hint: ClassVar[str] = "ask again: the guardians endorse the new request"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to guardians, as it stands in the community."""

    id: OperationId
    act: Act
    terms: Terms
    time_ms: int
    statement: bytes
    endorsed: dict[MemberId, OperationId]


async def requests(community: Community) -> list[Asked]:
    """Every request to guardians that stands here, the newest first."""
    rows = await community.query(
        "SELECT key, act, terms, time_ms FROM v_requests ORDER BY time_ms DESC, key"
    )
    given = await endorsements(community)
    found = []
    for key, act, data, time_ms in rows:
        try:
            terms = decode_fact(TERMS[act], data, MAX_TERMS)
        except Refused:
            continue
        over = statement(community.realm.realm, terms)
        member = MemberId(terms.member)
        endorsed = given.get((member, over), {})
        found.append(Asked(OperationId(key), act, terms, time_ms, over, endorsed))
    return found


async def endorsements(
    community: Community,
) -> dict[tuple[MemberId, bytes], dict[MemberId, OperationId]]:
    """By member and statement: who endorsed it, with which operation."""
    authority = community.realm.judge.authority
    stored = await community.realm.store.everything("o.kind = ?", (GUARDIAN,))
    found: dict[tuple[MemberId, bytes], dict[MemberId, OperationId]] = {}
    for standing, operation in stored:
        if standing.judgement.verdict is not Verdict.ACCEPTED or operation.body is None:
            continue
        body = decode_fact(GuardianEndorsement, content(operation.body))
        who = authority.grants[standing.grant].member
        found.setdefault((MemberId(body.member), body.statement), {})[who] = standing.id
    return found


def by_key(community: Community, key: RecoveryKey, terms: Terms, name: str) -> Recovery:
    """The warrant of a recovery key. Raises ``WrongRecoveryKey``."""
    state = identity(community.realm, MemberId(terms.member))
    if state is None or key.hash != state.recovery:
        raise WrongRecoveryKey(name=name)
    return Recovery(key.public, key.sign(statement(community.realm.realm, terms)))


def by_guardians(community: Community, asked: Asked) -> Guardians:
    """The warrant of the guardians who have endorsed. Raises ``NotEnough``, ``Overtaken``."""
    state = identity(community.realm, MemberId(asked.terms.member))
    if state is not None and state.base != getattr(asked.terms, "base", state.base):
        raise Overtaken
    guardians = set(state.guardians) if state is not None else set()
    given = [act for who, act in sorted(asked.endorsed.items()) if who in guardians]
    needed = state.threshold if state is not None else 0
    if not needed or len(given) < needed:
        raise NotEnough(have=len(given), needed=needed)
    return Guardians(tuple(given[:8]))


def draft(community: Community, terms: Terms, warrant: Warrant) -> Draft:
    """The act itself. What it must have in its past, it refers to."""
    member = DocumentId(terms.member)
    refs = list(warrant.endorsements) if isinstance(warrant, Guardians) else []
    match terms:
        case RecoverTerms():
            refs += [terms.base, *named_by(terms.endings)]
            epochs = share(community.realm, terms.device[0].keys.sealing) if terms.device else ()
            body: Recover | SetGuardians | Pick = Recover(
                terms.member, terms.base, terms.device, terms.endings, warrant, epochs
            )
            kind = RECOVER
        case GuardiansTerms():
            refs.append(terms.base)
            body = SetGuardians(
                terms.member, terms.base, terms.guardians, terms.threshold, terms.recovery, warrant
            )
            kind = GUARDIANS
        case PickTerms():
            refs += [terms.base, terms.act]
            body, kind = Pick(terms.member, terms.base, terms.act, warrant), PICK
        case _:
            raise ValueError("a rehearsal is no act")
    ids = [OperationId(ref) for ref in dict.fromkeys(refs)][:_MOST_REFS]
    return Draft.fact(kind, body, log=0, document=member, refs=ids)


async def carry(daemon: Daemon, community: Community, *drafts: Draft) -> list[Written]:
    """Write by this node's own device. Raises ``NotCarried``."""
    realm = community.realm
    device, credential = daemon.standing.device(realm.realm), realm.own_credential
    if device is None or credential is None or not daemon.may_sign(realm.realm):
        raise NotCarried
    return await realm.write(list(drafts), device, credential.grant)


def stands(results: Sequence[Written]) -> bool:
    """True if all that was written counts."""
    return all(result.judgement.verdict is Verdict.ACCEPTED for result in results)
