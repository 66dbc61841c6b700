"""Writing what one side of a loan says, and the answer to it."""

from __future__ import annotations

from commons_crdt.author import Draft
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.texts import _
from commons_crdt.verdict import Verdict
from commons_node.community import Actor, Community, WrongState
from commons_node.domains.lending.facts import RECEIVE, Receive
from commons_node.domains.lending.loans import Loan, fact
from commons_node.domains.reputation.counting import Exchange, Word
from commons_node.domains.reputation.facts import ATTEST, NOTE, REPLY, TEXT, Attest, Reply
from commons_node.domains.reputation.reading import exchanges
from commons_node.domains.reputation.sealing import Said, commitment, salt_of, seal_note
from commons_node.realm.authoring import Written


class NotYours(CommonsError):
    """Only the two who signed this loan out and back may say how it went."""

    code = "not_party"
    hint = "commons-node loan show {loan}"
    status = "locked"


async def attest(
    community: Community, actor: Actor, loan: Loan, said: Said, note: str
) -> tuple[Written, Exchange, str]:
    """Write a sealed word; with the loan and the side that spoke.

    Raises ``WrongState`` if the loan is not whole or the actor has spoken, ``NotYours``.
    """
    show = f"commons-node loan show {loan.id.hex()[:12]}"
    found = await exchanges(community, "key = ?", (loan.id,))
    if not found:
        raise WrongState(
            why=_(
                "The loan of {label} is not over by two signatures each way: there is nothing to "
                "say of it yet."
            ).format(label=loan.label),
            next=show,
        )
    (one,) = found
    side = one.side(actor.member)
    if side is None:
        raise NotYours(loan=loan.id.hex()[:12])
    if one.row[f"{side}_attestation"] is not None or await _spoke(community, actor, loan):
        raise WrongState(
            why=_("You have said how the loan of {label} went; that is done once.").format(
                label=loan.label
            ),
            next=f"commons-node reputation show {one.other(side).hex()[:12]}",
        )
    about = one.other(side)
    salt = salt_of(actor.secrets.signing, loan.id, about)
    body = Attest(about, commitment(salt, loan.id, actor.member, about, said))
    draft = Draft.fact(
        ATTEST,
        body,
        document=DocumentId(loan.id),
        refs=await _signatures(community, loan),
        parts=[(NOTE, seal_note(salt, note))],
    )
    (result,) = await community.write(actor, draft)
    return result, one, side


async def _spoke(community: Community, actor: Actor, loan: Loan) -> bool:
    """True if an attestation of the actor's is here already, whether it counts or not."""
    rows = await community.realm.store.everything(
        "o.document = ? AND o.kind = ?", (loan.id, ATTEST)
    )
    grants = community.realm.judge.authority.grants
    return any(
        grants[standing.grant].member == actor.member
        for standing, _ in rows
        if standing.judgement.verdict is Verdict.ACCEPTED
    )


async def _signatures(community: Community, loan: Loan) -> list[OperationId]:
    """The four signatures by which the thing went out and came back."""
    receive = loan.operation("receive")
    found = await fact(community, receive, RECEIVE, Receive) if receive else None
    steps = [loan.operation("handover"), loan.operation("accept"), receive]
    offer = OperationId(found[1].offer) if found is not None else None
    return [step for step in (*steps, offer) if step is not None]


async def reply(community: Community, actor: Actor, word: Word, text: bytes) -> Written:
    """Answer a word about the actor. Raises ``WrongState`` if there is an answer."""
    if word.reply is not None:
        raise WrongState(
            why=_("You have answered this; that is done once."),
            next=f"commons-node reputation show {actor.member.hex()[:12]}",
        )
    ident = OperationId(word.attestation)
    draft = Draft.fact(
        REPLY,
        Reply(ident),
        document=DocumentId(word.loan),
        refs=[ident],
        parts=[(TEXT, text)],
    )
    (result,) = await community.write(actor, draft)
    return result
