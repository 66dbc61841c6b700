"""One way for every act on one's own identity: by the device, the recovery key, or guardians."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from commons_crdt.author import Draft
from commons_crdt.authority.identity_facts import Own
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId
from commons_crdt.kinds import encode_fact
from commons_crdt.texts import _, either
from commons_node.community import Actor, Community, WrongState, written
from commons_node.domains.identity.facts import (
    REQUEST,
    GuardiansTerms,
    PickTerms,
    Request,
    Terms,
    act_of,
    statement,
)
from commons_node.keystore.recovery_key import RecoveryKey
from commons_node.membership import warrants
from commons_node.membership.identities import head
from commons_protocol.tickets import spoken, statement_digits

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class TakesWarrant(CommonsError):
    """This takes {what}: a device alone could be a stolen one."""

    code: ClassVar[str] = "warrant"
    hint: ClassVar[str] = "{how}"
    status = "locked"


@dataclass(frozen=True, slots=True)
class Change:
    """What a member wants to do to their identity, and with whose help."""

    actor: Actor
    terms: Terms
    recovery: str | None
    guardians: bool


async def change(daemon: Daemon, community: Community, wanted: Change) -> dict[str, object]:
    """Do it, or ask the guardians. Raises ``TakesWarrant`` where neither was offered."""
    actor, terms = wanted.actor, wanted.terms
    stronger = wanted.guardians or wanted.recovery is not None
    state = head(community.realm, actor.member, stronger=stronger or isinstance(terms, PickTerms))
    name = (await community.names()).get(actor.member, actor.member.hex()[:8])
    if wanted.recovery is not None:
        key = RecoveryKey.read(wanted.recovery)
        warrant = warrants.by_key(community, key, terms, name)
        (result,) = await warrants.carry(
            daemon, community, warrants.draft(community, terms, warrant)
        )
        return written(result)
    if wanted.guardians:
        if not state.guardians:
            raise WrongState(
                why=_("You have named no guardians."),
                next="commons-node member guardian set MEMBER",
            )
        return dict(await ask(daemon, community, terms))
    if isinstance(terms, GuardiansTerms) and not state.guarded:
        (result,) = await community.write(actor, warrants.draft(community, terms, Own()))
        return written(result)
    ways = {
        _("your recovery key"): ("--recovery", any(state.recovery)),
        _("your guardians"): ("--guardians", bool(state.guardians)),
    }
    there = {what: how for what, (how, have) in ways.items() if have}
    if not there:
        raise TakesWarrant(
            what=_("a recovery key or guardians, and you have neither"),
            how=_(
                "ask a coordinator: they can pick between two acts, or remove a stolen device's "
                "member, who then joins again"
            ),
        )
    raise TakesWarrant(
        what=either(list(there)),
        how=_("add {options}").format(options=either(list(there.values()))),
    )


async def ask(daemon: Daemon, community: Community, terms: Terms) -> Mapping[str, object]:
    """Put a request before the guardians, once; the digits that they must hear."""
    over = statement(community.realm.realm, terms)
    known = [one for one in await warrants.requests(community) if one.statement == over]
    answer: dict[str, object] = {"operation": None, "verdict": "accepted", "reason": ""}
    if known:
        answer["operation"] = known[0].id.hex()
    else:
        body = Request(act_of(terms), encode_fact(terms))
        draft = Draft.fact(REQUEST, body, document=DocumentId(terms.member))
        (result,) = await warrants.carry(daemon, community, draft)
        answer = written(result)
    digits = statement_digits(over)
    return {**answer, "digits": digits, "spoken": spoken(digits), "asked": True}
